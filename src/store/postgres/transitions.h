// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/clock.h"
#include "jobs/job_store.h"
#include "jobs/retry_policy.h"
#include "store/postgres/job_tables.h"

// What becomes of a job, as transitions of its row. Nothing is written here.
namespace jobmill::postgres {

Move succeed(JobRow row, std::string result, TimePoint now);
Move requeue(JobRow row, std::string_view reason = {});
// For then; from FAILED as if it were requeued. What is in the past is ready at once.
Move reschedule(JobRow row, TimePoint run_at, std::string_view reason, TimePoint now);
Move remove(JobRow row, std::string_view reason);
Move release(JobRow row, std::string_view reason);
Move snooze(JobRow row, Duration after, TimePoint now);

// How a job of that kind goes on after a failure. `unit`: a random number of [0, 1).
struct RetryContext {
  const jobs::RetryRules& rules;
  std::string_view kind;
  double unit = 0.5;
};
Move fail_attempt(JobRow row, const jobs::Failure& failure, const RetryContext& context,
                  TimePoint now);
Move crash(JobRow row, const jobs::Crash& how, const RetryContext& context, TimePoint now);

}  // namespace jobmill::postgres
