// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/recurring_rows.h"

#include <span>
#include <utility>

#include "base/duration.h"
#include "base/id.h"
#include "jobs/job_template.h"
#include "store/job_events.h"
#include "store/postgres/transitions.h"
#include "store/spec_json.h"

#define RECURRING                                                                     \
  "spec, version, created_at, next_run, next_job, last_run, skipped, first_skipped, " \
  "last_skipped, skip_reason, active::text[], runs, missed"

namespace jobmill::postgres {
namespace {

using jobs::JobState;
using jobs::RecurringSpec;

constexpr Statement kAll{"recurring", "SELECT " RECURRING " FROM jobmill_recurring ORDER BY id"};
constexpr Statement kLockId{"lock_recurring_id",
                            "SELECT pg_advisory_xact_lock(1785684334, hashtext($1))"};
constexpr Statement kLock{"lock_recurring",
                          "SELECT " RECURRING " FROM jobmill_recurring WHERE id = $1 FOR UPDATE"};
constexpr Statement kRemove{"remove_recurring", "DELETE FROM jobmill_recurring WHERE id = $1"};
constexpr Statement kDue{"due_recurring",
                         "SELECT id FROM jobmill_recurring"
                         " WHERE next_run <= (SELECT jobmill_now()) ORDER BY next_run, id"};
constexpr Statement kSave{"save_recurring",
                          R"sql(
  INSERT INTO jobmill_recurring (id, spec, version, created_at, next_run, next_job, last_run,
                                 skipped, first_skipped, last_skipped, skip_reason, active, runs, missed)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
  ON CONFLICT (id) DO UPDATE SET spec = excluded.spec, version = excluded.version,
    next_run = excluded.next_run, next_job = excluded.next_job, last_run = excluded.last_run,
    skipped = excluded.skipped, first_skipped = excluded.first_skipped,
    last_skipped = excluded.last_skipped, skip_reason = excluded.skip_reason,
    active = excluded.active, runs = excluded.runs, missed = excluded.missed)sql"};
// Those of some runs that wait or run; one for later does neither.
constexpr Statement kActive{"active_runs",
                            R"sql(
  SELECT u.id FROM unnest($1::uuid[]) u(id)
  WHERE EXISTS (SELECT FROM jobmill_hot h WHERE h.id = ANY(ARRAY[u.id]))
     OR EXISTS (SELECT FROM jobmill_due d
                WHERE d.id = ANY(ARRAY[u.id]) AND d.run_at <= (SELECT jobmill_now())))sql"};
constexpr Statement kExisting{"existing_runs",
                              R"sql(
  SELECT u.id FROM unnest($1::uuid[]) u(id)
  WHERE EXISTS (SELECT FROM jobmill_hot h WHERE h.id = ANY(ARRAY[u.id]))
     OR EXISTS (SELECT FROM jobmill_due d WHERE d.id = ANY(ARRAY[u.id])))sql"};

Fault unknown(std::string_view id) {
  return fail(Code::NotFound, "unknown recurring job " + std::string(id));
}

std::string by_recurring(const RecurringSpec& spec) { return "by recurring job '" + spec.id + "'"; }

}  // namespace

Result<bool> RecurringRows::put(const RecurringSpec& asked) {
  TRY(auto found, lock(asked.id));
  Row row = found ? *std::move(found) : Row{};
  const bool created = row.spec.empty();
  RecurringSpec spec = asked;
  spec.paused |= row.job.spec.paused;
  std::string text = store::to_json(spec);
  if (row.spec == text) return false;

  if (created) {
    row.job.created_at = in_.now;
  } else {
    row.job.version += 1;
    TRY_VOID(drop_ahead(row, "replaced by a new version of its recurring job"));
  }
  row.job.spec = std::move(spec);
  row.spec = std::move(text);
  TRY(const auto next, next_run(row));
  TRY_VOID(make_ahead(row, next));
  TRY_VOID(save(row));
  return created;
}

Result<std::optional<TimePoint>> RecurringRows::next_run(const Row& row) const {
  if (row.job.spec.paused) return std::optional<TimePoint>();
  TRY(const auto times, jobs::Timetable::make(row.job.spec));
  return times.next(row.job.created_at, in_.now);
}

Result<bool> RecurringRows::pause(std::string_view id, bool paused) {
  TRY(auto row, lock(id));
  if (!row) return unknown(id);
  if (row->job.spec.paused == paused) return false;
  row->job.spec.paused = paused;
  row->job.version += 1;
  row->spec = store::to_json(row->job.spec);
  TRY_VOID(drop_ahead(*row, "its recurring job was paused"));
  TRY(const auto next, next_run(*row));
  TRY_VOID(make_ahead(*row, next));
  TRY_VOID(save(*row));
  return true;
}

Status RecurringRows::remove(std::string_view id) {
  TRY(auto row, lock(id));
  if (!row) return unknown(id);
  TRY_VOID(drop_ahead(*row, "recurring job removed"));
  TRY([[maybe_unused]] const Rows gone, in_.connection.run(kRemove, Parameters().text(id)));
  in_.effects.due = true;
  return {};
}

Result<std::string> RecurringRows::trigger(std::string_view id) {
  TRY(auto row, lock(id));
  if (!row) return unknown(id);
  const std::string reason = "recurring job '" + std::string(id) + "' triggered by hand";
  TRY(std::string job, insert(*row, std::nullopt, store::reason_event(reason)));
  row->job.runs += 1;
  TRY_VOID(save(*row));
  return job;
}

Result<bool> RecurringRows::plan(std::string_view id) {
  TRY(auto row, lock(id));
  if (!row || !row->job.next_run || *row->job.next_run > in_.now) return false;
  const auto times = jobs::Timetable::make(row->job.spec);
  if (!times) {  // the zone has left the system's database: nothing will run, and it is shown
    row->job.last_skip_reason = times.error().message;
    TRY_VOID(make_ahead(*row, std::nullopt));
    TRY_VOID(save(*row));
    return true;
  }
  TRY(auto next, ahead(*row));
  std::erase(row->active, row->next_job);
  TRY(const Rows active, in_.connection.run(kActive, Parameters().array(UuidArray(row->active))));
  const jobs::DueRun due{.created = row->job.created_at,
                         .ahead = *row->job.next_run,
                         .ahead_waits = next.has_value(),
                         .active = static_cast<int>(active.size())};
  TRY(const Rows existing,
      in_.connection.run(kExisting, Parameters().array(UuidArray(row->active))));
  row->active.clear();
  for (std::size_t i = 0; i < existing.size(); ++i) row->active.push_back(existing.uuid(i, 0));
  if (next) row->active.push_back(row->next_job);
  TRY_VOID(carry_out(*row, jobs::plan_due(row->job.spec, *times, due, in_.now), next));
  return true;
}

Status RecurringRows::carry_out(Row& row, const jobs::RecurringPlan& plan,
                                std::optional<JobRow> ahead) {
  if (ahead) {
    Move go{.row = *std::move(ahead), .steps = {}};
    if (plan.run_ahead) {
      go.steps.push_back({JobState::Enqueued, "{}"});
    } else {
      go.steps.push_back({JobState::Deleted, store::reason_event(plan.reason)});
    }
    TRY_VOID(move(std::move(go)));
  }
  for (const TimePoint run : plan.catch_up) {
    const std::string reason = "missed run of " + format_instant(run);
    TRY([[maybe_unused]] const auto made, insert(row, std::nullopt, store::reason_event(reason)));
  }
  row.job.runs += plan.started();
  row.job.missed_runs += plan.missed;
  if (plan.skipped > 0) {
    row.job.skipped_runs += plan.skipped;
    if (!row.job.first_skipped) row.job.first_skipped = plan.first_skipped;
    row.job.last_skipped = plan.last_skipped;
    row.job.last_skip_reason = plan.reason;
  }
  if (plan.last_run) row.job.last_run = plan.last_run;
  TRY_VOID(make_ahead(row, plan.next));
  return save(row);
}

Status RecurringRows::make_ahead(Row& row, std::optional<TimePoint> at) {
  row.job.next_run = at;
  row.next_job.clear();
  in_.effects.due = true;
  if (!at) return {};
  TRY(row.next_job, insert(row, at, store::scheduled_event(*at, by_recurring(row.job.spec))));
  return {};
}

Result<std::optional<JobRow>> RecurringRows::ahead(const Row& row) {
  if (row.next_job.empty()) return std::optional<JobRow>();
  TRY(auto rows, lock_jobs(in_.connection, std::span(&row.next_job, 1)));
  if (rows.empty() || rows.begin()->second.state != JobState::Scheduled) {
    return std::optional<JobRow>();
  }
  return std::optional(std::move(rows.begin()->second));
}

// Whoever ran or deleted it by hand has dealt with it.
Status RecurringRows::drop_ahead(Row& row, std::string_view reason) {
  TRY(auto next, ahead(row));
  if (!next) return {};
  return move(postgres::remove(*std::move(next), reason));
}

Status RecurringRows::move(Move move) {
  return postgres::move(in_.connection, std::span(&move, 1), in_.now, in_.shard, in_.effects);
}

Result<std::string> RecurringRows::insert(Row& row, std::optional<TimePoint> at,
                                          std::string_view event) {
  const jobs::JobSpec& spec = row.job.spec.job;
  TRY(const auto texts, jobs::JobTemplate::compile(spec));
  NewJob job;
  TRY(job.lane, in_.lanes.get_or_make(in_.connection, spec.queue, spec.kind, spec.priority));
  job.spec = &spec;
  job.id = new_id(in_.now);
  job.name = texts.name(0);
  job.labels = texts.labels(0);
  job.args = texts.args(0);
  job.max_attempts = jobs::max_attempts_of(in_.retry, spec);
  job.run_at = at;
  job.recurring = row.job.spec.id;
  job.event = event;
  Pipeline pipeline(in_.connection);
  add_inserts(pipeline, std::span(&job, 1), in_.shard, in_.effects);
  TRY([[maybe_unused]] const auto made, pipeline.finish());
  if (!at) row.active.push_back(job.id);
  return std::move(job.id);
}

// --- rows ----------------------------------------------------------------------------------------

// The lock by name makes two that create the same one wait for each other.
Result<std::optional<RecurringRows::Row>> RecurringRows::lock(std::string_view id) {
  TRY([[maybe_unused]] const Rows named, in_.connection.run(kLockId, Parameters().text(id)));
  TRY(const Rows rows, in_.connection.run(kLock, Parameters().text(id)));
  if (rows.empty()) return std::optional<Row>();
  TRY(Row row, row_of(rows, 0));
  return std::optional(std::move(row));
}

Result<RecurringRows::Row> RecurringRows::row_of(const Rows& rows, std::size_t i) {
  Row row;
  row.spec = rows.text(i, 0);
  TRY(row.job.spec, store::recurring_spec(row.spec));
  row.job.version = rows.int4(i, 1);
  row.job.created_at = rows.timestamp(i, 2);
  row.job.next_run = rows.maybe_timestamp(i, 3);
  row.next_job = rows.uuid(i, 4);
  row.job.last_run = rows.maybe_timestamp(i, 5);
  row.job.skipped_runs = rows.int8(i, 6);
  row.job.first_skipped = rows.maybe_timestamp(i, 7);
  row.job.last_skipped = rows.maybe_timestamp(i, 8);
  row.job.last_skip_reason = rows.text(i, 9);
  row.active = rows.texts(i, 10);
  row.job.runs = rows.int8(i, 11);
  row.job.missed_runs = rows.int8(i, 12);
  return row;
}

Status RecurringRows::save(const Row& row) {
  const jobs::RecurringJob& job = row.job;
  Parameters parameters;
  parameters.text(job.spec.id).text(row.spec).int4(job.version).timestamp(job.created_at);
  parameters.timestamp(job.next_run).uuid(row.next_job).timestamp(job.last_run);
  parameters.int8(job.skipped_runs).timestamp(job.first_skipped).timestamp(job.last_skipped);
  parameters.text(job.last_skip_reason).array(UuidArray(row.active));
  parameters.int8(job.runs).int8(job.missed_runs);
  TRY([[maybe_unused]] const Rows saved, in_.connection.run(kSave, parameters));
  return {};
}

Result<std::vector<jobs::RecurringJob>> recurring_jobs(Connection& connection) {
  TRY(const Rows rows, connection.run(kAll));
  std::vector<jobs::RecurringJob> all;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    TRY(auto row, RecurringRows::row_of(rows, i));
    all.push_back(std::move(row.job));
  }
  return all;
}

Result<std::vector<std::string>> due_recurring(Connection& connection) {
  TRY(const Rows rows, connection.run(kDue));
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < rows.size(); ++i) ids.emplace_back(rows.text(i, 0));
  return ids;
}

}  // namespace jobmill::postgres
