// SPDX-License-Identifier: Apache-2.0
#include "http/problem.h"

#include <algorithm>
#include <array>

#include "base/document.h"

namespace jobmill::http {
namespace {

struct Translation {
  Code code;
  int status;
  std::string_view name;
};

constexpr std::array kTranslations{
    Translation{Code::InvalidArgument, 400, "invalid_argument"},
    Translation{Code::NotFound, 404, "not_found"},
    Translation{Code::AlreadyExists, 409, "idempotency_conflict"},
    Translation{Code::Conflict, 409, "version_conflict"},
    Translation{Code::PermissionDenied, 403, "forbidden"},
    Translation{Code::Exhausted, 429, "rate_limited"},
    Translation{Code::Unavailable, 503, "storage_unavailable"},
    Translation{Code::Timeout, 503, "storage_unavailable"},
    Translation{Code::Unsupported, 501, "not_implemented"},
    Translation{Code::Internal, 500, "internal"},
};

const Translation& translation(Code code) {
  const auto found = std::find_if(kTranslations.begin(), kTranslations.end(),
                                  [code](const Translation& t) { return t.code == code; });
  return found == kTranslations.end() ? kTranslations.back() : *found;
}

struct Phrase {
  int status;
  std::string_view text;
};

constexpr std::array kPhrases{
    Phrase{100, "Continue"},
    Phrase{101, "Switching Protocols"},
    Phrase{200, "OK"},
    Phrase{201, "Created"},
    Phrase{202, "Accepted"},
    Phrase{204, "No Content"},
    Phrase{301, "Moved Permanently"},
    Phrase{302, "Found"},
    Phrase{303, "See Other"},
    Phrase{304, "Not Modified"},
    Phrase{307, "Temporary Redirect"},
    Phrase{308, "Permanent Redirect"},
    Phrase{400, "Bad Request"},
    Phrase{401, "Unauthorized"},
    Phrase{403, "Forbidden"},
    Phrase{404, "Not Found"},
    Phrase{405, "Method Not Allowed"},
    Phrase{406, "Not Acceptable"},
    Phrase{408, "Request Timeout"},
    Phrase{409, "Conflict"},
    Phrase{410, "Gone"},
    Phrase{412, "Precondition Failed"},
    Phrase{413, "Content Too Large"},
    Phrase{415, "Unsupported Media Type"},
    Phrase{417, "Expectation Failed"},
    Phrase{422, "Unprocessable Content"},
    Phrase{426, "Upgrade Required"},
    Phrase{429, "Too Many Requests"},
    Phrase{431, "Request Header Fields Too Large"},
    Phrase{500, "Internal Server Error"},
    Phrase{501, "Not Implemented"},
    Phrase{502, "Bad Gateway"},
    Phrase{503, "Service Unavailable"},
    Phrase{504, "Gateway Timeout"},
    Phrase{505, "HTTP Version Not Supported"},
};

Node field_errors(const std::vector<FieldError>& errors) {
  Node list = Node::array();
  for (const auto& [field, reason] : errors) {
    Node item = Node::object();
    item.set("field", Node::string(field));
    item.set("reason", Node::string(reason));
    list.push(std::move(item));
  }
  return list;
}

}  // namespace

std::string_view reason_phrase(int status) {
  const auto found = std::find_if(kPhrases.begin(), kPhrases.end(),
                                  [status](const Phrase& p) { return p.status == status; });
  return found == kPhrases.end() ? "Unknown" : found->text;
}

Response problem(int status, std::string_view code, std::string_view detail,
                 const ProblemDetails& details) {
  Node body = Node::object();
  body.set("type", Node::string("about:blank"));
  body.set("title", Node::string(reason_phrase(status)));
  body.set("status", Node::integer(status));
  body.set("detail", Node::string(detail));
  body.set("code", Node::string(code));
  if (!details.parameter.empty()) body.set("parameter", Node::string(details.parameter));
  if (!details.job_id.empty()) body.set("jobId", Node::string(details.job_id));
  if (!details.errors.empty()) body.set("errors", field_errors(details.errors));

  Response response{.status = status, .body = to_json(body)};
  response.headers.add("Content-Type", "application/problem+json");
  if (status == 429 || status == 503) response.headers.add("Retry-After", "1");
  return response;
}

int status_of(Code code) { return translation(code).status; }

std::string_view problem_code(Code code) { return translation(code).name; }

Response problem(const Fault& error) {
  return problem(status_of(error.code), problem_code(error.code), error.message);
}

}  // namespace jobmill::http
