// SPDX-License-Identifier: Apache-2.0
#include "app/jobs_feed.h"

#include <algorithm>

#include "jobs/metrics.h"

namespace jobmill::app {

using scalers::JobsMetric;
using scalers::JobsQuery;

Result<double> JobsFeed::read(const JobsQuery& query) {
  const TimePoint now = clock_.now();
  if (query.metric == JobsMetric::Usage) {
    TRY(const auto workers, jobs::workers_metric(store_, now));
    return workers.usage;
  }
  if (query.metric == JobsMetric::Latency) {
    TRY(const auto enqueued, jobs::enqueued_metric(store_, query.queue, now));
    return std::chrono::duration<double, std::milli>(enqueued.latency).count();
  }
  TRY(const auto queues, store_.queues(now));
  TRY(const auto scheduled, store_.scheduled_until(query.queue, now + query.run_in_max));
  std::int64_t backlog = scheduled;
  for (const jobs::QueueStats& queue : queues)
    if (!queue.paused && (query.queue.empty() || queue.queue == query.queue))
      backlog += queue.enqueued + queue.processing;
  return static_cast<double>(backlog);
}

scalers::JobsSource JobsFeed::source() {
  return {.read = [this](const JobsQuery& query) { return read(query); },
          .subscribe =
              [this](const JobsQuery& query, std::function<void()> changed) {
                return subscribe(query, std::move(changed));
              }};
}

std::shared_ptr<void> JobsFeed::subscribe(const JobsQuery& query, std::function<void()> changed) {
  auto subscription = std::make_shared<Subscription>(Subscription{query, std::move(changed), {}});
  {
    std::lock_guard lock(mutex_);
    subscriptions_.insert(subscription);
  }
  pool_.post([this, subscription] { tell(subscription); });
  return {subscription.get(), [this, subscription](void*) {
            std::lock_guard lock(mutex_);
            if (subscription->timer) timers_.cancel(*subscription->timer);
            subscriptions_.erase(subscription);
          }};
}

void JobsFeed::changed() {
  {
    const std::lock_guard lock(mutex_);
    if (subscriptions_.empty()) return;  // a new one looks by itself
  }
  if (!told_.exchange(true)) pool_.post([this] { tell_all(); });
}

void JobsFeed::tell_all() {
  told_ = false;
  Subscriptions now;
  {
    std::lock_guard lock(mutex_);
    now = subscriptions_;
  }
  for (const auto& subscription : now) tell(subscription);
}

// Tells one trigger, and arms the timer for the next job that time will bring into its window.
void JobsFeed::tell(const std::shared_ptr<Subscription>& subscription) {
  subscription->changed();
  if (subscription->query.metric != JobsMetric::Backlog) return;
  std::uint64_t round = 0;
  {
    std::lock_guard lock(mutex_);
    round = ++subscription->round;
  }
  const TimePoint now = clock_.now();
  const Duration window = subscription->query.run_in_max;
  const auto due = store_.next_due(subscription->query.queue, now + window);
  std::lock_guard lock(mutex_);
  if (subscription->round != round) return;  // a later look knows better
  if (subscription->timer) timers_.cancel(*subscription->timer);
  subscription->timer.reset();
  if (!due || !*due || !subscriptions_.contains(subscription)) return;
  const Duration wait = std::max(**due - window - now, Duration(1000));
  subscription->timer = timers_.run_after(
      wait, [this, subscription] { pool_.post([this, subscription] { tell(subscription); }); });
}

}  // namespace jobmill::app
