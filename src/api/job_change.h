// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "api/route.h"
#include "base/result.h"

// Requests about jobs that several paths share.
namespace jobmill::api {

// 204, or why not: 409 illegal_transition when the job's state does not allow it.
http::Response changed(const Status& status, const std::string& job_id);

void post_jobs(ApiContext& context, Call call);
void post_requeue(ApiContext& context, Call call);
void get_logs(ApiContext& context, Call call);

}  // namespace jobmill::api
