// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/job_tables.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/core.h>

#include "base/id.h"
#include "store/job_events.h"
#include "store/postgres/copy_rows.h"
#include "store/postgres/job_views.h"
#include "store/postgres/notice.h"

namespace jobmill::postgres {
namespace {

using jobs::Job;
using jobs::JobState;

// How labels travel; they hold no control characters.
constexpr char kLabelMark = '\x1f';

int number(JobState state) { return static_cast<int>(state); }
JobState state_of(std::int64_t number) { return static_cast<JobState>(number); }

std::string joined(const std::vector<std::string>& labels) {
  std::string text;
  for (const std::string& label : labels) {
    if (!text.empty()) text += kLabelMark;
    text += label;
  }
  return text;
}

// --- inserting -----------------------------------------------------------------------------------

constexpr Statement kInsertJobs{"insert_jobs",
                                R"sql(
  INSERT INTO jobmill_job (id, lane, v, retries, max_attempts, max_crashes, created_at, first_state,
                           first_event, name, labels, recurring, created_by, meta, extra, args)
  SELECT u.id, u.lane, u.v, u.retries, u.max_attempts, u.max_crashes, (SELECT jobmill_now()),
         u.first_state, u.first_event, u.name, string_to_array(nullif(u.labels, ''), E'\x1f'),
         nullif(u.recurring, ''), u.created_by, u.meta, u.extra, u.args
  FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::integer[],
              $6::integer[], $7::integer[], $8::text[], $9::text[], $10::text[], $11::text[],
              $12::text[], $13::text[], $14::text[], $15::text[])
    u(id, lane, v, retries, max_attempts, max_crashes, first_state, first_event, name, labels,
      recurring, created_by, meta, extra, args))sql"};

// A single one, for which arrays would cost more than the row.
#define NEW_JOB_COLUMNS                                                                     \
  "(id, lane, v, retries, max_attempts, max_crashes, created_at, first_state, first_event," \
  " name, labels, recurring, created_by, meta, extra, args)"
constexpr Statement kInsertJob{"insert_job",
                               "INSERT INTO jobmill_job " NEW_JOB_COLUMNS
                               " VALUES ($1, $2, $3, $4, $5, $6, jobmill_now(), $7::integer, $8,"
                               "  $9, string_to_array($10, E'\\x1f'), $11, $12, $13, $14, $15)"};

constexpr Statement kInsertReady{"insert_ready",
                                 R"sql(
  INSERT INTO jobmill_hot (id, lane, place, since, version, attempt, failures, crashes, state)
  SELECT u.id, u.lane, (SELECT jobmill_first_place()) + $3 + u.n, (SELECT jobmill_now()),
         1, 0, 0, 0, 2
  FROM unnest($1::uuid[], $2::integer[]) WITH ORDINALITY u(id, lane, n))sql"};

constexpr Statement kInsertDue{"insert_due",
                               R"sql(
  INSERT INTO jobmill_due (id, lane, run_at, since, version, attempt, failures, crashes)
  SELECT u.id, u.lane, u.run_at, (SELECT jobmill_now()), 1, 0, 0, 0
  FROM unnest($1::uuid[], $2::integer[], $3::timestamptz[]) u(id, lane, run_at))sql"};

constexpr char kCopyJobs[] = "COPY jobmill_job " NEW_JOB_COLUMNS " FROM STDIN (FORMAT binary)";
constexpr Statement kCount{"count",
                           R"sql(
  INSERT INTO jobmill_count AS c (lane, shard, enqueued, scheduled, running, succeeded, failed,
                                  deleted)
  SELECT u.lane, $1, u.enqueued, u.scheduled, u.running, u.succeeded, u.failed, u.deleted
  FROM unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
              $8::bigint[])
    u(lane, enqueued, scheduled, running, succeeded, failed, deleted)
  ON CONFLICT (lane, shard) DO UPDATE SET enqueued = c.enqueued + excluded.enqueued,
    scheduled = c.scheduled + excluded.scheduled, running = c.running + excluded.running,
    succeeded = c.succeeded + excluded.succeeded, failed = c.failed + excluded.failed,
    deleted = c.deleted + excluded.deleted)sql"};

constexpr Statement kOccupied{"occupied",
                              R"sql(
  UPDATE jobmill_worker w SET occupied = w.occupied + u.n
  FROM (SELECT * FROM unnest($1::integer[], $2::bigint[]) u(number, n) ORDER BY number) u
  WHERE w.number = u.number)sql"};

// --- claims --------------------------------------------------------------------------------------

// What a claim answers with, after it has chosen its rows: `picked` are their places in the table.
// The row of the worker comes first and is locked, so that a claim and a change of the worker's
// state are one after the other.
#define CLAIMED                                                                                  \
  ", claimed AS ("                                                                               \
  "  UPDATE jobmill_hot h SET state = 3, worker = (SELECT number FROM w), token = $2,"           \
  "         version = version + 1, attempt = failures + 1, deadline = NULL,"                     \
  "         waited = greatest(0, (extract(epoch FROM (SELECT jobmill_now()) - since) * 1000000)" \
  "                              ::bigint),"                                                     \
  "         since = (SELECT jobmill_now())"                                                      \
  "  FROM picked p WHERE h.ctid = p.ctid"                                                        \
  "  RETURNING h.id, h.lane, h.place, h.version, h.attempt, h.failures, h.crashes, h.since,"     \
  "            h.waited)"                                                                        \
  ", counted AS ("                                                                               \
  "  INSERT INTO jobmill_count AS c (lane, shard, enqueued, running)"                            \
  "  SELECT lane, $3, -count(*), count(*) FROM claimed GROUP BY lane ORDER BY lane"              \
  "  ON CONFLICT (lane, shard) DO UPDATE SET enqueued = c.enqueued + excluded.enqueued,"         \
  "    running = c.running + excluded.running)"                                                  \
  ", marked AS ("                                                                                \
  "  UPDATE jobmill_worker SET last_beat = (SELECT jobmill_now()),"                              \
  "         occupied = occupied + (SELECT count(*) FROM claimed),"                               \
  "         busy_since = CASE WHEN occupied = 0 THEN (SELECT jobmill_now()) ELSE busy_since END" \
  "  WHERE number = (SELECT number FROM w))"                                                     \
  " SELECT NULL::uuid, (SELECT state::integer FROM w), (SELECT count(*)::integer FROM seen),"    \
  "   jobmill_settled_place(), 0, 0, 0, 0, now(), 0::bigint,"                                    \
  "   0, NULL::integer, 0, 0, now(), '', NULL::text[], '', '', '', '', ''"                       \
  " UNION ALL"                                                                                   \
  " SELECT c.id, c.lane, 0, c.place, c.version, c.attempt, c.failures, c.crashes, c.since,"      \
  "   c.waited, j.v, j.retries, j.max_attempts, j.max_crashes, j.created_at, j.name, j.labels,"  \
  "   coalesce(j.recurring, ''), j.created_by, j.meta, j.extra, j.args"                          \
  " FROM claimed c JOIN jobmill_job j ON j.id = ANY(ARRAY[c.id])"

#define CLAIMER                                                                            \
  "WITH w AS (SELECT number, state FROM jobmill_worker WHERE id = $1 AND gone_at IS NULL " \
  "           FOR UPDATE)"

// The lanes of paused queues: the process that asks may not know yet that they are. What a claim
// was not given for that reason counts as seen, so that nobody believes the lane to be empty.
#define CLOSED(lanes)                                                               \
  ", closed AS (SELECT n.id FROM jobmill_pause q JOIN jobmill_lane n USING (queue)" \
  "             WHERE n.id = " lanes ")"

// One lane: the first rows that nobody else is taking.
constexpr Statement kClaimLane{
    "claim_lane", CLAIMER CLOSED("$4")
    ", picked AS ("
    "  SELECT h.ctid FROM jobmill_hot h"
    "  WHERE h.lane = $4 AND h.place >= $5 AND h.state = 2 AND (SELECT state FROM w) = 0"
    "    AND NOT EXISTS (SELECT FROM closed)"
    "  ORDER BY h.place LIMIT $6 FOR UPDATE OF h SKIP LOCKED)"
    ", seen AS (SELECT FROM picked UNION ALL SELECT FROM closed)" CLAIMED};

// Several: the first rows of all of them in the order of ranks and places, as far as nobody else
// is taking them.
constexpr Statement kClaimLanes{
    "claim_lanes", CLAIMER CLOSED("ANY($4)")
    ", open AS ("
    "  SELECT h.ctid FROM unnest($4::integer[], $5::bigint[], $6::integer[]) l(lane, floor, rank)"
    "  CROSS JOIN LATERAL ("
    "    SELECT x.ctid, x.place FROM jobmill_hot x"
    "    WHERE x.lane = l.lane AND x.place >= l.floor AND x.state = 2"
    "    ORDER BY x.place LIMIT $7) h"
    "  WHERE (SELECT state FROM w) = 0 AND l.lane NOT IN (SELECT id FROM closed)"
    "  ORDER BY l.rank, h.place LIMIT $7)"
    ", seen AS (SELECT FROM open UNION ALL SELECT FROM closed)"
    ", picked AS ("
    "  SELECT h.ctid FROM open s JOIN jobmill_hot h ON h.ctid = s.ctid"
    "  WHERE h.state = 2 FOR UPDATE OF h SKIP LOCKED)" CLAIMED};

// The row of the worker is locked first, as by a claim.
#define HAND_OUT(first, jobs, counts, how_many, created, lanes)                                    \
  "WITH w AS ("                                                                                    \
  "  UPDATE jobmill_worker SET last_beat = (SELECT jobmill_now()),"                                \
  "         occupied = occupied + " how_many                                                       \
  ","                                                                                              \
  "         busy_since = CASE WHEN occupied = 0 THEN (SELECT jobmill_now()) ELSE busy_since END"   \
  "  WHERE id = $1 AND gone_at IS NULL AND state = 0"                                              \
  "    AND NOT EXISTS (SELECT FROM jobmill_pause q JOIN jobmill_lane l USING (queue)"              \
  "                    WHERE l.id = " lanes                                                        \
  ")"                                                                                              \
  "  RETURNING number)" first                                                                      \
  ", begun AS ("                                                                                   \
  "  INSERT INTO jobmill_hot (id, lane, place, since, version, attempt, failures, crashes, state," \
  "                           token, worker)"                                                      \
  "  SELECT u.id, u.lane, (SELECT jobmill_first_place()) + $4 + u.n, (SELECT jobmill_now()),"      \
  "         CASE WHEN w.number IS NULL THEN 1 ELSE 2 END,"                                         \
  "         CASE WHEN w.number IS NULL THEN 0 ELSE 1 END, 0, 0,"                                   \
  "         CASE WHEN w.number IS NULL THEN 2 ELSE 3 END,"                                         \
  "         CASE WHEN w.number IS NULL THEN 0 ELSE $2 END, coalesce(w.number, 0)"                  \
  "  FROM " jobs                                                                                   \
  " u(id, lane, n) LEFT JOIN w ON true"                                                            \
  "  RETURNING since)"                                                                             \
  ", counted AS ("                                                                                 \
  "  INSERT INTO jobmill_count AS c (lane, shard, enqueued, running)"                              \
  "  SELECT u.lane, $3, CASE WHEN w.number IS NULL THEN u.n ELSE 0 END,"                           \
  "         CASE WHEN w.number IS NULL THEN 0 ELSE u.n END"                                        \
  "  FROM " counts                                                                                 \
  " u(lane, n) LEFT JOIN w ON true"                                                                \
  "  ON CONFLICT (lane, shard) DO UPDATE SET enqueued = c.enqueued + excluded.enqueued,"           \
  "    running = c.running + excluded.running)"                                                    \
  " SELECT w.number, b.since, " created                                                            \
  "   , t.told"                                                                                    \
  " FROM (SELECT since FROM begun LIMIT 1) b LEFT JOIN w ON true"                                  \
  " LEFT JOIN LATERAL (SELECT jobmill_notify($5) AS told WHERE w.number IS NULL) t ON true"

constexpr Statement kHandOut{
    "hand_out", HAND_OUT("", "unnest($6::uuid[], $7::integer[]) WITH ORDINALITY",
                         "unnest($8::integer[], $9::bigint[])", "cardinality($6)",
                         "(SELECT created_at FROM jobmill_job WHERE id = ($6)[1])", "ANY($8)")};
// A single job that is all there is to insert: with the job itself.
constexpr Statement kHandOutNew{
    "hand_out_new",
    HAND_OUT(", job AS ("
             "  INSERT INTO jobmill_job " NEW_JOB_COLUMNS
             "  VALUES ($6, $7, $8, $9, $10, $11, jobmill_now(), $12::integer, $13, $14,"
             "          string_to_array($15, E'\\x1f'), $16, $17, $18, $19, $20)"
             "  RETURNING id, lane, created_at)",
             "(SELECT id, lane, 1 FROM job)", "(SELECT lane, 1::bigint FROM job)", "1",
             "(SELECT created_at FROM job)", "$7")};

// --- completions ---------------------------------------------------------------------------------

constexpr Statement kComplete{"complete",
                              R"sql(
  WITH asked AS (
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::integer[])
      WITH ORDINALITY u(id, token, worker, n)),
  gone AS (
    DELETE FROM jobmill_hot h USING asked u
    WHERE h.id = ANY(ARRAY[u.id]) AND h.token = u.token AND h.state = 3
      AND (u.worker = 0 OR u.worker = h.worker)
    RETURNING u.n, h.id, h.since, h.waited, h.lane, h.worker, h.version, h.attempt, h.failures,
              h.crashes),
  finished AS (
    INSERT INTO jobmill_done (id, at, started, ended, waited, lane, worker, version, attempt,
                              failures, crashes, state)
    SELECT id, (SELECT jobmill_now()), since, (SELECT jobmill_now()), waited, lane, worker,
           version + 1, attempt, failures, crashes, 5
    FROM gone),
  counted AS (
    INSERT INTO jobmill_count AS c (lane, shard, running, succeeded)
    SELECT lane, $4, -count(*), count(*) FROM gone GROUP BY lane ORDER BY lane
    ON CONFLICT (lane, shard) DO UPDATE SET running = c.running + excluded.running,
      succeeded = c.succeeded + excluded.succeeded),
  freed AS (
    UPDATE jobmill_worker w SET occupied = w.occupied - g.n
    FROM (SELECT worker, count(*) AS n FROM gone GROUP BY worker ORDER BY worker) g
    WHERE w.number = g.worker)
  SELECT n::integer, 0 FROM asked WHERE n NOT IN (SELECT n FROM gone)
  UNION ALL SELECT -lane, count(*)::integer FROM gone GROUP BY lane)sql"};

// --- rows ----------------------------------------------------------------------------------------

// The columns of a JobRow, whatever the table `t`; j is its jobmill_job.
#define ROW_HOT                                                                  \
  "h.id, h.lane, h.state::integer, h.version, h.attempt, h.failures, h.crashes," \
  " j.max_attempts, j.max_crashes, h.token, h.worker, h.waited, h.since,"        \
  " NULL::timestamptz, NULL::timestamptz, NULL::timestamptz, j.extra, j.retries"
#define ROW_DUE                                                       \
  "h.id, h.lane, 1, h.version, h.attempt, h.failures, h.crashes,"     \
  " j.max_attempts, j.max_crashes, 0::bigint, 0, 0::bigint, h.since," \
  " h.run_at, NULL::timestamptz, NULL::timestamptz, j.extra, j.retries"
#define ROW_DONE                                                                 \
  "h.id, h.lane, h.state::integer, h.version, h.attempt, h.failures, h.crashes," \
  " j.max_attempts, j.max_crashes, 0::bigint, h.worker, h.waited, h.at,"         \
  " NULL::timestamptz, h.started, h.ended, j.extra, j.retries"
#define OF_IDS \
  " h JOIN jobmill_job j ON j.id = ANY(ARRAY[h.id]) WHERE h.id = ANY($1) FOR UPDATE OF h"

constexpr Statement kLockHot{"lock_hot", "SELECT " ROW_HOT " FROM jobmill_hot" OF_IDS};
constexpr Statement kLockDue{"lock_due", "SELECT " ROW_DUE " FROM jobmill_due" OF_IDS};
constexpr Statement kLockDone{"lock_done", "SELECT " ROW_DONE " FROM jobmill_done" OF_IDS};
constexpr Statement kLockHeld{"lock_held",
                              "SELECT " ROW_HOT
                              " FROM jobmill_hot h JOIN jobmill_job j ON j.id = ANY(ARRAY[h.id])"
                              " WHERE h.state = 3 AND h.worker = $1 FOR UPDATE OF h"};
constexpr Statement kLockLate{"lock_late",
                              "SELECT " ROW_HOT
                              " FROM jobmill_hot h JOIN jobmill_job j ON j.id = ANY(ARRAY[h.id])"
                              " WHERE h.deadline <= $1 AND h.state = 3"
                              " ORDER BY h.deadline LIMIT $2 FOR UPDATE OF h SKIP LOCKED"};
constexpr Statement kSetDeadlines{"set_deadlines",
                                  R"sql(
  UPDATE jobmill_hot h SET deadline = u.at
  FROM unnest($1::uuid[], $2::timestamptz[]) u(id, at)
  WHERE h.id = ANY(ARRAY[u.id]) AND h.token = $3 AND h.state = 3)sql"};
constexpr Statement kExist{"exist", "SELECT id FROM jobmill_job WHERE id = ANY($1)"};

JobRow row_of(const Rows& rows, std::size_t i) {
  JobRow row;
  row.id = rows.uuid(i, 0);
  row.lane = rows.int4(i, 1);
  row.state = state_of(rows.int4(i, 2));
  row.version = rows.int4(i, 3);
  row.attempt = row.ran = rows.int4(i, 4);
  row.failures = rows.int4(i, 5);
  row.crashes = rows.int4(i, 6);
  row.max_attempts = row.stored_max_attempts = rows.int4(i, 7);
  row.max_crashes = rows.int4(i, 8);
  row.token = rows.int8(i, 9);
  row.worker = rows.int4(i, 10);
  row.waited = Duration(rows.int8(i, 11));
  row.since = rows.timestamp(i, 12);
  row.run_at = rows.maybe_timestamp(i, 13);
  row.started = rows.maybe_timestamp(i, 14);
  row.ended = rows.maybe_timestamp(i, 15);
  if (auto extra = jobs::extra_of(rows.text(i, 16))) row.extra = *std::move(extra);
  if (!rows.is_null(i, 17)) row.retries = rows.int4(i, 17);
  return row;
}

std::vector<JobRow> rows_of(const Rows& rows) {
  std::vector<JobRow> found;
  found.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) found.push_back(row_of(rows, i));
  return found;
}

// --- moves ---------------------------------------------------------------------------------------

constexpr Statement kLeaveHot{"leave_hot", "DELETE FROM jobmill_hot WHERE id = ANY($1)"};
constexpr Statement kLeaveDue{"leave_due", "DELETE FROM jobmill_due WHERE id = ANY($1)"};
constexpr Statement kLeaveDone{"leave_done", "DELETE FROM jobmill_done WHERE id = ANY($1)"};

constexpr Statement kEnterHot{"enter_hot",
                              R"sql(
  INSERT INTO jobmill_hot (id, lane, place, since, version, attempt, failures, crashes, state)
  SELECT u.id, u.lane, (SELECT jobmill_first_place()) + u.n, $1, u.version, u.attempt, u.failures,
         u.crashes, 2
  FROM unnest($2::uuid[], $3::integer[], $4::integer[], $5::integer[], $6::integer[],
              $7::integer[])
    WITH ORDINALITY u(id, lane, version, attempt, failures, crashes, n))sql"};
constexpr Statement kEnterDue{"enter_due",
                              R"sql(
  INSERT INTO jobmill_due (id, lane, run_at, since, version, attempt, failures, crashes)
  SELECT u.id, u.lane, u.run_at, $1, u.version, u.attempt, u.failures, u.crashes
  FROM unnest($2::uuid[], $3::integer[], $4::integer[], $5::integer[], $6::integer[],
              $7::integer[], $8::timestamptz[])
    u(id, lane, version, attempt, failures, crashes, run_at))sql"};
constexpr Statement kEnterDone{"enter_done",
                               R"sql(
  INSERT INTO jobmill_done (id, at, started, ended, waited, lane, worker, version, attempt,
                            failures, crashes, state)
  SELECT u.id, $1, u.started, u.ended, u.waited, u.lane, u.worker, u.version, u.attempt,
         u.failures, u.crashes, u.state
  FROM unnest($2::uuid[], $3::integer[], $4::integer[], $5::integer[], $6::integer[],
              $7::integer[], $8::timestamptz[], $9::timestamptz[], $10::bigint[], $11::integer[],
              $12::integer[])
    u(id, lane, version, attempt, failures, crashes, started, ended, waited, worker, state))sql"};

constexpr Statement kAddEvents{"add_events",
                               R"sql(
  INSERT INTO jobmill_event (id, n, state, at, data)
  SELECT * FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::timestamptz[],
                       $5::text[]))sql"};

// The claims of runs, whose workers are named in another table.
constexpr Statement kAddRunEvents{"add_run_events",
                                  "INSERT INTO jobmill_event (id, n, state, at, data)"
                                  " SELECT u.id, u.n, 3, u.at, " RUN_EVENT
                                  " FROM unnest($1::uuid[], $2::integer[], $3::timestamptz[],"
                                  "             $4::integer[], $5::integer[])"
                                  "   u(id, n, at, worker, attempt)"
                                  " JOIN jobmill_worker w ON w.number = u.worker"};

constexpr Statement kSetAttempts{"set_attempts",
                                 R"sql(
  UPDATE jobmill_job j SET max_attempts = u.most
  FROM unnest($1::uuid[], $2::integer[]) u(id, most) WHERE j.id = ANY(ARRAY[u.id]))sql"};

constexpr Statement kAddFailures{"add_failures",
                                 R"sql(
  INSERT INTO jobmill_failure (at, id, final, quarantined, fingerprint, type, frame, message)
  SELECT $1, u.*
  FROM unnest($2::uuid[], $3::boolean[], $4::boolean[], $5::text[], $6::text[], $7::text[],
              $8::text[]) u
  ON CONFLICT (id) DO UPDATE SET at = excluded.at, final = excluded.final,
    quarantined = excluded.quarantined, fingerprint = excluded.fingerprint, type = excluded.type,
    frame = excluded.frame, message = excluded.message)sql"};
constexpr Statement kLeaveFailures{"leave_failures",
                                   "DELETE FROM jobmill_failure WHERE id = ANY($1)"};

constexpr Statement kAddResults{"add_results",
                                R"sql(
  INSERT INTO jobmill_result (id, until, json)
  SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[])
  ON CONFLICT (id) DO UPDATE SET until = excluded.until, json = excluded.json)sql"};

// What one call of move() writes, gathered by table.
class Moves {
 public:
  explicit Moves(TimePoint now) : now_(now) {}

  void add(const Move& move) {
    const JobRow& row = move.row;
    leave(row);
    count_end(move);
    if (move.failure) failures_.add(move);
    int version = row.version;
    for (const Move::Step& step : move.steps) {
      ++version;
      if (step.to != JobState::Succeeded) event(row.id, version, step.to, now_, step.event);
    }
    enter(move, version);
    if (row.max_attempts != row.stored_max_attempts) {
      limited_.add(row.id);
      max_attempts_.add(row.max_attempts);
    }
  }

  void write(Pipeline& pipeline, std::int64_t shard, Effects& effects) {
    run(pipeline, kLeaveHot, from_hot_);
    run(pipeline, kLeaveDue, from_due_);
    run(pipeline, kLeaveDone, from_done_);
    if (hot_.size() > 0) pipeline.add(kEnterHot, hot_.parameters(now_));
    if (due_.size() > 0) pipeline.add(kEnterDue, due_.parameters(now_).array(std::move(run_at_)));
    if (done_.size() > 0) {
      pipeline.add(kEnterDone, done_.parameters(now_)
                                   .array(std::move(started_))
                                   .array(std::move(ended_))
                                   .array(std::move(waited_))
                                   .array(std::move(worker_))
                                   .array(std::move(state_)));
    }
    if (runs_.size() > 0) pipeline.add(kAddRunEvents, std::move(runs_).parameters());
    if (events_.size() > 0) pipeline.add(kAddEvents, std::move(events_).parameters());
    run(pipeline, kLeaveFailures, from_failed_);
    if (failures_.id.size() > 0) {
      pipeline.add(kAddFailures, std::move(failures_).parameters(now_));
    }
    if (results_.size() > 0) {
      pipeline.add(kAddResults, Parameters()
                                    .array(std::move(results_))
                                    .array(std::move(results_until_))
                                    .array(std::move(results_json_)));
    }
    if (limited_.size() > 0) {
      pipeline.add(kSetAttempts,
                   Parameters().array(std::move(limited_)).array(std::move(max_attempts_)));
    }
    counts_.write(pipeline, shard);
    effects.merge(effects_);
  }

 private:
  // The columns that all three tables have.
  struct Columns {
    UuidArray id;
    Int4Array lane, version, attempt, failures, crashes;

    std::int32_t size() const { return id.size(); }
    void add(const JobRow& row, int new_version) {
      id.add(row.id);
      lane.add(row.lane);
      version.add(new_version);
      attempt.add(row.attempt);
      failures.add(row.failures);
      crashes.add(row.crashes);
    }
    Parameters parameters(TimePoint now) {
      Parameters all;
      all.timestamp(now).array(std::move(id)).array(std::move(lane)).array(std::move(version));
      all.array(std::move(attempt)).array(std::move(failures)).array(std::move(crashes));
      return all;
    }
  };
  struct Events {
    UuidArray id;
    Int4Array n, state;
    TimestampArray at;
    TextArray data;

    std::int32_t size() const { return id.size(); }
    Parameters parameters() && {
      Parameters all;
      all.array(std::move(id)).array(std::move(n)).array(std::move(state));
      all.array(std::move(at)).array(std::move(data));
      return all;
    }
  };
  struct Runs {
    UuidArray id;
    Int4Array n;
    TimestampArray at;
    Int4Array worker, attempt;

    std::int32_t size() const { return id.size(); }
    Parameters parameters() && {
      Parameters all;
      all.array(std::move(id)).array(std::move(n)).array(std::move(at));
      all.array(std::move(worker)).array(std::move(attempt));
      return all;
    }
  };

  struct Failures {
    UuidArray id;
    BoolArray final, quarantined;
    TextArray fingerprint, type, frame, message;

    void add(const Move& move) {
      id.add(move.row.id);
      final.add(move.steps.size() == 1);
      quarantined.add(move.failure->quarantined);
      fingerprint.add(move.failure->fingerprint);
      type.add(move.failure->type);
      frame.add(move.failure->frame);
      message.add(move.failure->message);
    }
    Parameters parameters(TimePoint now) && {
      Parameters all;
      all.timestamp(now).array(std::move(id)).array(std::move(final));
      all.array(std::move(quarantined)).array(std::move(fingerprint)).array(std::move(type));
      all.array(std::move(frame)).array(std::move(message));
      return all;
    }
  };

  static void run(Pipeline& pipeline, const Statement& statement, UuidArray& ids) {
    if (ids.size() > 0) pipeline.add(statement, Parameters().array(std::move(ids)));
  }

  void event(std::string_view id, int n, JobState state, TimePoint at, std::string_view data) {
    events_.id.add(id);
    events_.n.add(n);
    events_.state.add(number(state));
    events_.at.add(at);
    events_.data.add(data);
  }

  void run_event(const JobRow& row, int n, TimePoint at) {
    runs_.id.add(row.id);
    runs_.n.add(n);
    runs_.at.add(at);
    runs_.worker.add(row.worker);
    runs_.attempt.add(row.ran);
  }

  // How a run ended.
  void count_end(const Move& move) {
    const JobRow& row = move.row;
    jobs::Tally& tally = effects_.tallies[row.lane];
    const JobState first = move.steps.front().to;
    if (first == JobState::Deleted) tally.deleted += 1;
    if (move.crashed) {
      tally.crashed += 1;
      tally.quarantined += first == JobState::Failed ? 1 : 0;
      return;
    }
    if (first != JobState::Failed && first != JobState::Succeeded) return;
    tally.run.add(now_ - row.since);
    (first == JobState::Failed ? tally.failed : tally.succeeded) += 1;
    tally.retried += move.steps.size() > 1 ? 1 : 0;
  }

  void leave(const JobRow& row) {
    counts_.add(row.lane, row.state, -1);
    switch (row.state) {
      case JobState::Scheduled:
        from_due_.add(row.id);
        effects_.due = true;
        break;
      case JobState::Processing:
        counts_.occupied(row.worker, -1);
        effects_.tallies[row.lane].in_progress -= 1;
        effects_.workers = true;
        from_hot_.add(row.id);
        break;
      case JobState::Enqueued:
        from_hot_.add(row.id);
        break;
      case JobState::Failed:
        from_failed_.add(row.id);
        [[fallthrough]];
      default:
        from_done_.add(row.id);
        break;
    }
  }

  void enter(const Move& move, int version) {
    const JobRow& row = move.row;
    const JobState to = move.steps.back().to;
    counts_.add(row.lane, to, 1);
    switch (to) {
      case JobState::Enqueued:
        write_run(row);
        hot_.add(row, version);
        effects_.ready.insert(row.lane);
        effects_.tallies[row.lane].enqueued += 1;
        break;
      case JobState::Scheduled:
        write_run(row);
        due_.add(row, version);
        run_at_.add(move.run_at);
        effects_.due = true;
        break;
      default:
        enter_done(move, version);
        break;
    }
  }

  // A run that is no longer told by the row of its job.
  void write_run(const JobRow& row) {
    if (row.state == JobState::Processing) run_event(row, row.version, row.since);
    if (!row.started || !row.ended) return;
    const int succeeded = row.state == JobState::Deleted ? row.version - 1 : row.version;
    run_event(row, succeeded - 1, *row.started);
    event(row.id, succeeded, JobState::Succeeded, *row.ended,
          store::succeeded_event(row.waited, *row.ended - *row.started));
  }

  void enter_done(const Move& move, int version) {
    const JobRow& row = move.row;
    const JobState to = move.steps.back().to;
    const bool ended_well = to == JobState::Succeeded;
    if (!ended_well && row.state == JobState::Processing) write_run(row);
    done_.add(row, version);
    started_.add(ended_well ? std::optional(row.since) : row.started);
    ended_.add(ended_well ? std::optional(now_) : row.ended);
    waited_.add(row.waited.count());
    worker_.add(row.worker);
    state_.add(number(to));
    effects_.due |= move.until.has_value();
    if (ended_well && !move.result.empty()) {
      results_.add(row.id);
      results_until_.add(move.until);
      results_json_.add(move.result);
    }
  }

  const TimePoint now_;
  UuidArray from_hot_, from_due_, from_done_, from_failed_;
  Columns hot_, due_, done_;
  TimestampArray run_at_, started_, ended_;
  Int8Array waited_;
  Int4Array worker_, state_;
  Events events_;
  Runs runs_;
  Failures failures_;
  UuidArray results_;
  TimestampArray results_until_;
  TextArray results_json_;
  UuidArray limited_;
  Int4Array max_attempts_;
  Counts counts_;
  Effects effects_;
};

// --- lanes ---------------------------------------------------------------------------------------

constexpr Statement kChangeHot{"change_lane_hot",
                               R"sql(
  UPDATE jobmill_hot h SET lane = u.lane, place = (SELECT jobmill_first_place()) + u.n,
                           version = h.version + 1
  FROM unnest($1::uuid[], $2::integer[]) WITH ORDINALITY u(id, lane, n) WHERE h.id = ANY(ARRAY[u.id]))sql"};
constexpr Statement kChangeDue{"change_lane_due",
                               R"sql(
  UPDATE jobmill_due d SET lane = u.lane, version = d.version + 1
  FROM unnest($1::uuid[], $2::integer[]) u(id, lane) WHERE d.id = ANY(ARRAY[u.id]))sql"};
constexpr Statement kChangeJob{"change_lane_job",
                               R"sql(
  UPDATE jobmill_job j SET lane = u.lane
  FROM unnest($1::uuid[], $2::integer[]) u(id, lane) WHERE j.id = ANY(ARRAY[u.id]))sql"};

// --- maintenance ---------------------------------------------------------------------------------

constexpr Statement kPromote{"promote",
                             R"sql(
  WITH page AS (
    SELECT ctid FROM jobmill_due WHERE run_at <= (SELECT jobmill_now())
    ORDER BY run_at LIMIT $1 FOR UPDATE SKIP LOCKED),
  taken AS (
    DELETE FROM jobmill_due d USING page p WHERE d.ctid = p.ctid RETURNING d.*),
  ready AS (
    INSERT INTO jobmill_hot (id, lane, place, since, version, attempt, failures, crashes, state)
    SELECT id, lane, (SELECT jobmill_first_place()) + row_number() OVER (ORDER BY run_at, id),
           (SELECT jobmill_now()), version + 1, attempt, failures, crashes, 2
    FROM taken),
  noted AS (
    INSERT INTO jobmill_event (id, n, state, at, data)
    SELECT id, version + 1, 2, (SELECT jobmill_now()), '{}' FROM taken),
  counted AS (
    INSERT INTO jobmill_count AS c (lane, shard, enqueued, scheduled)
    SELECT lane, $2, count(*), -count(*) FROM taken GROUP BY lane ORDER BY lane
    ON CONFLICT (lane, shard) DO UPDATE SET enqueued = c.enqueued + excluded.enqueued,
      scheduled = c.scheduled + excluded.scheduled)
  SELECT lane, (extract(epoch FROM (SELECT jobmill_now()) - run_at) * 1000000)::bigint
  FROM taken)sql"};

constexpr Statement kRetire{"retire",
                            R"sql(
  WITH page AS (
    SELECT ctid FROM jobmill_done WHERE state = 5 AND at <= $1
    ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED),
  retired AS (
    UPDATE jobmill_done d SET state = 7, at = (SELECT jobmill_now()), version = version + 1
    FROM page p WHERE d.ctid = p.ctid RETURNING d.id, d.lane, d.version, d.at),
  counted AS (
    INSERT INTO jobmill_count AS c (lane, shard, succeeded, deleted)
    SELECT lane, $3, -count(*), count(*) FROM retired GROUP BY lane ORDER BY lane
    ON CONFLICT (lane, shard) DO UPDATE SET succeeded = c.succeeded + excluded.succeeded,
      deleted = c.deleted + excluded.deleted)
  INSERT INTO jobmill_event (id, n, state, at, data)
  SELECT id, version, 7, at, '{"reason":"retention"}' FROM retired)sql"};

constexpr Statement kPurge{"purge",
                           R"sql(
  WITH page AS (
    SELECT ctid FROM jobmill_done WHERE state = 7 AND at <= $1
    ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED),
  gone AS (DELETE FROM jobmill_done d USING page p WHERE d.ctid = p.ctid RETURNING d.id, d.lane),
  counted AS (
    INSERT INTO jobmill_count AS c (lane, shard, deleted)
    SELECT lane, $3, -count(*) FROM gone GROUP BY lane ORDER BY lane
    ON CONFLICT (lane, shard) DO UPDATE SET deleted = c.deleted + excluded.deleted),
  events AS (DELETE FROM jobmill_event WHERE id = ANY(ARRAY(SELECT id FROM gone))),
  results AS (DELETE FROM jobmill_result WHERE id = ANY(ARRAY(SELECT id FROM gone))),
  failures AS (DELETE FROM jobmill_failure WHERE id = ANY(ARRAY(SELECT id FROM gone))),
  lines AS (DELETE FROM jobmill_log WHERE id = ANY(ARRAY(SELECT id FROM gone))),
  told AS (DELETE FROM jobmill_progress WHERE id = ANY(ARRAY(SELECT id FROM gone)))
  DELETE FROM jobmill_job WHERE id = ANY(ARRAY(SELECT id FROM gone)))sql"};

constexpr Statement kNow{"now", "SELECT jobmill_now()"};

}  // namespace

void Effects::merge(const Effects& other) {
  ready.insert(other.ready.begin(), other.ready.end());
  workers |= other.workers;
  states |= other.states;
  queues |= other.queues;
  due |= other.due;
  for (const auto& [lane, tally] : other.tallies) tallies[lane].merge(tally);
}

void Counts::add(std::int32_t lane, JobState state, std::int64_t by) {
  lanes_[lane][static_cast<std::size_t>(state)] += by;
}

void Counts::write(Pipeline& pipeline, std::int64_t shard) const {
  constexpr std::array kColumns{JobState::Enqueued,  JobState::Scheduled, JobState::Processing,
                                JobState::Succeeded, JobState::Failed,    JobState::Deleted};
  Int4Array lane(lanes_.size());
  std::array<Int8Array, kColumns.size()> columns;
  for (const auto& [id, states] : lanes_) {
    lane.add(id);
    for (std::size_t i = 0; i < kColumns.size(); ++i) {
      columns[i].add(states[static_cast<std::size_t>(kColumns[i])]);
    }
  }
  if (lane.size() > 0) {
    Parameters parameters;
    parameters.int8(shard).array(std::move(lane));
    for (Int8Array& column : columns) parameters.array(std::move(column));
    pipeline.add(kCount, std::move(parameters));
  }
  Int4Array worker(workers_.size());
  Int8Array by(workers_.size());
  for (const auto& [number, change] : workers_) worker.add(number), by.add(change);
  if (worker.size() > 0) {
    pipeline.add(kOccupied, Parameters().array(std::move(worker)).array(std::move(by)));
  }
}

// --- in bulk -------------------------------------------------------------------------------------

namespace {

JobState state_of(const NewJob& job) {
  return job.run_at ? JobState::Scheduled : JobState::Enqueued;
}

void note_run(std::int32_t lane, Duration waited, Effects& effects) {
  jobs::Tally& tally = effects.tallies[lane];
  tally.runs += 1;
  tally.in_progress += 1;
  tally.wait.add(waited);
}

// What a new job changes besides its rows.
void note_new(const NewJob& job, Counts& counts, Effects& effects) {
  if (!job.handed_out) counts.add(job.lane, state_of(job), 1);
  if (job.run_at) {
    effects.due = true;
  } else {
    if (!job.handed_out) effects.ready.insert(job.lane);
    effects.tallies[job.lane].enqueued += 1;
  }
}

}  // namespace

namespace {

Parameters add_job(Parameters all, const NewJob& job) {
  const jobs::JobSpec& spec = *job.spec;
  all.uuid(job.id).int4(job.lane).int4(spec.v);
  spec.retries ? all.int4(*spec.retries) : all.null(Type::Int4);
  all.int4(job.max_attempts).int4(spec.max_crashes).int4(number(state_of(job))).text(job.event);
  all.text(job.name).maybe_text(joined(job.labels)).maybe_text(job.recurring);
  all.text(spec.created_by).text(spec.meta).text(jobs::to_text(spec.extra)).text(job.args);
  return all;
}

void add_jobs(Pipeline& pipeline, std::span<const NewJob> jobs) {
  const std::size_t n = jobs.size();
  UuidArray id(n);
  Int4Array lane(n), v(n), retries(n), max_attempts(n), max_crashes(n), first_state(n);
  TextArray first_event(n), name(n), labels(n), recurring(n), created_by(n), meta(n), extra(n),
      args(n);
  for (const NewJob& job : jobs) {
    const jobs::JobSpec& spec = *job.spec;
    id.add(job.id);
    lane.add(job.lane);
    v.add(spec.v);
    spec.retries ? retries.add(*spec.retries) : retries.add_null();
    max_attempts.add(job.max_attempts);
    max_crashes.add(spec.max_crashes);
    first_state.add(number(state_of(job)));
    first_event.add(job.event);
    name.add(job.name);
    labels.add(joined(job.labels));
    recurring.add(job.recurring);
    created_by.add(spec.created_by);
    meta.add(spec.meta);
    extra.add(jobs::to_text(spec.extra));
    args.add(job.args);
  }
  pipeline.add(kInsertJobs, Parameters()
                                .array(std::move(id))
                                .array(std::move(lane))
                                .array(std::move(v))
                                .array(std::move(retries))
                                .array(std::move(max_attempts))
                                .array(std::move(max_crashes))
                                .array(std::move(first_state))
                                .array(std::move(first_event))
                                .array(std::move(name))
                                .array(std::move(labels))
                                .array(std::move(recurring))
                                .array(std::move(created_by))
                                .array(std::move(meta))
                                .array(std::move(extra))
                                .array(std::move(args)));
}

// Where they are, and how many.
void add_states(Pipeline& pipeline, std::span<const NewJob> jobs, std::int64_t shard,
                Effects& effects, std::int64_t before) {
  UuidArray ready(jobs.size()), due;
  Int4Array ready_lane(jobs.size()), due_lane;
  TimestampArray run_at;
  Counts counts;
  for (const NewJob& job : jobs) {
    note_new(job, counts, effects);
    if (job.run_at) {
      due.add(job.id);
      due_lane.add(job.lane);
      run_at.add(*job.run_at);
    } else if (!job.handed_out) {
      ready.add(job.id);
      ready_lane.add(job.lane);
    }
  }
  if (ready.size() > 0) {
    pipeline.add(kInsertReady,
                 Parameters().array(std::move(ready)).array(std::move(ready_lane)).int8(before));
  }
  if (due.size() > 0) {
    pipeline.add(
        kInsertDue,
        Parameters().array(std::move(due)).array(std::move(due_lane)).array(std::move(run_at)));
  }
  counts.write(pipeline, shard);
}

}  // namespace

void add_inserts(Pipeline& pipeline, std::span<const NewJob> jobs, std::int64_t shard,
                 Effects& effects, std::int64_t before) {
  if (jobs.size() == 1) {
    pipeline.add(kInsertJob, add_job({}, jobs.front()));
  } else {
    add_jobs(pipeline, jobs);
  }
  add_states(pipeline, jobs, shard, effects, before);
}

namespace {

void add_row(CopyRows& rows, const NewJob& job, TimePoint now) {
  const jobs::JobSpec& spec = *job.spec;
  rows.row();
  rows.uuid(job.id);
  rows.int4(job.lane);
  rows.int4(spec.v);
  spec.retries ? rows.int4(*spec.retries) : rows.null();
  rows.int4(job.max_attempts);
  rows.int4(spec.max_crashes);
  rows.timestamp(now);
  rows.int2(static_cast<std::int16_t>(number(state_of(job))));
  rows.text(job.event);
  rows.text(job.name);
  rows.texts(job.labels);
  job.recurring.empty() ? rows.null() : rows.text(job.recurring);
  rows.text(spec.created_by);
  rows.text(spec.meta);
  rows.text(jobs::to_text(spec.extra));
  rows.text(job.args);
}

}  // namespace

Status copy_jobs(Connection& connection, std::span<const NewJob> jobs, std::int64_t shard,
                 Effects& effects, std::int64_t before) {
  constexpr std::size_t kUsualBytes = 400;
  TRY(const Rows now, connection.run(kNow));
  CopyRows rows(16, jobs.size() * kUsualBytes);
  for (const NewJob& job : jobs) add_row(rows, job, now.timestamp(0, 0));
  TRY_VOID(connection.copy(kCopyJobs, std::move(rows).take()));
  Pipeline pipeline(connection);
  add_states(pipeline, jobs, shard, effects, before);
  TRY([[maybe_unused]] const auto added, pipeline.finish());
  return {};
}

void add_completions(Pipeline& pipeline, std::span<const Completion> completions,
                     std::int64_t shard) {
  UuidArray id(completions.size());
  Int8Array token(completions.size());
  Int4Array worker(completions.size());
  for (const Completion& completion : completions) {
    id.add(completion.job_id);
    token.add(completion.token);
    worker.add(completion.worker);
  }
  pipeline.add(kComplete, Parameters()
                              .array(std::move(id))
                              .array(std::move(token))
                              .array(std::move(worker))
                              .int8(shard));
}

std::vector<std::size_t> lost_completions(const Rows& answer, Effects& effects) {
  std::vector<std::size_t> lost;
  for (std::size_t i = 0; i < answer.size(); ++i) {
    const std::int32_t n = answer.int4(i, 0);
    if (n > 0) lost.push_back(static_cast<std::size_t>(n - 1));
    if (n > 0) continue;
    jobs::Tally& tally = effects.tallies[-n];
    tally.succeeded += static_cast<std::uint64_t>(answer.int4(i, 1));
    tally.in_progress -= answer.int4(i, 1);
  }
  effects.workers = true;
  return lost;
}

void add_claim(Pipeline& pipeline, const Claim& claim, std::int64_t shard) {
  Parameters parameters;
  parameters.uuid(claim.worker_id).int8(claim.token).int8(shard);
  if (claim.lanes.size() == 1) {
    const LaneChoice& only = claim.lanes.front();
    pipeline.add(kClaimLane,
                 std::move(parameters.int4(only.lane).int8(only.floor).int4(claim.limit)));
    return;
  }
  Int4Array lane(claim.lanes.size()), rank(claim.lanes.size());
  Int8Array floor(claim.lanes.size());
  for (const LaneChoice& choice : claim.lanes) {
    lane.add(choice.lane);
    floor.add(choice.floor);
    rank.add(choice.rank);
  }
  parameters.array(std::move(lane)).array(std::move(floor)).array(std::move(rank));
  pipeline.add(kClaimLanes, std::move(parameters.int4(claim.limit)));
}

ClaimAnswer read_claim(const Rows& answer, const Claim& claim, Lanes& lanes, Effects& effects) {
  ClaimAnswer read;
  struct Place {
    std::int32_t rank;
    std::int64_t place;
    std::size_t row;
  };
  std::vector<Place> order;
  std::int64_t seen = 0;
  for (std::size_t i = 0; i < answer.size(); ++i) {
    if (answer.is_null(i, 0)) {  // the head
      read.known = !answer.is_null(i, 1);
      if (read.known) read.state = static_cast<jobs::WorkerState>(answer.int4(i, 1));
      seen = answer.int4(i, 2);
      read.settled = answer.int8(i, 3);
      continue;
    }
    const auto choice = std::ranges::find(claim.lanes, answer.int4(i, 1), &LaneChoice::lane);
    order.push_back({choice->rank, answer.int8(i, 3), i});
    auto& last = read.last[choice->lane];
    last = std::max(last, answer.int8(i, 3));
  }
  std::ranges::sort(order, [](const Place& a, const Place& b) {
    return std::pair(a.rank, a.place) < std::pair(b.rank, b.place);
  });
  read.contended = static_cast<std::size_t>(seen) > order.size();
  const std::string token = token_text(claim.token);
  read.jobs.reserve(order.size());
  for (const auto& [rank, place, i] : order) {
    Job job;
    job.id = answer.uuid(i, 0);
    const Lane* lane = lanes.find(answer.int4(i, 1));
    job.queue = lane->queue;
    job.kind = lane->kind;
    job.priority = lane->priority;
    job.state = JobState::Processing;
    job.version = answer.int4(i, 4);
    job.attempt = answer.int4(i, 5);
    job.failures = answer.int4(i, 6);
    job.crashes = answer.int4(i, 7);
    job.updated_at = answer.timestamp(i, 8);
    job.v = answer.int4(i, 10);
    if (!answer.is_null(i, 11)) job.retries = answer.int4(i, 11);
    job.max_attempts = answer.int4(i, 12);
    job.max_crashes = answer.int4(i, 13);
    job.created_at = answer.timestamp(i, 14);
    job.name = answer.text(i, 15);
    if (!answer.is_null(i, 16)) job.labels = answer.texts(i, 16);
    job.recurring_id = answer.text(i, 17);
    job.created_by = answer.text(i, 18);
    job.meta = answer.text(i, 19);
    if (auto extra = jobs::extra_of(answer.text(i, 20))) job.extra = *std::move(extra);
    job.args = answer.text(i, 21);
    if (job.extra.timeout > Duration::zero()) job.deadline = job.updated_at + job.extra.timeout;
    note_run(lane->id, Duration(answer.int8(i, 9)), effects);
    read.jobs.push_back({std::move(job), token});
  }
  return read;
}

namespace {

Parameters hand_out_to(const Claim& claim, std::int64_t shard, std::int64_t before,
                       const std::map<std::int32_t, std::int64_t>& lanes) {
  Effects ready;
  for (const auto& [lane, jobs] : lanes) ready.ready.insert(lane);
  Parameters all;
  all.uuid(claim.worker_id).int8(claim.token).int8(shard).int8(before);
  all.text(notice_text(ready, false));
  return all;
}

}  // namespace

void add_hand_out(Pipeline& pipeline, const HandOut& hand_out, std::int64_t shard,
                  std::int64_t before) {
  UuidArray id(hand_out.jobs.size());
  Int4Array lane(hand_out.jobs.size()), counted;
  Int8Array count;
  std::map<std::int32_t, std::int64_t> lanes;
  for (const NewJob* job : hand_out.jobs) {
    id.add(job->id);
    lane.add(job->lane);
    ++lanes[job->lane];
  }
  for (const auto& [number, jobs] : lanes) counted.add(number), count.add(jobs);
  Parameters all = hand_out_to(hand_out.claim, shard, before, lanes);
  all.array(std::move(id)).array(std::move(lane));
  all.array(std::move(counted)).array(std::move(count));
  pipeline.add(kHandOut, std::move(all));
}

void add_hand_out_new(Pipeline& pipeline, const HandOut& hand_out, std::int64_t shard,
                      Effects& effects) {
  const NewJob& job = *hand_out.jobs.front();
  effects.tallies[job.lane].enqueued += 1;
  pipeline.add(kHandOutNew, add_job(hand_out_to(hand_out.claim, shard, 0, {{job.lane, 1}}), job));
}

namespace {

// As the next claim would read it.
Job first_run(const NewJob& made, const Lane& lane, TimePoint created, TimePoint started) {
  const jobs::JobSpec& spec = *made.spec;
  Job job;
  job.id = made.id;
  job.queue = lane.queue;
  job.kind = lane.kind;
  job.priority = lane.priority;
  job.state = JobState::Processing;
  job.version = 2;
  job.attempt = 1;
  job.updated_at = started;
  job.v = spec.v;
  job.retries = spec.retries;
  job.max_attempts = made.max_attempts;
  job.max_crashes = spec.max_crashes;
  job.created_at = created;
  job.name = made.name;
  job.labels = made.labels;
  job.recurring_id = made.recurring;
  job.created_by = spec.created_by;
  job.meta = spec.meta;
  job.extra = spec.extra;
  job.args = made.args;
  if (job.extra.timeout > Duration::zero()) job.deadline = started + job.extra.timeout;
  return job;
}

}  // namespace

ClaimAnswer read_hand_out(const Rows& answer, const HandOut& hand_out, const Lanes& lanes,
                          Effects& effects) {
  ClaimAnswer read;
  read.known = true;
  if (answer.is_null(0, 0)) {
    for (const NewJob* job : hand_out.jobs) effects.ready.insert(job->lane);
    return read;
  }
  const std::string token = token_text(hand_out.claim.token);
  read.jobs.reserve(hand_out.jobs.size());
  for (const NewJob* job : hand_out.jobs) {
    note_run(job->lane, Duration::zero(), effects);
    read.jobs.push_back(
        {first_run(*job, *lanes.find(job->lane), answer.timestamp(0, 2), answer.timestamp(0, 1)),
         token});
  }
  return read;
}

// --- one by one ----------------------------------------------------------------------------------

Result<bool> any_exists(Connection& connection, std::span<const std::string> ids) {
  TRY(const Rows existing, connection.run(kExist, Parameters().array(UuidArray(ids))));
  return !existing.empty();
}

// A job that moves from one table to another between two of the statements is in neither, so those
// that exist are looked for again.
Result<std::map<std::string, JobRow>> lock_jobs(Connection& connection,
                                                std::span<const std::string> ids) {
  constexpr int kTries = 10;
  std::map<std::string, JobRow> found;
  std::vector<std::string> missing(ids.begin(), ids.end());
  for (int i = 0; i < kTries && !missing.empty(); ++i) {
    for (const Statement* statement : {&kLockDue, &kLockHot, &kLockDone}) {
      TRY(const Rows rows, connection.run(*statement, Parameters().array(UuidArray(missing))));
      for (JobRow& row : rows_of(rows)) found.insert_or_assign(row.id, std::move(row));
      std::erase_if(missing, [&](const std::string& id) { return found.contains(id); });
      if (missing.empty()) return found;
    }
    TRY(const Rows existing, connection.run(kExist, Parameters().array(UuidArray(missing))));
    missing.clear();
    for (std::size_t row = 0; row < existing.size(); ++row) {
      missing.push_back(existing.uuid(row, 0));
    }
  }
  return found;
}

Result<std::vector<JobRow>> lock_held(Connection& connection, std::int32_t worker) {
  TRY(const Rows rows, connection.run(kLockHeld, Parameters().int4(worker)));
  return rows_of(rows);
}

Result<std::vector<JobRow>> lock_late(Connection& connection, TimePoint before, int limit) {
  TRY(const Rows rows, connection.run(kLockLate, Parameters().timestamp(before).int4(limit)));
  return rows_of(rows);
}

Status set_deadlines(Connection& connection, std::span<const Deadline> deadlines,
                     std::int64_t token) {
  UuidArray id(deadlines.size());
  TimestampArray at(deadlines.size());
  for (const Deadline& deadline : deadlines) id.add(deadline.job_id), at.add(deadline.at);
  Parameters parameters;
  parameters.array(std::move(id)).array(std::move(at)).int8(token);
  TRY([[maybe_unused]] const Rows set, connection.run(kSetDeadlines, parameters));
  return {};
}

Status move(Connection& connection, std::span<const Move> moves, TimePoint now, std::int64_t shard,
            Effects& effects) {
  if (moves.empty()) return {};
  Moves writes(now);
  for (const Move& one : moves) writes.add(one);
  Pipeline pipeline(connection);
  writes.write(pipeline, shard, effects);
  TRY([[maybe_unused]] const auto answers, pipeline.finish());
  return {};
}

Status change_lanes(Connection& connection, std::span<const LaneChange> changes, TimePoint now,
                    std::int64_t shard, Effects& effects) {
  if (changes.empty()) return {};
  struct Changed {
    UuidArray id;
    Int4Array lane;
    void add(const LaneChange& change) { id.add(change.row.id), lane.add(change.lane); }
    Parameters parameters() {
      return std::move(Parameters().array(std::move(id)).array(std::move(lane)));
    }
  } hot, due, all;
  UuidArray id;
  Int4Array n, state;
  TimestampArray at;
  TextArray event;
  Counts counts;
  for (const LaneChange& change : changes) {
    const JobRow& row = change.row;
    const bool ready = row.state == JobState::Enqueued;
    (ready ? hot : due).add(change);
    all.add(change);
    id.add(row.id), n.add(row.version + 1), state.add(number(row.state));
    at.add(now), event.add(change.event);
    counts.add(row.lane, row.state, -1);
    counts.add(change.lane, row.state, 1);
    if (ready) effects.ready.insert(change.lane);
    effects.due = true;
  }
  Pipeline pipeline(connection);
  if (hot.id.size() > 0) pipeline.add(kChangeHot, hot.parameters());
  if (due.id.size() > 0) pipeline.add(kChangeDue, due.parameters());
  pipeline.add(kChangeJob, all.parameters());
  pipeline.add(kAddEvents, Parameters()
                               .array(std::move(id))
                               .array(std::move(n))
                               .array(std::move(state))
                               .array(std::move(at))
                               .array(std::move(event)));
  counts.write(pipeline, shard);
  TRY([[maybe_unused]] const auto answers, pipeline.finish());
  return {};
}

Result<std::int64_t> promote(Connection& connection, int page, std::int64_t shard,
                             Effects& effects) {
  TRY(const Rows rows, connection.run(kPromote, Parameters().int4(page).int8(shard)));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::int32_t lane = rows.int4(i, 0);
    effects.ready.insert(lane);
    jobs::Tally& tally = effects.tallies[lane];
    tally.enqueued += 1;
    tally.lateness.add(Duration(rows.int8(i, 1)));
  }
  effects.due |= !rows.empty();
  return static_cast<std::int64_t>(rows.size());
}

Result<std::int64_t> retire(Connection& connection, TimePoint before, int page,
                            std::int64_t shard) {
  TRY(const Rows rows,
      connection.run(kRetire, Parameters().timestamp(before).int4(page).int8(shard)));
  return rows.affected();
}

Result<std::int64_t> purge(Connection& connection, TimePoint before, int page, std::int64_t shard) {
  TRY(const Rows rows,
      connection.run(kPurge, Parameters().timestamp(before).int4(page).int8(shard)));
  return rows.affected();
}

Result<TimePoint> storage_now(Connection& connection) {
  TRY(const Rows rows, connection.run(kNow));
  return rows.timestamp(0, 0);
}

std::string token_text(std::int64_t token) { return fmt::format("{:x}", token); }

std::optional<std::int64_t> token_of(std::string_view text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value, 16);
  if (error != std::errc() || at != end || value <= 0) return std::nullopt;
  return value;
}

}  // namespace jobmill::postgres
