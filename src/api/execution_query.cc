// SPDX-License-Identifier: Apache-2.0
#include "api/execution_query.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include <fmt/core.h>

#include "base/time_or_ago.h"
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
    auto at = time_or_ago(since, now);
    if (!at) return fail(Code::InvalidArgument, "since: " + at.error().message);
    query.since = *at;
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
