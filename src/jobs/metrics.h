// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job_store.h"

namespace jobmill::jobs {

// The three numbers that autoscalers read. A store that cannot answer is an error, never a zero.

// ENQUEUED jobs, and for how long the oldest of them has waited.
struct EnqueuedMetric {
  Duration latency{};
  std::int64_t count = 0;
};

// Slots of the workers whose lease lives, and how many of them run a job.
struct WorkersMetric {
  double usage = 0.0;  // occupied / total, 0.0 without workers
  std::int64_t total = 0;
  std::int64_t occupied = 0;
};

// Empty queue: all. An unknown queue has zeros.
Result<EnqueuedMetric> enqueued_metric(JobStore& store, std::string_view queue, TimePoint now);

// Jobs that become due within `window`; those that are overdue count too.
Result<std::int64_t> scheduled_metric(JobStore& store, std::string_view queue, Duration window,
                                      TimePoint now);

Result<WorkersMetric> workers_metric(JobStore& store, TimePoint now);

// The queue of that rank in the configured order, 0 first. A queue literally so named wins.
Result<std::optional<std::string>> queue_of_priority(JobStore& store, std::string_view priority,
                                                     TimePoint now);

}  // namespace jobmill::jobs
