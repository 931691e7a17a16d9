// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "jobs/job_store.h"

namespace jobmill::store {

// At most so many bytes, not in the middle of a character.
std::string_view shortened(std::string_view text, std::size_t bytes);

// The fields of history events, as JSON objects. Their names are JobRunr's.

std::string reason_event(std::string_view reason);  // "{}" without one
std::string scheduled_event(TimePoint run_at, std::string_view reason);

// Without the attempt, which differs from job to job, and the closing brace.
std::string processing_event_start(std::string_view worker_id, std::string_view worker_name);
std::string processing_event(std::string_view start, int attempt);
std::string succeeded_event(Duration waited, Duration ran);
std::string failed_event(const jobs::Failure& failure, int attempt, int max_attempts,
                         bool do_not_retry);
inline constexpr std::string_view kCrashLimitType = "jobmill.CrashLimit";
std::string crash_text(const jobs::Crash& crash);  // how the process ended
std::string crash_limit_event(const jobs::Crash& crash, int crashes);
std::string crash_reason(const jobs::Crash& crash, int crashes, int max_crashes);

// PROCESSING events tell until when the run was known to go on: to its end, or to the last beat of
// its worker.
void add_heartbeats(std::vector<jobs::JobEvent>& events, std::optional<TimePoint> last_beat);

}  // namespace jobmill::store
