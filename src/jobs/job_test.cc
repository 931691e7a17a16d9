// SPDX-License-Identifier: Apache-2.0
#include "jobs/job.h"

#include <doctest/doctest.h>

#include "jobs/job_store.h"

namespace jobmill::jobs {

TEST_CASE("job: states have the names that their readers know, in any case") {
  for (int i = 0; i <= static_cast<int>(JobState::Deleted); ++i) {
    const auto state = static_cast<JobState>(i);
    CHECK(job_state(to_string(state)) == state);
  }
  CHECK(to_string(JobState::Processing) == "PROCESSING");
  CHECK(job_state("enqueued") == JobState::Enqueued);
  CHECK_FALSE(job_state("PENDING"));
  CHECK_FALSE(job_state(""));
}

TEST_CASE("job: a PROCESSED job can only be asked to end") {
  CHECK(transition_allowed(JobState::Processed, JobState::Deleted));
  CHECK(transition_allowed(JobState::Processed, JobState::Succeeded));
  CHECK_FALSE(transition_allowed(JobState::Processed, JobState::Enqueued));
}

TEST_CASE("job store: worker states have names") {
  for (const auto state : {WorkerState::Run, WorkerState::Quiet, WorkerState::Stop}) {
    CHECK(worker_state(to_string(state)) == state);
  }
  CHECK_FALSE(worker_state("RUN"));
}

}  // namespace jobmill::jobs
