// SPDX-License-Identifier: Apache-2.0
#include "api/execution_query.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include <fmt/core.h>

#include "base/duration.h"
#include "broker/address.h"
#include "executions/execution.h"

namespace jobmill::api {
namespace {

constexpr std::uint64_t kLongestWait = 30;
constexpr std::uint64_t kLargestPage = 1000;

std::string text_in(const http::Request& request, std::string_view name) {
  return std::string(request.parameter(name).value_or(""));
}

Result<std::optional<std::uint64_t>> whole(const http::Request& request, std::string_view name) {
  const auto text = request.parameter(name);
  if (!text) return std::optional<std::uint64_t>();
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error == std::errc() && end == text->data() + text->size())
    return std::optional<std::uint64_t>(value);
  return fail(Code::InvalidArgument,
              fmt::format("{}: expected a whole number, not '{}'", name, *text));
}

// An instant, or how long ago.
Result<TimePoint> instant(std::string_view text, TimePoint now) {
  if (const auto at = parse_instant(text)) return *at;
  if (const auto ago = parse_duration(text)) return now - *ago;
  return fail(Code::InvalidArgument,
              fmt::format("since: expected a time such as 2025-01-01T00:00:00Z, or how long ago "
                          "(30m), not '{}'",
                          text));
}

}  // namespace

executions::JobKey job_key(std::string_view group, std::string_view name) {
  return {.group = broker::lower(group), .name = broker::lower(name)};
}

Result<ExecutionPlane::List> execution_query(const http::Request& request, TimePoint now) {
  ExecutionPlane::List query{.after = text_in(request, "after")};
  if (const std::string status = text_in(request, "status"); !status.empty()) {
    query.status = executions::execution_status_named(status);
    if (!query.status)
      return fail(Code::InvalidArgument, fmt::format("status: there is no status '{}'", status));
  }
  if (const std::string since = text_in(request, "since"); !since.empty()) {
    TRY(query.since, instant(since, now));
  }
  TRY(const auto top, whole(request, "$top"));
  if (top) query.limit = std::clamp<std::uint64_t>(*top, 1, kLargestPage);
  return query;
}

Result<ExecutionPlane::Log> log_query(const http::Request& request) {
  ExecutionPlane::Log query{.execution = text_in(request, "execution"),
                            .replica = text_in(request, "replica")};
  TRY(const auto offset, whole(request, "offset"));
  query.offset = offset.value_or(0);
  TRY(query.tail, whole(request, "tail"));
  TRY(query.wait, wait_in(request));
  return query;
}

Result<Duration> wait_in(const http::Request& request) {
  TRY(const auto seconds, whole(request, "wait"));
  return Duration(std::chrono::seconds(std::min(seconds.value_or(0), kLongestWait)));
}

}  // namespace jobmill::api
