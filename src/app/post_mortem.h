// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "jobs/job_store.h"
#include "targets/process/replica_set.h"

namespace jobmill::app {

// What the end of a process tells of the jobs that it ran.
jobs::Crash crash_of(const targets::ProcessExit& exit);

}  // namespace jobmill::app
