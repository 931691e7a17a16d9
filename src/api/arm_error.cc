// SPDX-License-Identifier: Apache-2.0
#include "api/arm_error.h"

#include <utility>

#include "api/problem.h"
#include "base/json_writer.h"
#include "http/problem.h"

namespace jobmill::api {
namespace {

std::string_view arm_code(Code code) {
  switch (code) {
    case Code::InvalidArgument:
    case Code::Unsupported:
      return "InvalidRequestContent";
    case Code::NotFound:
      return "ResourceNotFound";
    case Code::AlreadyExists:
    case Code::Conflict:
      return "Conflict";
    case Code::PermissionDenied:
      return "AuthorizationFailed";
    case Code::Exhausted:
      return "TooManyRequests";
    case Code::Unavailable:
      return "ServiceUnavailable";
    case Code::Timeout:
      return "RequestTimeout";
    case Code::Internal:
      break;
  }
  return "InternalServerError";
}

}  // namespace

http::Response arm_error(int status, std::string_view code, std::string_view message) {
  JsonWriter json;
  json.object().key("error").object().member("code", code).member("message", message).end().end();
  return json_response(status, std::move(json).text());
}

http::Response arm_error(const Fault& error) {
  return arm_error(http::status_of(error.code), arm_code(error.code), error.message);
}

}  // namespace jobmill::api
