// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job_store.h"

namespace jobmill::worker {

// How a worker of this process introduces itself, as far as the process decides it: host, pid, the
// replica that it is, a name, and the version of the program (JOBMILL_VERSION).
jobs::WorkerSpec spec_of_this_process(std::string_view runtime);

// "25s", "PT25S", or a bare number of seconds.
Result<Duration> parse_grace(std::string_view text);

// JOBMILL_GRACE, else 25 s.
Result<Duration> grace_of_environment();

}  // namespace jobmill::worker
