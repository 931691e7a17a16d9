// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "conformance/job_store.h"

namespace jobmill::jobs {

// The part of the contract that is about what jobs tell and return, limits of time, policies of
// retries, snoozing, keys of requests and tallies. exercise_job_store calls it.
void exercise_operations(const MakeJobStore& make);

}  // namespace jobmill::jobs
