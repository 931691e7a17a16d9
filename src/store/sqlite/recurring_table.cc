// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/recurring_table.h"

#include <span>
#include <utility>

#include "base/duration.h"
#include "base/id.h"
#include "jobs/job_template.h"
#include "store/job_events.h"
#include "store/spec_json.h"

#define RECURRING                                                                     \
  "spec, version, created_at, next_run, next_seq, last_run, skipped, first_skipped, " \
  "last_skipped, skip_reason, runs, missed"

namespace jobmill::sqlite {

namespace {

using namespace store;

using jobs::JobState;
using jobs::RecurringJob;
using jobs::RecurringSpec;

constexpr char kAll[] = "SELECT " RECURRING " FROM recurring ORDER BY id";
constexpr char kFind[] = "SELECT " RECURRING " FROM recurring WHERE id = ?1";
constexpr char kSave[] = "INSERT OR REPLACE INTO recurring (id, " RECURRING
                         ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
constexpr char kRemove[] = "DELETE FROM recurring WHERE id = ?1";
constexpr char kNextRuns[] = "SELECT id, next_run FROM recurring WHERE next_run IS NOT NULL";

Fault unknown(std::string_view id) {
  return fail(Code::NotFound, "unknown recurring job " + std::string(id));
}

std::string by_recurring(const RecurringSpec& spec) { return "by recurring job '" + spec.id + "'"; }

}  // namespace

Status RecurringTable::load() {
  memory_.clear_next_runs();
  auto query = db_.use(kNextRuns);
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) return {};
    memory_.set_next_run(query.text(0), query.maybe_instant(1));
  }
}

Result<bool> RecurringTable::put(JobDelta& delta, const RecurringSpec& wanted, TimePoint now) {
  TRY(const auto times, jobs::Timetable::make(wanted));
  TRY(auto found, find(wanted.id));
  Row row = found ? *std::move(found) : Row{};
  const bool created = row.spec.empty();
  RecurringSpec spec = wanted;
  spec.paused |= row.job.spec.paused;
  std::string text = to_json(spec);
  if (row.spec == text) return false;

  if (created) {
    row.job.created_at = now;
  } else {
    row.job.version += 1;
    TRY_VOID(drop_ahead(delta, row, now, "replaced by a new version of its recurring job"));
  }
  row.job.spec = std::move(spec);
  row.spec = std::move(text);
  TRY_VOID(make_next(delta, row, times, now));
  TRY_VOID(save(row));
  return created;
}

Status RecurringTable::pause(JobDelta& delta, std::string_view id, bool paused, TimePoint now) {
  TRY(auto row, find(id));
  if (!row) return unknown(id);
  if (row->job.spec.paused == paused) return {};
  TRY(const auto times, jobs::Timetable::make(row->job.spec));
  row->job.version += 1;
  row->job.spec.paused = paused;
  row->spec = to_json(row->job.spec);
  TRY_VOID(drop_ahead(delta, *row, now, "recurring job paused"));
  TRY_VOID(make_next(delta, *row, times, now));
  return save(*row);
}

Result<std::vector<RecurringJob>> RecurringTable::list() {
  auto query = db_.use(kAll);
  std::vector<RecurringJob> all;
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) return all;
    TRY(Row row, row_of(query));
    all.push_back(std::move(row.job));
  }
}

Status RecurringTable::remove(JobDelta& delta, std::string_view id, TimePoint now) {
  TRY(auto row, find(id));
  if (!row) return unknown(id);
  TRY_VOID(drop_ahead(delta, *row, now, "recurring job removed"));
  TRY_VOID(db_.use(kRemove).bind(1, id).run());
  memory_.set_next_run(row->job.spec.id, std::nullopt);
  delta.due = true;
  return {};
}

Result<std::string> RecurringTable::trigger(JobDelta& delta, std::string_view id, TimePoint now) {
  TRY(auto row, find(id));
  if (!row) return unknown(id);
  const std::string reason = "recurring job '" + std::string(id) + "' triggered by hand";
  TRY(Run run, insert(delta, *row, std::nullopt, now, reason_event(reason)));
  row->job.runs += 1;
  TRY_VOID(save(*row));
  return std::move(run.id);
}

Result<bool> RecurringTable::plan(JobDelta& delta, std::string_view id, TimePoint now) {
  TRY(auto row, find(id));
  if (!row || !row->job.next_run || *row->job.next_run > now) return false;
  const auto times = jobs::Timetable::make(row->job.spec);
  if (!times) {  // the zone has left the system's database: nothing will run, and it is shown
    row->job.last_skip_reason = times.error().message;
    TRY_VOID(make_ahead(delta, *row, std::nullopt, now));
    TRY_VOID(save(*row));
    return true;
  }
  TRY(auto ahead, jobs_.find(row->next_seq));
  if (ahead && ahead->state != JobState::Scheduled) ahead.reset();
  TRY(const int active, jobs_.count_active(id, row->next_seq, now));
  const jobs::DueRun due{.created = row->job.created_at,
                         .ahead = *row->job.next_run,
                         .ahead_waits = ahead.has_value(),
                         .active = active};
  TRY_VOID(carry_out(delta, *row, jobs::plan_due(row->job.spec, *times, due, now), ahead, now));
  return true;
}

Status RecurringTable::carry_out(JobDelta& delta, Row& row, const jobs::RecurringPlan& plan,
                                 std::optional<JobRow> ahead, TimePoint now) {
  if (ahead) {
    const auto next = plan.run_ahead ? JobState::Enqueued : JobState::Deleted;
    TRY_VOID(
        jobs_.move(delta, *ahead, next, now, plan.run_ahead ? "{}" : reason_event(plan.reason)));
  }
  for (const TimePoint run : plan.catch_up) {
    const std::string reason = "missed run of " + format_instant(run);
    TRY([[maybe_unused]] const Run made,
        insert(delta, row, std::nullopt, now, reason_event(reason)));
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
  TRY_VOID(make_ahead(delta, row, plan.next, now));
  return save(row);
}

Status RecurringTable::make_next(JobDelta& delta, Row& row, const jobs::Timetable& times,
                                 TimePoint now) {
  const bool paused = row.job.spec.paused;
  return make_ahead(delta, row, paused ? std::nullopt : times.next(row.job.created_at, now), now);
}

Status RecurringTable::make_ahead(JobDelta& delta, Row& row, std::optional<TimePoint> at,
                                  TimePoint now) {
  row.job.next_run = at;
  row.next_seq = 0;
  memory_.set_next_run(row.job.spec.id, at);
  delta.due = true;
  if (!at) return {};
  TRY(const Run run, insert(delta, row, at, now, scheduled_event(*at, by_recurring(row.job.spec))));
  row.next_seq = run.seq;
  return {};
}

// Whoever ran or deleted it by hand has dealt with it.
Status RecurringTable::drop_ahead(JobDelta& delta, Row& row, TimePoint now,
                                  std::string_view reason) {
  TRY(auto ahead, jobs_.find(row.next_seq));
  if (!ahead || ahead->state != JobState::Scheduled) return {};
  return jobs_.move(delta, *ahead, JobState::Deleted, now, reason_event(reason));
}

Result<RecurringTable::Run> RecurringTable::insert(JobDelta& delta, const Row& row,
                                                   std::optional<TimePoint> at, TimePoint now,
                                                   std::string_view event) {
  const jobs::JobSpec& spec = row.job.spec.job;
  TRY(const auto texts, jobs::JobTemplate::compile(spec));
  TRY(const std::int64_t lane, jobs_.lane(spec.queue, spec.kind, spec.priority));
  NewJob job;
  job.lane = lane;
  job.spec = &spec;
  job.id = new_id(now);
  job.name = texts.name(0);
  job.labels = texts.labels(0);
  job.args = texts.args(0);
  job.max_attempts = jobs::max_attempts_of(retry_, spec);
  job.extra = to_text(spec.extra);
  job.run_at = at;
  job.recurring = row.job.spec.id;
  job.event = event;
  TRY(const std::int64_t seq, jobs_.insert(delta, std::span(&job, 1), now));
  return Run{seq, job.id};
}

// --- rows ----------------------------------------------------------------------------------------

Result<std::optional<RecurringTable::Row>> RecurringTable::find(std::string_view id) {
  auto query = db_.use(kFind);
  TRY(const bool some, query.bind(1, id).step());
  if (!some) return std::optional<Row>();
  TRY(Row row, row_of(query));
  return std::optional(std::move(row));
}

Result<RecurringTable::Row> RecurringTable::row_of(const Statement& query) {
  Row row;
  row.spec = query.text(0);
  TRY(row.job.spec, recurring_spec(row.spec));
  row.job.version = static_cast<int>(query.number(1));
  row.job.created_at = query.instant(2);
  row.job.next_run = query.maybe_instant(3);
  row.next_seq = query.number(4);
  row.job.last_run = query.maybe_instant(5);
  row.job.skipped_runs = query.number(6);
  row.job.first_skipped = query.maybe_instant(7);
  row.job.last_skipped = query.maybe_instant(8);
  row.job.last_skip_reason = query.text(9);
  row.job.runs = query.number(10);
  row.job.missed_runs = query.number(11);
  return row;
}

Status RecurringTable::save(const Row& row) {
  const RecurringJob& job = row.job;
  auto save = db_.use(kSave);
  save.bind(1, job.spec.id).bind(2, row.spec).bind(3, job.version).bind(4, job.created_at);
  save.bind(5, job.next_run).bind(6, row.next_seq).bind(7, job.last_run);
  save.bind(8, job.skipped_runs).bind(9, job.first_skipped).bind(10, job.last_skipped);
  save.bind(11, job.last_skip_reason);
  return save.bind(12, job.runs).bind(13, job.missed_runs).run();
}

}  // namespace jobmill::sqlite
