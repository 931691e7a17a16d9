// SPDX-License-Identifier: Apache-2.0
#include "sample_request.h"

#include <charconv>

#include <fmt/core.h>

#include "base/duration.h"

namespace example {
namespace {

using jobmill::Code;
using jobmill::fail;
using jobmill::Result;

Result<std::int64_t> whole(std::string_view text, std::int64_t max) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > max)
    return fail(Code::InvalidArgument,
                fmt::format("'{}' is not a whole number from 0 to {}", text, max));
  return value;
}

Result<jobmill::Duration> delay(std::string_view text) {
  TRY(const jobmill::IsoDuration duration, jobmill::parse_iso_duration(text));
  if (duration.negative())
    return fail(Code::InvalidArgument, fmt::format("'{}' is negative", text));
  return jobmill::to_duration(duration);
}

template <class T>
void take(SampleRequest& wish, const char* parameter, Result<T> value, T& into) {
  if (value) {
    into = *value;
  } else if (wish.ok()) {
    wish.parameter = parameter;
    wish.reason = fmt::format("{}: {}", parameter, value.error().message);
  }
}

}  // namespace

SampleRequest parse_sample_request(const jobmill::http::Request& request) {
  constexpr std::int64_t kLongest = std::int64_t{1000} * 86'400 * 365;  // a year of milliseconds
  SampleRequest wish;
  if (const auto text = request.parameter("name")) wish.name = *text;
  if (const auto text = request.parameter("count"))
    take(wish, "count", whole(*text, kMaxCount), wish.count);
  if (const auto text = request.parameter("executionTimeMs"))
    take(wish, "executionTimeMs", whole(*text, kLongest), wish.execution_time_ms);
  if (const auto text = request.parameter("runIn")) take(wish, "runIn", delay(*text), wish.run_in);
  return wish;
}

}  // namespace example
