// SPDX-License-Identifier: Apache-2.0
#include "jobs/metrics.h"

#include <algorithm>

namespace jobmill::jobs {

Result<EnqueuedMetric> enqueued_metric(JobStore& store, std::string_view queue, TimePoint now) {
  TRY(const auto queues, store.queues(now));
  EnqueuedMetric metric;
  for (const QueueStats& stats : queues) {
    if (stats.paused || (!queue.empty() && stats.queue != queue)) continue;
    metric.count += stats.enqueued;
    if (stats.oldest) metric.latency = std::max(metric.latency, now - *stats.oldest);
  }
  return metric;
}

Result<std::int64_t> scheduled_metric(JobStore& store, std::string_view queue, Duration window,
                                      TimePoint now) {
  // A window beyond the end of time holds everything.
  const bool endless = window > TimePoint::max() - now;
  return store.scheduled_until(queue, endless ? TimePoint::max() : now + window);
}

Result<WorkersMetric> workers_metric(JobStore& store, TimePoint now) {
  TRY(const auto workers, store.workers(now));
  WorkersMetric metric;
  for (const Worker& worker : workers) {
    metric.total += worker.spec.concurrency;
    // A worker may hold more than it has slots, for later; what it cannot run does not occupy one.
    metric.occupied += std::min(worker.occupied, worker.spec.concurrency);
  }
  if (metric.total > 0) {
    metric.usage = static_cast<double>(metric.occupied) / static_cast<double>(metric.total);
  }
  return metric;
}

Result<std::optional<std::string>> queue_of_priority(JobStore& store, std::string_view priority,
                                                     TimePoint now) {
  TRY(const auto queues, store.queues(now));
  std::optional<std::string> ranked;
  for (const QueueStats& stats : queues) {
    if (stats.queue == priority) return std::optional(stats.queue);
    if (std::to_string(stats.priority) == priority) ranked = stats.queue;
  }
  return ranked;
}

}  // namespace jobmill::jobs
