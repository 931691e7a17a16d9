// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job.h"
#include "jobs/job_store.h"
#include "store/postgres/connection.h"
#include "store/postgres/lanes.h"

// Of a run, `u`, and its worker, `w`.
#define RUN_EVENT \
  "json_build_object('serverId', w.id, 'serverName', w.name, 'attempt', u.attempt)::text"

// What job_of() reads: the state of a job, `x`, which is in one of three tables, and the rest of
// it.
#define JOB_COLUMNS                                                                        \
  "x.id, x.lane, x.state, x.version, x.attempt, x.failures, x.crashes, x.since, x.run_at," \
  " j.v, j.retries, j.max_attempts, j.max_crashes, j.created_at, j.name, j.labels,"        \
  " coalesce(j.recurring, ''), j.created_by, j.meta, j.extra, j.args,"                     \
  " p.done, p.total, p.failed"
#define WITH_JOB                       \
  " JOIN jobmill_job j ON j.id = x.id" \
  " LEFT JOIN jobmill_progress p ON p.id = x.id AND p.attempt = x.attempt"

namespace jobmill::postgres {

inline constexpr int kJobColumns = 24;
jobs::Job job_of(const Rows& rows, std::size_t row, const Lanes& lanes);

Result<std::optional<jobs::Job>> get(Connection& connection, const Lanes& lanes,
                                     std::string_view id);
Result<std::vector<jobs::Job>> get(Connection& connection, const Lanes& lanes,
                                   std::span<const std::string> ids);  // those that exist
Result<std::vector<jobs::JobEvent>> history(Connection& connection, std::string_view id);
Result<std::map<std::string, std::vector<jobs::JobEvent>>> histories(
    Connection& connection, std::span<const std::string> ids);
Result<jobs::JobPage> list(Connection& connection, const Lanes& lanes, const jobs::JobQuery& query);
Result<std::vector<jobs::QueueStats>> queue_stats(Connection& connection, Lanes& lanes);
Result<std::int64_t> count_due(Connection& connection, std::span<const std::int32_t> lanes,
                               TimePoint until);
Result<std::optional<TimePoint>> next_due(Connection& connection,
                                          std::span<const std::int32_t> lanes, TimePoint after);
Result<int> count_active(Connection& connection, std::string_view recurring,
                         std::string_view except);

}  // namespace jobmill::postgres
