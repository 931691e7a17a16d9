// SPDX-License-Identifier: Apache-2.0
#include "api/problem.h"

namespace jobmill::api {

http::Response to_response(const Problem& problem) {
  return http::problem(
      problem.status, problem.code, problem.detail,
      {.parameter = problem.parameter, .errors = problem.errors, .job_id = problem.job_id});
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
