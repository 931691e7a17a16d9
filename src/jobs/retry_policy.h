// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"

namespace jobmill::jobs {

// How long to wait before the n-th retry: min(cap, base^n) seconds, in integers.
struct RetryPolicy {
  std::int64_t base = 3;
  Duration cap = std::chrono::hours(24);

  Duration delay(int n) const;
};

// What becomes of a job after a failure.
struct RetryDecision {
  std::optional<Duration> delay;  // none: it stays FAILED until somebody acts on it
  std::string reason;             // "Retry 1 of 10"
};

struct FailureCount {
  int failures = 1;  // this one included
  int max_retries = 0;
};

// `after`: the handler itself named the delay; the limit holds all the same.
RetryDecision decide_retry(const RetryPolicy& policy, FailureCount count, bool do_not_retry,
                           std::optional<Duration> after = std::nullopt);

// Crashes are counted apart and have a limit of their own. The first one returns the job at once,
// the n-th waits base^(n-1) seconds. None: the limit is reached.
std::optional<Duration> crash_delay(const RetryPolicy& policy, int crashes, int max_crashes);

}  // namespace jobmill::jobs
