// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/document.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "jobs/retry_policy.h"

namespace jobmill::jobs {

inline constexpr std::size_t kMaxTraceState = 512;

// W3C trace context: `traceparent` and `tracestate`. Empty: none.
struct Trace {
  std::string parent{};
  std::string state{};

  bool operator==(const Trace&) const = default;
};

// "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
bool is_traceparent(std::string_view text);

// What only few jobs say. Each database keeps it as one text, which is empty for most jobs.
struct Extra {
  std::optional<RetryPolicy> retry{};  // of this job; excludes JobSpec::retries
  Duration timeout{};                  // of one attempt; zero: none
  Duration progress_timeout{};         // how long an attempt may say nothing; zero: for ever
  Trace trace{};
  std::optional<Duration> result_ttl{};  // none: its result lives as long as the job

  bool operator==(const Extra&) const = default;
};

// InvalidArgument "<field>: <reason>", the field as the worker protocol calls it.
Status check(const Extra& extra);

// JSON, or nothing when there is nothing to tell.
std::string to_text(const Extra& extra);
Result<Extra> extra_of(std::string_view text);

// The same in the words of the worker protocol: members only, those that say something.
void write_members(JsonWriter& json, const Extra& extra);
// Of an object that may hold more. What is missing or of another kind has its default: this is for
// reading what write_members wrote.
Extra read_extra(const Node& object);

// A policy as an object, {"delays": […]} or {"base", "factor", "cap", "jitter"}, in seconds.
void write_policy(JsonWriter& json, const RetryPolicy& policy);
RetryPolicy read_policy(const Node& object);

}  // namespace jobmill::jobs
