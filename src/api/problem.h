// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"
#include "http/problem.h"

namespace jobmill::api {

using http::FieldError;

// An answer that says why not (RFC 9457). `code` is for programs, `detail` for people.
struct Problem {
  int status = 400;
  std::string_view code = "invalid_argument";
  std::string detail{};
  std::string parameter{};           // the one parameter that is wrong
  std::vector<FieldError> errors{};  // the fields of the body that are wrong
  std::string job_id{};
};

http::Response to_response(const Problem& problem);

// A 400 about one parameter or field.
Problem wrong_parameter(std::string_view name, std::string_view reason);

// An engine's error as a problem. One about a field ("<field>: <reason>") names it in `errors`.
Problem to_problem(const Fault& error);
http::Response to_response(const Fault& error);

http::Response json_response(int status, std::string body);
http::Response no_content();  // 204

// 200 with what was found, 204 for what was done; or why not.
http::Response json_or_problem(Result<std::string> json);
http::Response done_or_problem(const Status& status);

}  // namespace jobmill::api
