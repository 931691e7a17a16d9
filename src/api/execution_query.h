// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "api/execution_plane.h"
#include "api/route.h"
#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"

// What requests about executions say in their queries. InvalidArgument names the parameter.
namespace jobmill::api {

executions::JobKey job_key(std::string_view group, std::string_view name);

// ?status=Failed&since=1h or an instant&$top=20&after=<name>
Result<ExecutionPlane::List> execution_query(const http::Request& request, TimePoint now);

// ?execution=&replica=&offset=&tail=&wait=<seconds>
Result<ExecutionPlane::Log> log_query(const http::Request& request);

// wait=<seconds>, half a minute at most; nothing: none.
Result<Duration> wait_in(const http::Request& request);

// Pages about executions: /api/executions, /api/container-jobs.
std::span<const Route> execution_page_routes();

}  // namespace jobmill::api
