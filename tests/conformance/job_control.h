// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "conformance/job_store.h"

namespace jobmill::jobs {

// The part of the contract of JobStoreOwner that is about what people do: alter jobs, pause queues
// and recurring jobs.
void exercise_job_control(const MakeJobStore& make);

}  // namespace jobmill::jobs
