// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/thread_pool.h"
#include "jobs/job_store.h"
#include "jobs/tally.h"
#include "net/event_loop.h"

namespace jobmill::app {

// Looks at the queues of the store after it changed, at most once a second; and every ten seconds
// while jobs wait or run, since not all that happens to those is told. Never while nothing does.
class QueueSampler {
 public:
  struct Seen {
    TimePoint at{};
    std::vector<jobs::QueueStats> queues;
    std::vector<jobs::Tally> tallies;
  };
  static constexpr Duration kFastest = std::chrono::seconds(1);
  static constexpr Duration kSlowest = std::chrono::seconds(10);

  // The store is asked on the pool; `seen` is called on the control thread.
  QueueSampler(jobs::JobStoreOwner& store, ThreadPool& pool, net::EventLoop& control,
               const Clock& clock, std::function<void(const Seen&)> seen)
      : store_(store), pool_(pool), control_(control), clock_(clock), seen_(std::move(seen)) {}

  void changed();  // the store did; from any thread

  void stop();  // on the control thread: `seen` is not called any more

 private:
  void look_at(TimePoint at);
  void look();
  void read();
  void take(const Seen& seen);

  jobs::JobStoreOwner& store_;
  ThreadPool& pool_;
  net::EventLoop& control_;
  const Clock& clock_;
  const std::function<void(const Seen&)> seen_;
  std::atomic<bool> told_ = false;  // a look is on its way: later changes ride along
  TimePoint last_{};                // of the control thread, as the next
  std::optional<net::EventLoop::TimerId> timer_;
  TimePoint due_{};  // of the timer
  bool stopped_ = false;
};

}  // namespace jobmill::app
