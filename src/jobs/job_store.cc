// SPDX-License-Identifier: Apache-2.0
#include "jobs/job_store.h"

#include <array>

#include <fmt/format.h>

#include "base/document.h"
#include "base/duration.h"

namespace jobmill::jobs {
namespace {

constexpr std::array<std::string_view, 3> kWorkerStates{"run", "quiet", "stop"};

}  // namespace

std::string_view to_string(WorkerState state) {
  return kWorkerStates[static_cast<std::size_t>(state)];
}

std::optional<WorkerState> worker_state(std::string_view text) {
  for (std::size_t i = 0; i < kWorkerStates.size(); ++i) {
    if (kWorkerStates[i] == text) return static_cast<WorkerState>(i);
  }
  return std::nullopt;
}

Status check_result(std::string_view json) {
  if (json.size() > kMaxResultBytes) {
    return fail(Code::Exhausted, fmt::format("result: payload_too_large: {} bytes, at most {}",
                                             json.size(), kMaxResultBytes));
  }
  if (const auto parsed = parse_json(json, {.bytes = kMaxResultBytes}); !parsed)
    return fail(Code::InvalidArgument, "result: " + parsed.error().message);
  return {};
}

Failure timed_out(const Extra& extra, Duration ran) {
  const bool too_long = extra.timeout > Duration::zero() && ran >= extra.timeout;
  return {.type = std::string(kTimeoutType),
          .message = too_long ? "it ran longer than " + jobmill::to_text(extra.timeout)
                              : "it told nothing for " + jobmill::to_text(extra.progress_timeout)};
}

}  // namespace jobmill::jobs
