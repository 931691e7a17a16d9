// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

#include "base/clock.h"

namespace jobmill::testing {

// The test's own thread as the thread that owns things: other threads post to it, and it runs what
// was posted, and timers, while it waits for an event.
class ControlQueue {
 public:
  using Work = std::function<void()>;

  std::function<void(Work)> post() {
    return [this](Work work) { run_after({}, std::move(work)); };
  }

  void run_after(Duration delay, Work work) {
    const std::lock_guard lock(mutex_);
    work_.emplace(Steady::now() + delay, std::move(work));
    changed_.notify_one();
  }

  // Fails the test when it does not come true. The limit is for broken code, not for slow machines.
  void run_until(const std::function<bool()>& come_true) {
    const auto limit = Steady::now() + std::chrono::seconds(60);
    while (!come_true()) {
      std::unique_lock lock(mutex_);
      const auto next = work_.empty() ? limit : std::min(limit, work_.begin()->first);
      if (next > Steady::now()) changed_.wait_until(lock, next);
      const auto now = Steady::now();
      const bool too_late = now >= limit;
      REQUIRE_FALSE(too_late);
      if (work_.empty() || work_.begin()->first > now) continue;
      const auto due = work_.extract(work_.begin());
      lock.unlock();
      due.mapped()();
    }
  }

 private:
  using Steady = std::chrono::steady_clock;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<Steady::time_point, Work> work_;  // equal times in the order given
};

}  // namespace jobmill::testing
