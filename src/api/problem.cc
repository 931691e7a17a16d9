// SPDX-License-Identifier: Apache-2.0
#include "api/problem.h"

#include "base/json_writer.h"

namespace jobmill::api {
namespace {

std::string_view title(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 422:
      return "Unprocessable Content";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 503:
      return "Service Unavailable";
    default:
      return "Internal Server Error";
  }
}

}  // namespace

http::Response to_response(const Problem& problem) {
  JsonWriter json;
  json.object()
      .member("type", "about:blank")
      .member("title", title(problem.status))
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
  auto response = json_response(problem.status, std::move(json).text());
  response.headers.set("Content-Type", "application/problem+json");
  if (problem.status == 503 || problem.status == 429) response.headers.set("Retry-After", "1");
  return response;
}

Problem to_problem(const Fault& error) {
  switch (error.code) {
    case Code::InvalidArgument:
      return {.status = 400, .code = "invalid_argument", .detail = error.message};
    case Code::NotFound:
      return {.status = 404, .code = "not_found", .detail = error.message};
    case Code::AlreadyExists:
      return {.status = 409, .code = "unique_conflict", .detail = error.message};
    case Code::Conflict:
      return {.status = 409, .code = "version_conflict", .detail = error.message};
    case Code::PermissionDenied:
      return {.status = 403, .code = "forbidden", .detail = error.message};
    case Code::Exhausted:
    case Code::Unavailable:
    case Code::Timeout:
      return {.status = 503, .code = "storage_unavailable", .detail = error.message};
    case Code::Unsupported:
      return {.status = 422, .code = "invalid_argument", .detail = error.message};
    case Code::Internal:
      break;
  }
  // What broke inside is for our log, not for whoever asks.
  return {.status = 500, .code = "internal", .detail = "something went wrong inside the server"};
}

http::Response to_response(const Fault& error) { return to_response(to_problem(error)); }

http::Response json_response(int status, std::string body) {
  http::Response response{.status = status, .headers = {}, .body = std::move(body)};
  response.headers.add("Content-Type", "application/json");
  return response;
}

http::Response no_content() { return {.status = 204, .headers = {}, .body = {}}; }

}  // namespace jobmill::api
