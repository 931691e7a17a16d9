// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "api/audit_record.h"
#include "api/open_problems.h"
#include "api/problem.h"
#include "api/route.h"
#include "base/duration.h"
#include "base/json_writer.h"

// What somebody should look at.
namespace jobmill::api {
namespace {

void write_problem(JsonWriter& json, const OpenProblem& problem) {
  json.object()
      .member("type", problem.type)
      .member("createdAt", format_instant(problem.created_at))
      .member("severity", to_string(problem.severity))
      .member("title", problem.title)
      .member("cause", problem.cause)
      .member("fix", problem.fix)
      .member("dismissible", problem.dismissible)
      .end();
}

Result<std::string> problems(ApiContext& context) {
  JsonWriter json;
  json.array();
  if (context.problems != nullptr) {
    TRY(const auto open, context.problems->list(context.clock.now()));
    for (const OpenProblem& problem : open) write_problem(json, problem);
  }
  return std::move(json.end()).text();
}

void get_problems(ApiContext& context, Call call) {
  answer(context, call.responder, [&context] { return json_or_problem(problems(context)); });
}

http::Response dismissed(ApiContext& context, const Call& call) {
  const std::string& type = call.parameter("type");
  if (context.problems == nullptr)
    return to_response(fail(Code::NotFound, "no open problem " + type));
  const Status status = context.problems->dismiss(type, context.clock.now());
  if (status) record(context, call, "problem.dismiss", type);
  return done_or_problem(status);
}

void delete_problem(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] { return dismissed(context, call); });
}

constexpr std::array kRoutes{
    Route{"GET", "/api/problems", Scope::Read, get_problems},
    Route{"DELETE", "/api/problems/{type}", Scope::Operate, delete_problem},
};

}  // namespace

std::span<const Route> problem_routes() { return kRoutes; }

}  // namespace jobmill::api
