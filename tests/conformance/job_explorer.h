// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "conformance/job_store.h"
#include "jobs/job_explorer.h"

namespace jobmill::jobs {

// An empty store, and what looks into it.
struct JobExplorerFixture {
  JobStoreFixture jobs;
  JobExplorer& explorer;
};

using MakeJobExplorer = std::function<JobExplorerFixture()>;

// The contract of JobExplorer, as tests. Each implementation calls this from a test case of its
// own.
void exercise_job_explorer(const MakeJobExplorer& make);

}  // namespace jobmill::jobs
