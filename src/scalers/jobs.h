// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "scale/scaler.h"
#include "scalers/parameters.h"

namespace jobmill::scalers {

struct ScalerContext;

// The trigger `jobs`: the queues of the store that this server uses, read in process and pushed.
// docs/triggers/jobs.md is its page.

enum class JobsMetric {
  Backlog,  // enqueued + processing + scheduled to run within run_in_max
  Latency,  // age of the oldest enqueued job in milliseconds
  Usage,    // occupied / all slots of the workers, 0..1
};

struct JobsQuery {
  JobsMetric metric = JobsMetric::Backlog;
  std::string queue;  // empty: all queues
  Duration run_in_max{0};
};

// How the scaler gets its numbers without knowing the job engine.
struct JobsSource {
  // The number now. An unknown queue is 0. Called on the caller's thread of Scaler::read, of
  // `changed` or of a timer.
  std::function<Result<double>(const JobsQuery&)> read;

  // Calls `changed` after anything that may have moved the number, until the handle is dropped:
  // jobs that come or go, and also a scheduled job that enters run_in_max by the passing of time.
  // From any thread, holding no lock that `read` takes. A late or needless call does no harm.
  std::function<std::shared_ptr<void>(const JobsQuery&, std::function<void()> changed)> subscribe;
};

struct JobsTrigger {
  scale::MetricSpec metric;
  JobsQuery query;
  double activation = 0;
  Duration longest_wait{};  // of a read whose number does not change
};

std::span<const Parameter> jobs_parameters();
JobsTrigger decode_jobs(Parameters& parameters);
Result<JobsTrigger> parse_jobs(const scale::TriggerSpec& spec);

// The first read answers at once, each later one when the number differs from the last answer or
// the wait is over.
Result<std::unique_ptr<scale::Scaler>> make_jobs(const scale::TriggerSpec& spec,
                                                 const ScalerContext& context);

}  // namespace jobmill::scalers
