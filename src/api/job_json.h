// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/json.h"
#include "base/json_writer.h"
#include "jobs/job_store.h"

// Jobs and what belongs to them, as the worker protocol writes them. Its other end is in wire/.
namespace jobmill::api {

// Closes the reader, whose errors are `errors`.
void read_spec(ObjectReader in, jobs::JobSpec& spec, std::vector<FieldError>& errors);

void write_job(JsonWriter& json, const jobs::Job& job);          // an object
void write_job_members(JsonWriter& json, const jobs::Job& job);  // of one that may hold more
void write_claimed(JsonWriter& json, const jobs::ClaimedJob& claimed,
                   const std::string& lease_until);
void write_log(JsonWriter& json, const jobs::JobLog& log);
void write_outcome(JsonWriter& json, const jobs::Outcome& outcome);
void write_event(JsonWriter& json, const jobs::JobEvent& event);
void write_inserted(JsonWriter& json, const jobs::Inserted& inserted);
void write_spec(JsonWriter& json, const jobs::JobSpec& spec);
void write_worker(JsonWriter& json, const jobs::Worker& worker);

}  // namespace jobmill::api
