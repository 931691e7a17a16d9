// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <set>

#include "base/clock.h"
#include "base/thread_pool.h"
#include "jobs/job_store.h"
#include "net/event_loop.h"
#include "scalers/jobs.h"

namespace jobmill::app {

// The numbers of the trigger `jobs`, straight from the store, and the news that they may have
// changed: after each change of the store, and when a scheduled job comes into a trigger's window
// by the passing of time. The store is asked on the pool only.
class JobsFeed {
 public:
  JobsFeed(jobs::JobStoreOwner& store, ThreadPool& pool, net::EventLoop& timers, const Clock& clock)
      : store_(store), pool_(pool), timers_(timers), clock_(clock) {}

  scalers::JobsSource source();
  void changed();  // the store did; from any thread

 private:
  struct Subscription {
    scalers::JobsQuery query;
    std::function<void()> changed;
    std::optional<net::EventLoop::TimerId> timer{};  // of the next job that enters the window
    std::uint64_t round = 0;                         // of looks; a later one knows better
  };
  using Subscriptions = std::set<std::shared_ptr<Subscription>>;

  Result<double> read(const scalers::JobsQuery& query);
  std::shared_ptr<void> subscribe(const scalers::JobsQuery& query, std::function<void()> changed);
  void tell(const std::shared_ptr<Subscription>& subscription);
  void tell_all();

  jobs::JobStoreOwner& store_;
  ThreadPool& pool_;
  net::EventLoop& timers_;
  const Clock& clock_;
  std::atomic<bool> told_ = false;  // a round is on its way: later changes ride along
  std::mutex mutex_;                // guards subscriptions_, their timers and rounds
  Subscriptions subscriptions_;
};

}  // namespace jobmill::app
