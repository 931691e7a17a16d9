// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/job_views.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include <fmt/core.h>

#include "base/id.h"
#include "store/job_events.h"

namespace jobmill::postgres {
namespace {

using jobs::Job;
using jobs::JobState;

int number(JobState state) { return static_cast<int>(state); }
JobState state_of(std::int64_t number) { return static_cast<JobState>(number); }

// One snapshot over the three tables: a job is in exactly one of them.
#define HOT_STATE                                                                \
  "SELECT id, lane, state::integer, version, attempt, failures, crashes, since," \
  " NULL::timestamptz AS run_at FROM jobmill_hot"
#define DUE_STATE                                                                   \
  "SELECT id, lane, 1 AS state, version, attempt, failures, crashes, since, run_at" \
  " FROM jobmill_due"
#define DONE_STATE                                                                     \
  "SELECT id, lane, state::integer, version, attempt, failures, crashes, at AS since," \
  " NULL::timestamptz AS run_at FROM jobmill_done"

constexpr Statement kGet{
    "get", "SELECT " JOB_COLUMNS " FROM (" HOT_STATE " WHERE id = $1 UNION ALL " DUE_STATE
           " WHERE id = $1 UNION ALL " DONE_STATE " WHERE id = $1) x" WITH_JOB};

constexpr Statement kGetMany{
    "get_many", "SELECT " JOB_COLUMNS " FROM (" HOT_STATE " WHERE id = ANY($1) UNION ALL " DUE_STATE
                " WHERE id = ANY($1) UNION ALL " DONE_STATE " WHERE id = ANY($1)) x" WITH_JOB};

constexpr Statement kPageAll{
    "page_all", "SELECT " JOB_COLUMNS
                " FROM (SELECT id, created_at FROM jobmill_job"
                "       WHERE (created_at, id) < ($1, $2) AND ($3 = '' OR lane = ANY($4))"
                "       ORDER BY created_at DESC, id DESC LIMIT $5) k"
                " CROSS JOIN LATERAL (" HOT_STATE " WHERE id = k.id UNION ALL " DUE_STATE
                " WHERE id = k.id UNION ALL " DONE_STATE " WHERE id = k.id) x" WITH_JOB
                " ORDER BY k.created_at DESC, k.id DESC"};

constexpr Statement kPageDone{
    "page_done",
    "SELECT " JOB_COLUMNS " FROM (" DONE_STATE
    " WHERE state = $6 AND (at, id) < ($1, $2) AND ($3 = '' OR lane = ANY($4))"
    " ORDER BY at DESC, id DESC LIMIT $5) x" WITH_JOB " ORDER BY x.since DESC, x.id DESC"};

constexpr Statement kPageDue{"page_due",
                             "SELECT " JOB_COLUMNS " FROM (" DUE_STATE
                             " WHERE (since, id) < ($1, $2) AND ($3 = '' OR lane = ANY($4))"
                             " ORDER BY since DESC, id DESC LIMIT $5) x" WITH_JOB
                             " ORDER BY x.since DESC, x.id DESC"};

constexpr Statement kPageRunning{
    "page_running",
    "SELECT " JOB_COLUMNS " FROM (" HOT_STATE
    " WHERE state = 3 AND (since, id) < ($1, $2) AND ($3 = '' OR lane = ANY($4))"
    " ORDER BY since DESC, id DESC LIMIT $5) x" WITH_JOB " ORDER BY x.since DESC, x.id DESC"};

// By place, in which they came to be ready; its cursor is a place.
constexpr Statement kPageReady{
    "page_ready",
    "SELECT " JOB_COLUMNS
    ", x.place FROM (SELECT y.* FROM unnest($3::integer[]) l(lane) CROSS JOIN LATERAL ("
    "   SELECT id, lane, state::integer, version, attempt, failures, crashes, since,"
    "     NULL::timestamptz AS run_at, place FROM jobmill_hot h"
    "   WHERE h.lane = l.lane AND h.state = 2 AND (h.place, h.id) < ($1, $2)"
    "   ORDER BY h.place DESC, h.id DESC LIMIT $4) y"
    "  ORDER BY y.place DESC, y.id DESC LIMIT $4) x" WITH_JOB " ORDER BY x.place DESC, x.id DESC"};

constexpr Statement kHistories{
    "histories",
    "SELECT id, n, state, at, data FROM ("
    " SELECT id, 1 AS n, first_state::integer AS state, created_at AS at, first_event AS data"
    " FROM jobmill_job WHERE id = ANY($1)"
    " UNION ALL SELECT id, n, state::integer, at, data FROM jobmill_event WHERE id = ANY($1)"
    " UNION ALL SELECT u.id, u.version, 3, u.since, " RUN_EVENT
    " FROM jobmill_hot u JOIN jobmill_worker w ON w.number = u.worker"
    " WHERE u.id = ANY($1) AND u.state = 3"
    " UNION ALL SELECT u.id, u.version - CASE u.state WHEN 7 THEN 2 ELSE 1 END, 3, u.started,"
    " " RUN_EVENT
    " FROM jobmill_done u JOIN jobmill_worker w ON w.number = u.worker"
    " WHERE u.id = ANY($1) AND u.started IS NOT NULL) e ORDER BY id, n"};
constexpr Statement kSucceeded{
    "succeeded",
    "SELECT id, version - CASE state WHEN 7 THEN 1 ELSE 0 END, started, ended, waited"
    " FROM jobmill_done WHERE id = ANY($1) AND started IS NOT NULL"};
constexpr Statement kLastBeat{
    "last_beat",
    "SELECT h.id, w.last_beat FROM jobmill_hot h JOIN jobmill_worker w ON w.number = h.worker"
    " WHERE h.id = ANY($1) AND h.state = 3"};

constexpr Statement kCounts{"counts",
                            R"sql(
  SELECT lane, sum(enqueued)::bigint, sum(scheduled)::bigint, sum(running)::bigint,
         sum(succeeded)::bigint, sum(failed)::bigint, sum(deleted)::bigint
  FROM jobmill_count GROUP BY lane)sql"};
constexpr Statement kOldest{"oldest",
                            R"sql(
  SELECT l.lane, h.place, h.since, (SELECT jobmill_settled_place())
  FROM unnest($1::integer[], $2::bigint[]) l(lane, floor)
  CROSS JOIN LATERAL (
    SELECT place, since FROM jobmill_hot
    WHERE lane = l.lane AND place >= l.floor AND state = 2 ORDER BY place LIMIT 1) h)sql"};

constexpr Statement kCountDue{
    "count_due", "SELECT count(*) FROM jobmill_due WHERE run_at <= $1 AND lane = ANY($2)"};
constexpr Statement kNextDue{
    "next_due",
    "SELECT run_at FROM jobmill_due WHERE run_at > $1 AND lane = ANY($2) ORDER BY run_at LIMIT 1"};

constexpr Statement kCountActive{"count_active",
                                 R"sql(
  SELECT count(*)::integer FROM jobmill_job j
  WHERE j.recurring = $1 AND j.id IS DISTINCT FROM $2
    AND (EXISTS (SELECT FROM jobmill_hot h WHERE h.id = j.id)
         OR EXISTS (SELECT FROM jobmill_due d
                    WHERE d.id = j.id AND d.run_at <= (SELECT jobmill_now()))))sql"};

// Where a page ended: an instant in µs, or a place, and an id.
struct Cursor {
  std::int64_t at =
      TimePoint(std::chrono::sys_days(std::chrono::year(9000) / 1 / 1)).time_since_epoch().count();
  std::string id = "ffffffff-ffff-ffff-ffff-ffffffffffff";
};

Result<Cursor> cursor_of(std::string_view text) {
  Cursor cursor;
  if (text.empty()) return cursor;
  const auto dot = text.find('.');
  const char* end = text.data() + std::min(dot, text.size());
  const auto [at, error] = std::from_chars(text.data(), end, cursor.at, 16);
  if (dot == std::string_view::npos || error != std::errc() || at != end ||
      !is_uuid(text.substr(dot + 1))) {
    return fail(Code::InvalidArgument, "after: is not the `next` of a page");
  }
  cursor.id = text.substr(dot + 1);
  return cursor;
}

std::string text_of(std::int64_t at, std::string_view id) { return fmt::format("{:x}.{}", at, id); }

}  // namespace

Job job_of(const Rows& rows, std::size_t i, const Lanes& lanes) {
  Job job;
  job.id = rows.uuid(i, 0);
  if (const Lane* lane = lanes.find(rows.int4(i, 1))) {
    job.queue = lane->queue;
    job.kind = lane->kind;
    job.priority = lane->priority;
  }
  job.state = state_of(rows.int4(i, 2));
  job.version = rows.int4(i, 3);
  job.attempt = rows.int4(i, 4);
  job.failures = rows.int4(i, 5);
  job.crashes = rows.int4(i, 6);
  job.updated_at = rows.timestamp(i, 7);
  job.run_at = rows.maybe_timestamp(i, 8);
  job.v = rows.int4(i, 9);
  if (!rows.is_null(i, 10)) job.retries = rows.int4(i, 10);
  job.max_attempts = rows.int4(i, 11);
  job.max_crashes = rows.int4(i, 12);
  job.created_at = rows.timestamp(i, 13);
  job.name = rows.text(i, 14);
  if (!rows.is_null(i, 15)) job.labels = rows.texts(i, 15);
  job.recurring_id = rows.text(i, 16);
  job.created_by = rows.text(i, 17);
  job.meta = rows.text(i, 18);
  if (auto extra = jobs::extra_of(rows.text(i, 19))) job.extra = *std::move(extra);
  job.args = rows.text(i, 20);
  if (job.state == JobState::Processing && job.extra.timeout > Duration::zero()) {
    job.deadline = job.updated_at + job.extra.timeout;
  }
  if (!rows.is_null(i, 21)) {
    job.progress = jobs::Progress{rows.int8(i, 21), rows.int8(i, 22), rows.int8(i, 23)};
  }
  return job;
}

Result<std::optional<Job>> get(Connection& connection, const Lanes& lanes, std::string_view id) {
  TRY(const Rows rows, connection.run(kGet, Parameters().uuid(id)));
  return rows.empty() ? std::nullopt : std::optional(job_of(rows, 0, lanes));
}

Result<std::vector<Job>> get(Connection& connection, const Lanes& lanes,
                             std::span<const std::string> ids) {
  TRY(const Rows rows, connection.run(kGetMany, Parameters().array(UuidArray(ids))));
  std::vector<Job> jobs;
  for (std::size_t i = 0; i < rows.size(); ++i) jobs.push_back(job_of(rows, i, lanes));
  return jobs;
}

Result<std::map<std::string, std::vector<jobs::JobEvent>>> histories(
    Connection& connection, std::span<const std::string> ids) {
  Pipeline pipeline(connection);
  for (const Statement* statement : {&kHistories, &kSucceeded, &kLastBeat}) {
    pipeline.add(*statement, Parameters().array(UuidArray(ids)));
  }
  TRY(const auto answers, pipeline.finish());
  const Rows& rows = answers[0];
  const Rows& succeeded = answers[1];
  std::map<std::string, std::map<int, jobs::JobEvent>> numbered;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    numbered[rows.uuid(i, 0)].try_emplace(rows.int4(i, 1),
                                          jobs::JobEvent{.state = state_of(rows.int4(i, 2)),
                                                         .at = rows.timestamp(i, 3),
                                                         .data = std::string(rows.text(i, 4))});
  }
  for (std::size_t i = 0; i < succeeded.size(); ++i) {
    const TimePoint started = succeeded.timestamp(i, 2), ended = succeeded.timestamp(i, 3);
    numbered[succeeded.uuid(i, 0)].try_emplace(
        succeeded.int4(i, 1),
        jobs::JobEvent{JobState::Succeeded, ended,
                       store::succeeded_event(Duration(succeeded.int8(i, 4)), ended - started)});
  }
  std::map<std::string, TimePoint> beats;
  for (std::size_t i = 0; i < answers[2].size(); ++i) {
    beats[answers[2].uuid(i, 0)] = answers[2].timestamp(i, 1);
  }
  std::map<std::string, std::vector<jobs::JobEvent>> told;
  for (auto& [id, events] : numbered) {
    auto& all = told[id];
    for (auto& [n, event] : events) all.push_back(std::move(event));
    const auto beat = beats.find(id);
    store::add_heartbeats(all, beat == beats.end() ? std::nullopt : std::optional(beat->second));
  }
  return told;
}

Result<std::vector<jobs::JobEvent>> history(Connection& connection, std::string_view id) {
  const std::string one(id);
  TRY(auto told, histories(connection, std::span(&one, 1)));
  return std::move(told[one]);
}

Result<Rows> page_of(Connection& connection, const Lanes& lanes, const jobs::JobQuery& query,
                     const Cursor& after) {
  const int rows = query.limit + 1;
  Parameters parameters;
  if (query.state == JobState::Enqueued) {
    parameters.int8(after.at).uuid(after.id).array(Int4Array(lanes.of_queue(query.queue)));
    return connection.run(kPageReady, parameters.int4(rows));
  }
  parameters.timestamp(TimePoint(Duration(after.at))).uuid(after.id).text(query.queue);
  parameters.array(Int4Array(lanes.of_queue(query.queue))).int4(rows);
  if (!query.state) return connection.run(kPageAll, parameters);
  if (*query.state == JobState::Scheduled) return connection.run(kPageDue, parameters);
  if (*query.state == JobState::Processing) return connection.run(kPageRunning, parameters);
  return connection.run(kPageDone, parameters.int4(number(*query.state)));
}

// One row more than asked for tells whether there is a next page.
Result<jobs::JobPage> list(Connection& connection, const Lanes& lanes,
                           const jobs::JobQuery& query) {
  TRY(const Cursor after, cursor_of(query.after));
  TRY(const Rows rows, page_of(connection, lanes, query, after));
  jobs::JobPage page;
  const auto limit = static_cast<std::size_t>(query.limit);
  for (std::size_t i = 0; i < std::min(rows.size(), limit); ++i) {
    page.items.push_back(job_of(rows, i, lanes));
  }
  if (rows.size() <= limit) return page;
  const Job& last = page.items.back();
  const TimePoint at = query.state ? last.updated_at : last.created_at;
  const bool by_place = query.state == JobState::Enqueued;
  page.next = text_of(by_place ? rows.int8(limit - 1, kJobColumns) : at.time_since_epoch().count(),
                      last.id);
  return page;
}

Result<std::vector<jobs::QueueStats>> queue_stats(Connection& connection, Lanes& lanes) {
  Int4Array lane;
  Int8Array floor;
  for (const LaneChoice& choice : lanes.floors()) {
    lane.add(choice.lane);
    floor.add(choice.floor);
  }
  Pipeline pipeline(connection);
  pipeline.add(kCounts);
  pipeline.add(kOldest, Parameters().array(std::move(lane)).array(std::move(floor)));
  TRY(const auto answers, pipeline.finish());

  std::map<std::string, jobs::QueueStats> queues;
  for (std::size_t i = 0; i < answers[0].size(); ++i) {
    const Lane* known = lanes.find(answers[0].int4(i, 0));
    if (known == nullptr) continue;
    auto& stats = queues[known->queue];
    stats.enqueued += answers[0].int8(i, 1);
    stats.scheduled += answers[0].int8(i, 2);
    stats.processing += answers[0].int8(i, 3);
    stats.succeeded += answers[0].int8(i, 4);
    stats.failed += answers[0].int8(i, 5);
    stats.deleted += answers[0].int8(i, 6);
  }
  for (std::size_t i = 0; i < answers[1].size(); ++i) {
    const std::int32_t id = answers[1].int4(i, 0);
    lanes.raise_floor(id, std::min(answers[1].int8(i, 1), answers[1].int8(i, 3)));
    auto& oldest = queues[lanes.find(id)->queue].oldest;
    const TimePoint since = answers[1].timestamp(i, 2);
    if (!oldest || since < *oldest) oldest = since;
  }
  std::vector<jobs::QueueStats> all;
  for (const std::string& name : lanes.queues()) {
    jobs::QueueStats stats = queues[name];
    stats.queue = name;
    stats.paused = lanes.paused(name);
    stats.priority = static_cast<int>(all.size());
    all.push_back(std::move(stats));
  }
  return all;
}

Result<std::int64_t> count_due(Connection& connection, std::span<const std::int32_t> lanes,
                               TimePoint until) {
  TRY(const Rows rows,
      connection.run(kCountDue, Parameters().timestamp(until).array(Int4Array(lanes))));
  return rows.int8(0, 0);
}

Result<std::optional<TimePoint>> next_due(Connection& connection,
                                          std::span<const std::int32_t> lanes, TimePoint after) {
  TRY(const Rows rows,
      connection.run(kNextDue, Parameters().timestamp(after).array(Int4Array(lanes))));
  return rows.empty() ? std::nullopt : rows.maybe_timestamp(0, 0);
}

Result<int> count_active(Connection& connection, std::string_view recurring,
                         std::string_view except) {
  TRY(const Rows rows, connection.run(kCountActive, Parameters().text(recurring).uuid(except)));
  return rows.int4(0, 0);
}

}  // namespace jobmill::postgres
