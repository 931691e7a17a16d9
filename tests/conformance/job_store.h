// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"
#include "jobs/job_store.h"

namespace jobmill::jobs {

// An empty store under test: itself, its owner's side (the same object, or the one behind the
// server that a remote store talks to), and the clock by which the owner's side judges. Defaults
// apply: lease 30 s, beat 10 s, 10 retries, retention 36 h and 72 h.
struct JobStoreFixture {
  std::shared_ptr<void> keep;  // whatever must live as long
  JobStore& store;
  JobStoreOwner& owner;
  ManualClock& clock;
};

using MakeJobStore = std::function<JobStoreFixture()>;

// The contract of JobStore, as tests. Each implementation calls this from a test case of its own.
void exercise_job_store(const MakeJobStore& make);

}  // namespace jobmill::jobs
