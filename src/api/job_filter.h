// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "api/json.h"
#include "api/query_reader.h"
#include "jobs/job_explorer.h"

// Which jobs, as clients say it:
// {"state":["FAILED"],"label":["tenant:a"],"arg":{"path":"0.customer", "op":"=","value":42}}, or as
// parameters ?state=FAILED&label=tenant:a&arg=0.customer=42.
namespace jobmill::api {

// The object's reader is closed, that of a query is not: it may hold more.
void read_filter(ObjectReader in, jobs::JobFilter& filter, std::vector<FieldError>& errors);
void read_filter(QueryReader& in, jobs::JobFilter& filter);

// The object that is read so; {} for all jobs.
std::string to_json(const jobs::JobFilter& filter);

}  // namespace jobmill::api
