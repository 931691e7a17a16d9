// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/json_writer.h"
#include "jobs/job_store.h"

// Specs in the words of the worker protocol, in which they are shown and stored. Each writes
// members only: the object is the caller's, and may hold more.
namespace jobmill::jobs {

void write_members(JsonWriter& json, const JobSpec& spec);  // without id, time and count

// Without name and concurrency, which are not called the same everywhere.
void write_members(JsonWriter& json, const WorkerSpec& spec);

}  // namespace jobmill::jobs
