// SPDX-License-Identifier: Apache-2.0
#include "api/problem.h"

#include "base/json_writer.h"

namespace jobmill::api {
http::Response to_response(const Problem& problem) {
  JsonWriter json;
  json.object()
      .member("type", "about:blank")
      .member("title", http::reason_phrase(problem.status))
      .member("status", problem.status)
      .member("detail", problem.detail)
      .member("code", problem.code);
  if (!problem.parameter.empty()) json.member("parameter", problem.parameter);
  if (!problem.job_id.empty()) json.member("jobId", problem.job_id);
  if (!problem.errors.empty()) {
    json.key("errors").array();
    for (const FieldError& error : problem.errors)
      json.object().member("field", error.field).member("reason", error.reason).end();
    json.end();
  }
  auto response = json_response(problem.status, std::move(json.end()).text());
  response.headers.set("Content-Type", "application/problem+json");
  if (problem.status == 503 || problem.status == 429) response.headers.set("Retry-After", "1");
  return response;
}

// What is exhausted behind a store is its disk: the request was right, and may be sent again.
Problem to_problem(const Fault& error) {
  const Code code = error.code == Code::Exhausted ? Code::Unavailable : error.code;
  return {
      .status = http::status_of(code), .code = http::problem_code(code), .detail = error.message};
}

http::Response to_response(const Fault& error) { return to_response(to_problem(error)); }

http::Response json_response(int status, std::string body) {
  http::Response response{.status = status, .headers = {}, .body = std::move(body)};
  response.headers.add("Content-Type", "application/json");
  return response;
}

http::Response no_content() { return {.status = 204, .headers = {}, .body = {}}; }

}  // namespace jobmill::api
