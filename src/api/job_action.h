// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/operations.h"
#include "api/route.h"
#include "jobs/job_explorer.h"
#include "jobs/job_store.h"

// What people do to many jobs at once.
namespace jobmill::api {

// "requeue", "delete", "reschedule", "move", "priority"
std::string_view to_string(jobs::Alteration::Kind kind);
std::optional<jobs::Alteration::Kind> alteration_kind(std::string_view name);

// The part of a filter that an action can be carried out on: jobs in the states that allow it.
// None: there is no such state.
std::optional<jobs::JobFilter> within_reach(jobs::Alteration::Kind kind, jobs::JobFilter filter);

// Operators may do it, unless it deletes other than running jobs.
Scope scope_of(jobs::Alteration::Kind kind, const jobs::JobFilter& filter);

// An action on many jobs, before it starts. `filter` is within reach; with ids it does not matter.
struct JobAction {
  jobs::Alteration alteration;
  jobs::JobFilter filter{};
  std::vector<std::string> ids{};
  std::string what{};  // for people; empty: the filter says it
};

// How many jobs there are for it now.
Result<jobs::JobCount> preview(ApiContext& context, const JobAction& action);

// Starts it; the operation's id. Only jobs that came into their state before now are touched, so
// that none of them is met twice.
Result<std::string> start(ApiContext& context, const Call& call, JobAction action);

// Answers a request for an action: 202 {"operationId"}, or with `dry_run` 200 {"matching"}.
http::Response act_on_jobs(ApiContext& context, const Call& call, JobAction action, bool dry_run);

// {"operationId": …} of an operation that has been started.
http::Response operation_started(const Result<std::string>& id);

}  // namespace jobmill::api
