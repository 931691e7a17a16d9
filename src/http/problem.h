// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace jobmill::http {

struct FieldError {
  std::string field;
  std::string reason;
};

// What more a problem may say than that it is one.
struct ProblemDetails {
  std::string parameter{};           // the one that is wrong: "count", "jobs[3].kind"
  std::vector<FieldError> errors{};  // for input with several faults
  std::string job_id{};              // the job that it is about
};

// An RFC 9457 answer (application/problem+json):
//   {"type":"about:blank","title":"Not Found","status":404,"detail":"…","code":"not_found"}
// 429 and 503 carry Retry-After.
Response problem(int status, std::string_view code, std::string_view detail,
                 const ProblemDetails& details = {});

// The one translation of our error codes to HTTP.
int status_of(Code code);
std::string_view problem_code(Code code);  // "invalid_argument"
Response problem(const Fault& error);

// "Not Found"; "Unknown" for what has no registered phrase.
std::string_view reason_phrase(int status);

}  // namespace jobmill::http
