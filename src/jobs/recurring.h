// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "jobs/job.h"

namespace jobmill::jobs {

// What happens to runs that fell due while nobody could make them.
enum class Missed { Skip, Once, All, Within };

struct RecurringSpec {
  std::string id;                     // 1..127 characters of [0-9A-Za-z-_(),.]
  std::string schedule;               // cron, or an ISO-8601 interval anchored at creation
  std::string zone = "UTC";           // IANA name; cron only
  std::string dst;                    // empty = real-time; java-shift
  JobSpec job;
  Missed missed = Missed::Once;
  Duration missed_within{};           // with Missed::Within
  int missed_max = 1000;
  int max_concurrent = 1;             // runs at one time; more are recorded as skipped
  std::string created_by;
};

struct RecurringJob {
  RecurringSpec spec;
  int version = 1;
  TimePoint created_at{};             // the anchor of an interval
  std::optional<TimePoint> next_run;  // of the run that exists ahead of time
  std::optional<TimePoint> last_run;
  std::int64_t skipped_runs = 0;
  std::optional<TimePoint> first_skipped;
  std::optional<TimePoint> last_skipped;
  std::string last_skip_reason;
};

}  // namespace jobmill::jobs
