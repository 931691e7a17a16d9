// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <optional>

#include "base/clock.h"
#include "jobs/job.h"

namespace jobmill::postgres {

// How far the database's clock is ahead of this host's, so that callers give and get instants of
// their own clock. `clock` stands in for both in tests. Safe from any thread.
class StorageClock {
 public:
  explicit StorageClock(const Clock* clock) : clock_(clock) {}

  // With the database's time as it was read just now.
  void measure(TimePoint storage) {
    // Clocks of one host, read one after the other, differ by less.
    constexpr Duration kSameClock = std::chrono::milliseconds(20);
    const SystemClock host;
    const Duration ahead = storage - (clock_ != nullptr ? *clock_ : host).now();
    ahead_ = std::chrono::abs(ahead) < kSameClock ? Duration::zero() : ahead;
  }

  TimePoint estimate() const {
    return clock_ != nullptr ? clock_->now() : to_storage(SystemClock().now());
  }
  TimePoint to_storage(TimePoint at) const {
    return at < TimePoint::max() - std::chrono::hours(24 * 365) ? at + ahead_.load() : at;
  }
  TimePoint to_caller(TimePoint at) const { return at - ahead_.load(); }
  std::optional<TimePoint> to_caller(std::optional<TimePoint> at) const {
    return at ? std::optional(to_caller(*at)) : at;
  }
  void translate(jobs::Job& job) const {
    job.created_at = to_caller(job.created_at);
    job.updated_at = to_caller(job.updated_at);
    job.run_at = to_caller(job.run_at);
    job.deadline = to_caller(job.deadline);
  }

 private:
  const Clock* const clock_;
  std::atomic<Duration> ahead_{Duration::zero()};
};

}  // namespace jobmill::postgres
