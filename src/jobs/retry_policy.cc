// SPDX-License-Identifier: Apache-2.0
#include "jobs/retry_policy.h"

#include <algorithm>

#include <fmt/core.h>

namespace jobmill::jobs {

Duration RetryPolicy::delay(int n) const {
  const std::int64_t limit = std::chrono::floor<std::chrono::seconds>(cap).count();
  std::int64_t seconds = 1;
  for (int i = 0; i < n; ++i) {
    if (seconds > limit / std::max<std::int64_t>(base, 1))
      return cap;  // would pass it, or overflow
    seconds *= base;
    if (base <= 1) break;  // no power of it differs
  }
  return std::min<Duration>(cap, std::chrono::seconds(seconds));
}

RetryDecision decide_retry(const RetryPolicy& policy, FailureCount count, bool do_not_retry,
                           std::optional<Duration> after) {
  if (do_not_retry || count.failures > count.max_retries) return {};
  return {.delay = after ? *after : policy.delay(count.failures),
          .reason = fmt::format("Retry {} of {}", count.failures, count.max_retries)};
}

std::optional<Duration> crash_delay(const RetryPolicy& policy, int crashes, int max_crashes) {
  if (crashes >= max_crashes) return std::nullopt;
  return crashes <= 1 ? Duration::zero() : policy.delay(crashes - 1);
}

}  // namespace jobmill::jobs
