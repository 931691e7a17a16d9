// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/recurring.h"
#include "jobs/retry_policy.h"
#include "store/postgres/connection.h"
#include "store/postgres/job_tables.h"
#include "store/postgres/lanes.h"

namespace jobmill::postgres {

// Recurring jobs and the one run of each that is made ahead of time. Within one transaction, at
// `now` of the database.
class RecurringRows {
 public:
  struct Context {
    Connection& connection;
    Lanes& lanes;
    const jobs::RetryRules& retry;
    std::int64_t shard = 0;
    TimePoint now{};
    Effects& effects;
  };
  explicit RecurringRows(const Context& context) : in_(context) {}

  // The spec must be valid. True: it is new. The same spec again changes nothing; another one
  // replaces the run made ahead, and the anchor stays. What is paused stays so.
  Result<bool> put(const jobs::RecurringSpec& spec);
  Status remove(std::string_view id);
  Result<bool> pause(std::string_view id, bool paused);  // true: it was not so before
  Result<std::string> trigger(std::string_view id);
  // Does what is to be done now that a run of it is due. True: something was.
  Result<bool> plan(std::string_view id);

 private:
  struct Row {
    jobs::RecurringJob job;
    std::string spec;  // as stored
    std::string next_job;
    std::vector<std::string> active;
  };

  Result<std::optional<Row>> lock(std::string_view id);
  Status save(const Row& row);
  Result<std::optional<TimePoint>> next_run(const Row& row) const;
  Status make_ahead(Row& row, std::optional<TimePoint> at);
  Status drop_ahead(Row& row, std::string_view reason);
  Result<std::optional<JobRow>> ahead(const Row& row);
  Status carry_out(Row& row, const jobs::RecurringPlan& plan, std::optional<JobRow> ahead);
  Result<std::string> insert(Row& row, std::optional<TimePoint> at, std::string_view event);
  Status move(Move move);

  const Context in_;

  friend Result<std::vector<jobs::RecurringJob>> recurring_jobs(Connection& connection);
  static Result<Row> row_of(const Rows& rows, std::size_t i);
};

Result<std::vector<jobs::RecurringJob>> recurring_jobs(Connection& connection);
Result<std::vector<std::string>> due_recurring(Connection& connection);

}  // namespace jobmill::postgres
