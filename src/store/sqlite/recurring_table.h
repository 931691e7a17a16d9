// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/recurring.h"
#include "store/sqlite/job_memory.h"
#include "store/sqlite/job_tables.h"
#include "store/sqlite/sqlite.h"

namespace jobmill::sqlite {

// Recurring jobs and the one run of each that is made ahead of time. Only inside a work of the
// commit queue.
class RecurringTable {
 public:
  RecurringTable(Database& db, JobMemory& memory, JobTables& jobs, const jobs::RetryRules& retry)
      : db_(db), memory_(memory), jobs_(jobs), retry_(retry) {}

  Status load();

  // The spec must be valid. True: it is new. The same spec again changes nothing; another one
  // replaces the run made ahead, and the anchor stays. What is paused remains so.
  Result<bool> put(JobDelta& delta, const jobs::RecurringSpec& spec, TimePoint now);
  Result<std::vector<jobs::RecurringJob>> list();
  Status remove(JobDelta& delta, std::string_view id, TimePoint now);
  Result<std::string> trigger(JobDelta& delta, std::string_view id, TimePoint now);

  Status pause(JobDelta& delta, std::string_view id, bool paused, TimePoint now);

  // Does what is to be done now that a run of it is due. True: something was.
  Result<bool> plan(JobDelta& delta, std::string_view id, TimePoint now);

 private:
  struct Row {
    jobs::RecurringJob job;
    std::string spec;  // as stored
    std::int64_t next_seq = 0;
  };
  struct Run {
    std::int64_t seq = 0;
    std::string id;
  };

  Result<std::optional<Row>> find(std::string_view id);
  static Result<Row> row_of(const Statement& query);
  Status save(const Row& row);
  Status make_next(JobDelta& delta, Row& row, const jobs::Timetable& times, TimePoint now);
  Status make_ahead(JobDelta& delta, Row& row, std::optional<TimePoint> at, TimePoint now);
  Status drop_ahead(JobDelta& delta, Row& row, TimePoint now, std::string_view reason);
  Status carry_out(JobDelta& delta, Row& row, const jobs::RecurringPlan& plan,
                   std::optional<JobRow> ahead, TimePoint now);
  Result<Run> insert(JobDelta& delta, const Row& row, std::optional<TimePoint> at, TimePoint now,
                     std::string_view event);

  Database& db_;
  JobMemory& memory_;
  JobTables& jobs_;
  const jobs::RetryRules& retry_;
};

}  // namespace jobmill::sqlite
