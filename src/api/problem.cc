// SPDX-License-Identifier: Apache-2.0
#include "api/problem.h"

#include <fmt/format.h>
#include <optional>

namespace jobmill::api {

http::Response to_response(const Problem& problem) {
  return http::problem(
      problem.status, problem.code, problem.detail,
      {.parameter = problem.parameter, .errors = problem.errors, .job_id = problem.job_id});
}

namespace {

// The engines say "<field>: <reason>" of what cannot be taken, the field being a path such as
// jobs[3].labels.
std::optional<FieldError> field_error(const Fault& error) {
  const bool of_input = error.code == Code::InvalidArgument || error.code == Code::AlreadyExists ||
                        error.code == Code::Exhausted;
  const auto colon = error.message.find(": ");
  if (!of_input || colon == std::string::npos || colon == 0) return std::nullopt;
  const std::string_view field = std::string_view(error.message).substr(0, colon);
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789_.[]";
  if (field.find_first_not_of(kLetters) != std::string_view::npos) return std::nullopt;
  return FieldError{std::string(field), error.message.substr(colon + 2)};
}

}  // namespace

Problem wrong_parameter(std::string_view name, std::string_view reason) {
  return {.detail = fmt::format("{}: {}", name, reason),
          .parameter = std::string(name),
          .errors = {{std::string(name), std::string(reason)}}};
}

// Of what is exhausted, a field is one that is too large. Else it is the disk behind the store: the
// request was right, and may be sent again.
Problem to_problem(const Fault& error) {
  const auto field = field_error(error);
  const Code code = error.code == Code::Exhausted ? Code::Unavailable : error.code;
  Problem problem{
      .status = http::status_of(code), .code = http::problem_code(code), .detail = error.message};
  if (!field) return problem;
  if (error.code == Code::Exhausted) problem.status = 413, problem.code = "payload_too_large";
  problem.parameter = field->field;
  problem.errors = {*field};
  return problem;
}

http::Response to_response(const Fault& error) { return to_response(to_problem(error)); }

http::Response json_response(int status, std::string body) {
  http::Response response{.status = status, .headers = {}, .body = std::move(body)};
  response.headers.add("Content-Type", "application/json");
  response.headers.add("X-Content-Type-Options", "nosniff");
  return response;
}

http::Response no_content() { return {.status = 204, .headers = {}, .body = {}}; }

http::Response json_or_problem(Result<std::string> json) {
  return json ? json_response(200, *std::move(json)) : to_response(json.error());
}

http::Response done_or_problem(const Status& status) {
  return status ? no_content() : to_response(status.error());
}

}  // namespace jobmill::api
