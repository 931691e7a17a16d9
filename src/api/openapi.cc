// SPDX-License-Identifier: Apache-2.0
#include "api/openapi.h"

#include <array>
#include <cstddef>
#include <utility>

#include "api/problem.h"
#include "api/route.h"
#include "base/document.h"

// JOBMILL_OPENAPI is the path of the file: a server that is one file has it too.
asm(".pushsection .rodata\n"
    ".global jobmill_openapi\n"
    ".global jobmill_openapi_end\n"
    "jobmill_openapi:\n"
    ".incbin \"" JOBMILL_OPENAPI
    "\"\n"
    "jobmill_openapi_end:\n"
    ".byte 0\n"
    ".popsection\n");

extern "C" {
extern const char jobmill_openapi[];
extern const char jobmill_openapi_end[];
}

namespace jobmill::api {
namespace {

void get_document(ApiContext&, Call call) {
  call.responder.send(json_response(200, openapi_json()));
}

constexpr std::array kRoutes{Route{"GET", "/v1/openapi.json", Scope::Read, get_document}};

}  // namespace

std::span<const Route> openapi_routes() { return kRoutes; }

std::string_view openapi_yaml() {
  return {jobmill_openapi, static_cast<std::size_t>(jobmill_openapi_end - jobmill_openapi)};
}

// A test reads it; it cannot fail here.
const std::string& openapi_json() {
  static const std::string json = [] {
    const auto documents = parse_yaml(openapi_yaml());
    return documents && !documents->empty() ? to_json(documents->front()) : std::string("{}");
  }();
  return json;
}

}  // namespace jobmill::api
