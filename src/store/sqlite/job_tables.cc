// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/job_tables.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <limits>

#include <fmt/format.h>

#include "store/job_events.h"
#include "store/sqlite/batch.h"
#include "store/sqlite/lock_token.h"

#define SHOWN_JOBS "SELECT " JOB_SHOWN " FROM job j " JOB_SHOWN_JOINS

namespace jobmill::sqlite {

namespace {

using namespace store;

using jobs::Job;
using jobs::JobState;

// The numbers that stand in the statements below.
static_assert(static_cast<int>(JobState::Scheduled) == 1);
static_assert(static_cast<int>(JobState::Enqueued) == 2);
static_assert(static_cast<int>(JobState::Processing) == 3);
static_assert(static_cast<int>(JobState::Succeeded) == 5);
static_assert(static_cast<int>(JobState::Deleted) == 7);

constexpr char kInsertJobs[] = R"sql(
  INSERT INTO job (seq, id, lane, v, name, labels, state, version, run_at, place, attempt, failures,
                   crashes, retries, max_attempts, max_crashes, waited, recurring, created_by,
                   created_at, updated_at, extra)
  SELECT c0, c1, c2, c3, c4, c5, c6, 1, c7, c8, 0, 0, 0, c9, c10, c11, 0, c12, c13, ?1, ?1, c14
    FROM batch
)sql";
constexpr char kInsertPayloads[] =
    "INSERT INTO job_payload (seq, args, meta) SELECT c0, c1, c2 FROM batch";
constexpr char kInsertScheduled[] =
    "INSERT INTO job_event (seq, n, state, at, data) SELECT c0, 1, 1, ?1, c1 FROM batch";
constexpr char kInsertManyReady[] =
    "INSERT INTO job_ready (lane, place, seq, at) SELECT c0, c1, c2, ?1 FROM batch";
constexpr char kInsertManyDue[] =
    "INSERT INTO job_due (queue, run_at, seq, lane) SELECT c0, c1, c2, c3 FROM batch";
constexpr char kInsertEvent[] =
    "INSERT INTO job_event (seq, n, state, at, data, began, run) VALUES (?1, ?2, ?3, ?4, ?5, ?6, "
    "?7)";
constexpr char kInsertReady[] =
    "INSERT INTO job_ready (lane, place, seq, at) VALUES (?1, ?2, ?3, ?4)";
constexpr char kInsertDue[] =
    "INSERT INTO job_due (queue, run_at, seq, lane) VALUES (?1, ?2, ?3, ?4)";
constexpr char kDeleteReady[] = "DELETE FROM job_ready WHERE lane = ?1 AND place = ?2";
constexpr char kDeleteDue[] = "DELETE FROM job_due WHERE queue = ?1 AND run_at = ?2 AND seq = ?3";

constexpr char kUpdateJob[] = R"sql(
  UPDATE job SET state = ?2, version = ?3, run_at = ?4, place = ?5, attempt = ?6, failures = ?7,
                 crashes = ?8, token = ?9, worker = ?10, waited = ?11, updated_at = ?12,
                 max_attempts = ?13, ran = CASE WHEN ?2 < 5 THEN NULL ELSE ran END
   WHERE seq = ?1
)sql";

constexpr char kShiftJob[] = "UPDATE job SET lane = ?2, version = ?3 WHERE seq = ?1";
constexpr char kPause[] = "UPDATE queue SET paused = ?2 WHERE id = ?1";
constexpr char kInsertLabels[] =
    "INSERT OR IGNORE INTO job_label (label, seq) SELECT c0, c1 FROM batch";
constexpr char kDeleteLabels[] =
    "DELETE FROM job_label WHERE (label, seq) IN (SELECT c0, c1 FROM batch)";

// Jobs that came to be FAILED, and those that are so no more. Groups are of what is FAILED now.
constexpr char kInsertFailures[] = R"sql(
  INSERT INTO job_failure (seq, fingerprint, at, lane, quarantined, type, frame, message)
  SELECT j.seq, job_fingerprint(e.data), j.updated_at, j.lane,
         coalesce(json_extract(e.data, '$.exceptionType') = 'jobmill.CrashLimit', 0),
         coalesce(json_extract(e.data, '$.exceptionType'), ''), job_frame(e.data),
         coalesce(json_extract(e.data, '$.exceptionMessage'), '')
    FROM batch b CROSS JOIN job j ON j.seq = b.c0
         CROSS JOIN job_event e ON e.seq = j.seq AND e.n = j.version
)sql";
constexpr char kGroupFailures[] = R"sql(
  INSERT INTO failure_group (fingerprint, count, quarantined, last_at)
  SELECT f.fingerprint, count(*), sum(f.quarantined), max(f.at)
    FROM batch b CROSS JOIN job_failure f ON f.seq = b.c0 GROUP BY f.fingerprint
  ON CONFLICT (fingerprint) DO UPDATE
     SET count = count + excluded.count, quarantined = quarantined + excluded.quarantined,
         last_at = max(last_at, excluded.last_at)
)sql";
constexpr char kLeavingGroups[] = R"sql(
  SELECT f.fingerprint, count(*), sum(f.quarantined)
    FROM batch b CROSS JOIN job_failure f ON f.seq = b.c0 GROUP BY f.fingerprint
)sql";
constexpr char kDeleteFailures[] = "DELETE FROM job_failure WHERE seq IN (SELECT c0 FROM batch)";
constexpr char kShrinkGroup[] = R"sql(
  UPDATE failure_group
     SET count = count - ?2, quarantined = quarantined - ?3,
         last_at = coalesce((SELECT max(at) FROM job_failure WHERE fingerprint = ?1), 0)
   WHERE fingerprint = ?1
)sql";
constexpr char kDropGroup[] = "DELETE FROM failure_group WHERE fingerprint = ?1 AND count <= 0";

constexpr char kFindById[] = "SELECT " JOB_ROW " FROM job j WHERE j.id = ?1";
constexpr char kFindBySeq[] = "SELECT " JOB_ROW " FROM job j WHERE j.seq = ?1";
constexpr char kFindMany[] = "SELECT " JOB_ROW " FROM batch b CROSS JOIN job j ON j.seq = b.c0";
constexpr char kAllById[] = SHOWN_JOBS "WHERE j.id = ?1";
constexpr char kHistory[] = "SELECT state, at, data FROM job_history WHERE seq = ?1 ORDER BY n";

constexpr char kPageBySeq[] = SHOWN_JOBS R"sql(
   WHERE j.seq < ?1
     AND (?2 = '' OR j.lane IN (SELECT l.id FROM lane l JOIN queue q ON q.id = l.queue
                                 WHERE q.name = ?2))
   ORDER BY j.seq DESC LIMIT ?3
)sql";
#define STATE_PAGE                                                                     \
  " AND (j.updated_at, j.lane, j.seq) < (?5, ?6, ?1) "                                 \
  "AND (?2 = '' OR j.lane IN (SELECT l.id FROM lane l JOIN queue q ON q.id = l.queue " \
  "WHERE q.name = ?2)) ORDER BY j.updated_at DESC, j.lane DESC, j.seq DESC LIMIT ?3"
constexpr char kPageByState[] = SHOWN_JOBS "WHERE j.state <> 3 AND j.state = ?4" STATE_PAGE;
constexpr char kPageOfRunning[] =
    "SELECT " JOB_SHOWN " FROM job_running r CROSS JOIN job j ON j.seq = r.seq " JOB_SHOWN_JOINS
    "WHERE j.state = ?4" STATE_PAGE;

// Claims take a lane from its front, so what is taken is all up to the last place. The front is
// deleted last: until then all statements of a claim mean the same jobs.
constexpr char kCountFront[] = R"sql(
  SELECT count(*), max(place)
    FROM (SELECT place FROM job_ready WHERE lane = ?1 ORDER BY place LIMIT ?2)
)sql";
constexpr char kFirstPlaces[] =
    "SELECT place FROM job_ready WHERE lane = ?1 ORDER BY place LIMIT ?2";
constexpr char kFront[] = "SELECT " JOB_ALL R"sql(, r.place
    FROM job_ready r CROSS JOIN job j ON j.seq = r.seq CROSS JOIN job_payload p ON p.seq = r.seq
   WHERE r.lane = ?1 AND r.place <= ?2 ORDER BY r.place
)sql";
constexpr char kClaimJobs[] = R"sql(
  UPDATE job SET state = 3, version = version + 1, attempt = failures + 1, place = NULL,
                 token = ?4, worker = ?5, waited = max(0, ?3 - updated_at), updated_at = ?3
   WHERE seq IN (SELECT seq FROM job_ready WHERE lane = ?1 AND place <= ?2)
)sql";
constexpr char kSetHolds[] = "UPDATE worker SET holds = ?2 WHERE id = ?1";
constexpr char kTakeFront[] = "DELETE FROM job_ready WHERE lane = ?1 AND place <= ?2";
constexpr char kCompleteJobs[] = R"sql(
  UPDATE job SET state = 5, version = version + 1, token = NULL, worker = NULL,
                 ran = max(0, ?1 - updated_at), updated_at = ?1
   WHERE seq IN (SELECT c0 FROM batch)
)sql";
constexpr char kCompletions[] = R"sql(
  INSERT INTO job_event (seq, n, state, at, data, began, run)
  SELECT c0, c1, 5, ?1, c2, c3, c4 FROM batch
)sql";
constexpr char kLastSeq[] = "SELECT coalesce(max(seq), 0) FROM job";
constexpr char kOldest[] = "SELECT at FROM job_ready WHERE lane = ?1 ORDER BY place LIMIT 1";
constexpr char kLastPlace[] =
    "SELECT place FROM job_ready WHERE lane = ?1 ORDER BY place DESC LIMIT 1";
constexpr char kFirstDue[] =
    "SELECT run_at FROM job_due WHERE queue = ?1 AND run_at > ?2 ORDER BY run_at LIMIT 1";
constexpr char kCountDue[] =
    "SELECT count(*) FROM job_due WHERE queue = ?1 AND run_at >= ?2 AND run_at <= ?3";
constexpr char kCountActive[] = R"sql(
  SELECT count(*) FROM job
   WHERE recurring = ?1 AND seq <> ?2
     AND (state IN (0, 2, 3, 4) OR (state = 1 AND run_at <= ?3))
)sql";

constexpr char kAddEnqueued[] = "UPDATE lane SET enqueued = enqueued + ?2 WHERE id = ?1";
constexpr char kAddCounts[] = R"sql(
  UPDATE queue SET scheduled = scheduled + ?2, processing = processing + ?3,
                   succeeded = succeeded + ?4, failed = failed + ?5, deleted = deleted + ?6
   WHERE id = ?1
)sql";
constexpr char kInsertQueue[] = "INSERT INTO queue (name) VALUES (?1)";
constexpr char kInsertLane[] = "INSERT INTO lane (queue, kind, priority) VALUES (?1, ?2, ?3)";

// One page of due jobs of a queue, oldest first. Each statement of the page selects the same rows,
// because job_due changes only in the last one.
#define DUE_PAGE                                                                              \
  "(SELECT lane, run_at, seq, row_number() OVER (ORDER BY run_at, seq) AS rank FROM job_due " \
  "WHERE queue = ?1 AND run_at <= ?2 ORDER BY run_at, seq LIMIT ?3)"
constexpr char kDuePage[] = "SELECT lane, run_at FROM " DUE_PAGE;
constexpr char kPromoteReady[] =
    "INSERT INTO job_ready (lane, place, seq, at) SELECT lane, ?4 + rank, seq, ?2 FROM " DUE_PAGE;
constexpr char kPromoteJobs[] =
    "UPDATE job SET state = 2, version = version + 1, run_at = NULL, place = ?4 + due.rank, "
    "updated_at = ?2 FROM " DUE_PAGE " AS due WHERE job.seq = due.seq";
constexpr char kPromoteEvents[] =
    "INSERT INTO job_event (seq, n, state, at, data) SELECT j.seq, j.version, 2, ?2, '{}' "
    "FROM " DUE_PAGE " AS due JOIN job j ON j.seq = due.seq";
constexpr char kPromoted[] =
    "DELETE FROM job_due WHERE queue = ?1 AND (run_at, seq) IN (SELECT run_at, seq FROM " DUE_PAGE
    ")";

constexpr char kRetirable[] = "SELECT " JOB_ROW
                              " FROM job j WHERE j.state <> 3 AND j.state = 5 AND j.updated_at <= "
                              "?1 ORDER BY j.updated_at LIMIT ?2";
constexpr char kPurgeable[] =
    "SELECT seq, lane, labels FROM job WHERE state <> 3 AND state = 7 AND updated_at <= ?1 "
    "ORDER BY updated_at LIMIT ?2";
// All that belongs to a job. Its own row is the last one.
constexpr std::array kPurge{"DELETE FROM job_payload WHERE seq IN (SELECT c0 FROM batch)",
                            "DELETE FROM job_event WHERE seq IN (SELECT c0 FROM batch)",
                            "DELETE FROM job_result WHERE seq IN (SELECT c0 FROM batch)",
                            "DELETE FROM job_progress WHERE seq IN (SELECT c0 FROM batch)",
                            "DELETE FROM job_log WHERE seq IN (SELECT c0 FROM batch)",
                            "DELETE FROM job_log_size WHERE seq IN (SELECT c0 FROM batch)",
                            "DELETE FROM job WHERE seq IN (SELECT c0 FROM batch)"};
constexpr char kOldestIn[] =
    "SELECT updated_at FROM job WHERE state <> 3 AND state = ?1 ORDER BY updated_at LIMIT 1";

constexpr char kQueues[] =
    "SELECT id, name, scheduled, processing, succeeded, failed, deleted, paused FROM queue";
constexpr char kLanes[] = "SELECT id, queue, kind, priority, enqueued FROM lane";
constexpr char kDueSeconds[] = R"sql(
  SELECT queue, run_at / 1000000 AS second, count(*), min(run_at), max(run_at)
    FROM job_due GROUP BY queue, second ORDER BY queue, second
)sql";
constexpr char kRunning[] =
    "SELECT " JOB_ROW " FROM job_running r CROSS JOIN job j ON j.seq = r.seq";

int small(std::int64_t number) { return static_cast<int>(number); }

std::string_view view(const UuidBytes& id) { return {id.data(), id.size()}; }

// A list is continued after the last row of its page.
std::string cursor_of(const Statement& row, bool by_state) {
  const std::string seq = std::to_string(row.number(0));
  return by_state ? fmt::format("{}.{}.{}", row.number(15), row.number(2), seq) : seq;
}

struct Cursor {
  std::int64_t updated_at = std::numeric_limits<std::int64_t>::max();
  std::int64_t lane = std::numeric_limits<std::int64_t>::max();
  std::int64_t seq = std::numeric_limits<std::int64_t>::max();
};

std::optional<std::int64_t> whole(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<Cursor> cursor(std::string_view text, bool by_state) {
  if (text.empty()) return Cursor{};
  std::vector<std::int64_t> parts;
  for (;;) {
    const auto end = std::min(text.find('.'), text.size());
    const auto part = whole(text.substr(0, end));
    if (!part) break;
    parts.push_back(*part);
    if (end == text.size()) break;
    text.remove_prefix(end + 1);
  }
  if (by_state && parts.size() == 3) return Cursor{parts[0], parts[1], parts[2]};
  if (!by_state && parts.size() == 1) return Cursor{.seq = parts[0]};
  return fail(Code::InvalidArgument, "after: not of this list");
}

}  // namespace

JobTables::JobTables(Database& db, JobMemory& memory) : db_(db), memory_(memory) {}

// --- loading -------------------------------------------------------------------------------------

Status JobTables::load() {
  memory_.clear_counts();
  last_place_ = 0;
  auto last = db_.use(kLastSeq);
  TRY([[maybe_unused]] const bool row, last.step());
  last_seq_ = last.number(0);
  TRY_VOID(load_queues());
  TRY_VOID(load_lanes());
  TRY_VOID(load_due());
  TRY_VOID(load_running());
  return refresh_retention();
}

Status JobTables::load_queues() {
  auto query = db_.use(kQueues);
  for (;;) {
    TRY(const bool row, query.step());
    if (!row) return {};
    QueueCounts queue;
    queue.id = query.number(0);
    queue.name = query.text(1);
    queue.scheduled = query.number(2);
    queue.processing = query.number(3);
    queue.succeeded = query.number(4);
    queue.failed = query.number(5);
    queue.deleted = query.number(6);
    queue.paused = query.number(7) != 0;
    memory_.add_queue(std::move(queue));
  }
}

Status JobTables::load_lanes() {
  auto query = db_.use(kLanes);
  for (;;) {
    TRY(const bool row, query.step());
    if (!row) return {};
    Lane lane;
    lane.id = query.number(0);
    lane.queue = query.number(1);
    lane.kind = query.text(2);
    lane.priority = small(query.number(3));
    lane.enqueued = query.number(4);
    auto first = db_.use(kOldest);
    TRY(const bool some, first.bind(1, lane.id).step());
    if (some) lane.oldest = first.instant(0);
    auto last = db_.use(kLastPlace);
    TRY(const bool placed, last.bind(1, lane.id).step());
    if (placed) last_place_ = std::max(last_place_, last.number(0));
    memory_.add_lane(std::move(lane));
  }
}

Status JobTables::load_due() {
  auto query = db_.use(kDueSeconds);
  JobDelta delta;
  for (;;) {
    TRY(const bool row, query.step());
    if (!row) break;
    auto& due = delta.queues[query.number(0)].due;
    // Two entries give the memory both ends of the second.
    due.emplace_back(query.instant(3), query.number(2) - 1);
    due.emplace_back(query.instant(4), 1);
  }
  memory_.apply(delta);
  return {};
}

Status JobTables::load_running() {
  auto query = db_.use(kRunning);
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) return {};
    const JobRow row = row_of(query);
    TRY(const jobs::Extra extra, jobs::extra_of(row.extra));
    const TimePoint seen = memory_.last_beat(row.worker).value_or(row.updated_at);
    memory_.hold(row.worker, row.lane, row.id_text(),
                 Held{.seq = row.seq,
                      .token = row.token,
                      .started = row.updated_at,
                      .seen = seen,
                      .timeout = extra.timeout,
                      .progress_timeout = extra.progress_timeout,
                      .told = std::max(seen, row.updated_at)});
  }
}

Status JobTables::refresh_retention() {
  const auto oldest = [&](JobState state) -> Result<std::optional<TimePoint>> {
    auto query = db_.use(kOldestIn);
    TRY(const bool some, query.bind(1, static_cast<int>(state)).step());
    return some ? std::optional(query.instant(0)) : std::nullopt;
  };
  TRY(const auto succeeded, oldest(JobState::Succeeded));
  TRY(const auto deleted, oldest(JobState::Deleted));
  memory_.set_retention(succeeded, deleted);
  return {};
}

// --- counters ------------------------------------------------------------------------------------

Status JobTables::finish(JobDelta& delta) {
  TRY_VOID(write_counters(delta));
  TRY_VOID(forget_failures(delta));
  TRY_VOID(note_failures(delta));
  TRY_VOID(look_up(delta));
  memory_.apply(delta);
  return {};
}

Status JobTables::write_counters(const JobDelta& delta) {
  for (const auto& [id, lane] : delta.lanes) {
    if (lane.enqueued == 0) continue;
    TRY_VOID(db_.use(kAddEnqueued).bind(1, id).bind(2, lane.enqueued).run());
  }
  for (const auto& [id, queue] : delta.queues) {
    if (!queue.counted()) continue;
    auto add = db_.use(kAddCounts);
    add.bind(1, id).bind(2, queue.scheduled).bind(3, queue.processing);
    TRY_VOID(add.bind(4, queue.succeeded).bind(5, queue.failed).bind(6, queue.deleted).run());
  }
  return {};
}

// At the end of the item: most failures are followed by a retry at once, and are none then.
Status JobTables::note_failures(const JobDelta& delta) {
  if (delta.failed.empty()) return {};
  Batch seqs(1);
  for (const std::int64_t seq : delta.failed) seqs.add(seq);
  TRY_VOID(db_.use(kInsertFailures, seqs).run());
  return db_.use(kGroupFailures, seqs).run();
}

Status JobTables::forget_failures(const JobDelta& delta) {
  if (delta.unfailed.empty()) return {};
  struct Leaving {
    std::string fingerprint;
    std::int64_t count;
    std::int64_t quarantined;
  };
  Batch seqs(1);
  for (const std::int64_t seq : delta.unfailed) seqs.add(seq);
  std::vector<Leaving> groups;
  {
    auto query = db_.use(kLeavingGroups, seqs);
    for (;;) {
      TRY(const bool some, query.step());
      if (!some) break;
      groups.push_back({query.text(0), query.number(1), query.number(2)});
    }
  }
  TRY_VOID(db_.use(kDeleteFailures, seqs).run());
  for (const Leaving& group : groups) {
    auto shrink = db_.use(kShrinkGroup);
    shrink.bind(1, std::string_view(group.fingerprint)).bind(2, group.count);
    TRY_VOID(shrink.bind(3, group.quarantined).run());
    TRY_VOID(db_.use(kDropGroup).bind(1, std::string_view(group.fingerprint)).run());
  }
  return {};
}

// The heads of what was taken from.
Status JobTables::look_up(JobDelta& delta) {
  for (auto& [id, lane] : delta.lanes) {
    if (!lane.taken) continue;
    auto query = db_.use(kOldest);
    TRY(const bool some, query.bind(1, id).step());
    if (some) lane.oldest = query.instant(0);
  }
  for (auto& [id, queue] : delta.queues) {
    if (!queue.taken) continue;
    TRY(queue.next_due, next_due(id, TimePoint::min()));
  }
  return {};
}

// --- queues and lanes ----------------------------------------------------------------------------

Result<std::int64_t> JobTables::queue(std::string_view name) {
  if (const QueueCounts* known = memory_.queue(name)) return known->id;
  TRY_VOID(db_.use(kInsertQueue).bind(1, name).run());
  QueueCounts queue;
  queue.id = db_.last_insert_rowid();
  queue.name = std::string(name);
  return memory_.add_queue(std::move(queue)).id;
}

Result<std::int64_t> JobTables::lane(std::string_view name, std::string_view kind, int priority) {
  TRY(const std::int64_t queue_id, queue(name));
  if (const Lane* known = memory_.lane(queue_id, kind, priority)) return known->id;
  auto insert = db_.use(kInsertLane);
  TRY_VOID(insert.bind(1, queue_id).bind(2, kind).bind(3, priority).run());
  Lane lane;
  lane.id = db_.last_insert_rowid();
  lane.queue = queue_id;
  lane.kind = std::string(kind);
  lane.priority = priority;
  return memory_.add_lane(std::move(lane)).id;
}

Result<bool> JobTables::pause(JobDelta& delta, std::string_view name, bool paused) {
  const QueueCounts* known = memory_.queue(name);
  if ((known != nullptr && known->paused) == paused) return false;
  TRY(const std::int64_t id, queue(name));
  TRY_VOID(db_.use(kPause).bind(1, id).bind(2, paused ? 1 : 0).run());
  memory_.set_paused(id, paused);
  if (paused) return true;
  for (const std::int64_t lane : memory_.queue(id)->lanes) {  // as if they had just come
    if (memory_.lane(lane)->enqueued > 0) delta.lanes[lane].added = memory_.lane(lane)->oldest;
  }
  return true;
}

// --- one job -------------------------------------------------------------------------------------

namespace {

// What the tables take of one new job, beside its texts.
struct NewRow {
  std::int64_t seq;
  UuidBytes id;
  std::int64_t place;  // 0: it waits for its time
  std::string labels;
};

Batch job_batch(std::span<const NewJob> jobs, const std::vector<NewRow>& rows) {
  Batch batch(15);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const NewJob& job = jobs[i];
    const NewRow& row = rows[i];
    const jobs::JobSpec& spec = *job.spec;
    const auto state = job.run_at ? JobState::Scheduled : JobState::Enqueued;
    batch.add(row.seq).add_blob(view(row.id)).add(job.lane).add(spec.v);
    batch.add(job.name).add(row.labels).add(static_cast<int>(state)).add(job.run_at);
    row.place != 0 ? batch.add(row.place) : batch.add_null();
    spec.retries ? batch.add(*spec.retries) : batch.add_null();
    batch.add(job.max_attempts).add(spec.max_crashes);
    job.recurring.empty() ? batch.add_null() : batch.add(job.recurring);
    batch.add(std::string_view(spec.created_by)).add(std::string_view(job.extra));
  }
  return batch;
}

}  // namespace

Result<std::int64_t> JobTables::insert(JobDelta& delta, std::span<const NewJob> jobs,
                                       TimePoint now) {
  const std::int64_t first = last_seq_ + 1;
  std::vector<NewRow> rows;
  rows.reserve(jobs.size());
  Batch payloads(3), scheduled(2), ready(3), due(4), labels(2);
  for (const NewJob& job : jobs) {
    const std::int64_t place = job.run_at ? 0 : ++last_place_;
    rows.push_back({++last_seq_, uuid_bytes(job.id), place, join_labels(job.labels)});
    payloads.add(last_seq_).add(job.args).add(job.spec->meta);
    for (const std::string& label : job.labels) labels.add(std::string_view(label)).add(last_seq_);
    if (job.run_at) {
      scheduled.add(last_seq_).add(job.event);
      const std::int64_t queue = memory_.lane(job.lane)->queue;
      due.add(queue).add(*job.run_at).add(last_seq_).add(job.lane);
      count_scheduled(delta, queue, *job.run_at);
    } else {
      ready.add(job.lane).add(place).add(last_seq_);
      count_ready(delta, job.lane, now);
    }
  }
  TRY_VOID(db_.use(kInsertJobs, job_batch(jobs, rows)).bind(1, now).run());
  TRY_VOID(db_.use(kInsertPayloads, payloads).run());
  if (!scheduled.empty()) TRY_VOID(db_.use(kInsertScheduled, scheduled).bind(1, now).run());
  if (!ready.empty()) TRY_VOID(db_.use(kInsertManyReady, ready).bind(1, now).run());
  if (!due.empty()) TRY_VOID(db_.use(kInsertManyDue, due).run());
  if (!labels.empty()) TRY_VOID(db_.use(kInsertLabels, labels).run());
  return first;
}

Result<std::optional<JobRow>> JobTables::find(std::string_view id) {
  const UuidBytes bytes = uuid_bytes(id);
  auto query = db_.use(kFindById);
  TRY(const bool some, query.bind_blob(1, view(bytes)).step());
  return some ? std::optional(row_of(query)) : std::nullopt;
}

Result<std::optional<JobRow>> JobTables::find(std::int64_t seq) {
  auto query = db_.use(kFindBySeq);
  TRY(const bool some, query.bind(1, seq).step());
  return some ? std::optional(row_of(query)) : std::nullopt;
}

Result<std::vector<JobRow>> JobTables::find(std::span<const std::int64_t> seqs) {
  Batch batch(1);
  for (const std::int64_t seq : seqs) batch.add(seq);
  auto query = db_.use(kFindMany, batch);
  std::vector<JobRow> rows;
  rows.reserve(seqs.size());
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) return rows;
    rows.push_back(row_of(query));
  }
}

// From the memory, which knows what each worker holds, so that no index over it is needed.
Result<std::vector<JobRow>> JobTables::running(std::int64_t worker, std::string_view worker_id) {
  std::vector<JobRow> rows;
  for (const std::int64_t seq : memory_.held(worker_id)) {
    TRY(const auto row, find(seq));
    if (row && row->worker == worker) rows.push_back(*row);
  }
  return rows;
}

Status JobTables::move(JobDelta& delta, JobRow& row, JobState to, TimePoint now,
                       std::string_view event, std::optional<TimePoint> run_at,
                       std::string_view cancel) {
  TRY_VOID(leave(delta, row, to == JobState::Deleted ? "deleted" : cancel));
  const std::optional<Run> run = run_of(row);
  row.state = to;
  row.version += 1;
  row.run_at = run_at;
  row.place = to == JobState::Enqueued ? ++last_place_ : 0;
  row.updated_at = now;
  TRY_VOID(update(row));
  TRY_VOID(add_event(row, now, event, run));
  return enter(delta, row, now);
}

Status JobTables::shift(JobDelta& delta, JobRow& row, std::int64_t lane, TimePoint now,
                        std::string_view event) {
  TRY_VOID(leave(delta, row, {}));
  row.lane = lane;
  row.version += 1;
  auto update = db_.use(kShiftJob);
  TRY_VOID(update.bind(1, row.seq).bind(2, lane).bind(3, row.version).run());
  TRY_VOID(add_event(row, now, event, std::nullopt));
  if (row.state == JobState::Scheduled) return put_due(delta, row);
  // With its place and its time it may be the oldest of its new lane, which must be looked up.
  auto& to = delta.lanes[lane];
  to.enqueued += 1;
  to.taken = true;
  if (!to.added) to.added = row.updated_at;
  auto insert = db_.use(kInsertReady);
  insert.bind(1, lane).bind(2, row.place).bind(3, row.seq);
  return insert.bind(4, row.updated_at).run();
}

Status JobTables::leave(JobDelta& delta, const JobRow& row, std::string_view cancel) {
  const std::int64_t queue = memory_.lane(row.lane)->queue;
  switch (row.state) {
    case JobState::Enqueued: {
      auto& lane = delta.lanes[row.lane];
      lane.enqueued -= 1;
      lane.taken = true;
      return db_.use(kDeleteReady).bind(1, row.lane).bind(2, row.place).run();
    }
    case JobState::Scheduled:
      delta.queues[queue].add_due(*row.run_at, -1);
      return db_.use(kDeleteDue).bind(1, queue).bind(2, *row.run_at).bind(3, row.seq).run();
    case JobState::Processing:
      delta.queues[queue].processing -= 1;
      delta.workers = true;
      delta.lanes[row.lane].tally.in_progress -= 1;
      delta.drops.push_back({row.worker, row.id_text(), cancel});
      return {};
    case JobState::Failed:
      if (delta.failed.erase(row.seq) == 0) delta.unfailed.insert(row.seq);
      delta.queues[queue].failed -= 1;
      return {};
    default:
      if (std::int64_t* ended = delta.queues[queue].ended(row.state)) *ended -= 1;
      return {};
  }
}

Status JobTables::enter(JobDelta& delta, JobRow& row, TimePoint now) {
  const std::int64_t queue = memory_.lane(row.lane)->queue;
  if (std::int64_t* ended = delta.queues[queue].ended(row.state)) *ended += 1;
  switch (row.state) {
    case JobState::Enqueued:
      return put_ready(delta, row, now);
    case JobState::Scheduled:
      return put_due(delta, row);
    case JobState::Failed:
      delta.failed.insert(row.seq);
      return {};
    case JobState::Succeeded:
      if (!delta.succeeded) delta.succeeded = now;
      return {};
    case JobState::Deleted:
      delta.lanes[row.lane].tally.deleted += 1;
      if (!delta.deleted) delta.deleted = now;
      return {};
    default:
      return {};
  }
}

Status JobTables::put_ready(JobDelta& delta, JobRow& row, TimePoint now) {
  count_ready(delta, row.lane, now);
  auto insert = db_.use(kInsertReady);
  return insert.bind(1, row.lane).bind(2, row.place).bind(3, row.seq).bind(4, now).run();
}

Status JobTables::put_due(JobDelta& delta, const JobRow& row) {
  const std::int64_t queue = memory_.lane(row.lane)->queue;
  count_scheduled(delta, queue, *row.run_at);
  auto insert = db_.use(kInsertDue);
  return insert.bind(1, queue).bind(2, *row.run_at).bind(3, row.seq).bind(4, row.lane).run();
}

void JobTables::count_ready(JobDelta& delta, std::int64_t id, TimePoint now) {
  auto& lane = delta.lanes[id];
  lane.enqueued += 1;
  lane.tally.enqueued += 1;
  if (!lane.added) lane.added = now;
}

void JobTables::count_scheduled(JobDelta& delta, std::int64_t queue, TimePoint at) {
  delta.queues[queue].add_due(at, 1);
  delta.due = true;
}

// A claim sets token and worker; every other transition ends it.
Status JobTables::update(const JobRow& row) {
  const bool claimed = row.state == JobState::Processing;
  auto update = db_.use(kUpdateJob);
  update.bind(1, row.seq).bind(2, static_cast<int>(row.state)).bind(3, row.version);
  update.bind(4, row.run_at).bind(6, row.attempt).bind(7, row.failures).bind(8, row.crashes);
  if (row.place != 0) update.bind(5, row.place);
  if (claimed) update.bind(9, row.token).bind(10, row.worker);
  update.bind(11, row.waited.count()).bind(12, row.updated_at).bind(13, row.max_attempts);
  return update.run();
}

// A job that runs now: how its run began.
std::optional<JobTables::Run> JobTables::run_of(const JobRow& row) const {
  if (row.state != JobState::Processing) return std::nullopt;
  const auto [id, name] = memory_.worker_name(row.worker);
  return Run{row.updated_at, processing_event(processing_event_start(id, name), row.ran)};
}

Status JobTables::add_event(const JobRow& row, TimePoint at, std::string_view data,
                            const std::optional<Run>& run) {
  auto insert = db_.use(kInsertEvent);
  insert.bind(1, row.seq).bind(2, row.version).bind(3, static_cast<int>(row.state));
  insert.bind(4, at).bind(5, data);
  if (run) insert.bind(6, run->began).bind(7, std::string_view(run->event));
  return insert.run();
}

Status JobTables::complete(JobDelta& delta, std::span<const JobRow> rows, TimePoint now) {
  if (rows.empty()) return {};
  std::vector<std::string> texts;  // which the batch refers to
  texts.reserve(2 * rows.size());
  std::map<std::int64_t, std::string> workers;
  Batch events(5);
  for (const JobRow& row : rows) {
    TRY_VOID(leave(delta, row, {}));
    delta.queues[memory_.lane(row.lane)->queue].succeeded += 1;
    jobs::Tally& tally = delta.lanes[row.lane].tally;
    tally.succeeded += 1;
    tally.run.add(now - row.updated_at);
    std::string& worker = workers[row.worker];
    if (worker.empty()) {
      const auto [id, name] = memory_.worker_name(row.worker);
      worker = processing_event_start(id, name);
    }
    events.add(row.seq).add(row.version + 1);
    events.add(texts.emplace_back(succeeded_event(row.waited, now - row.updated_at)));
    events.add(row.updated_at).add(texts.emplace_back(processing_event(worker, row.attempt)));
  }
  delta.succeeded = now;
  TRY_VOID(db_.use(kCompletions, events).bind(1, now).run());
  return db_.use(kCompleteJobs, events).bind(1, now).run();
}

// --- claims --------------------------------------------------------------------------------------

Status JobTables::claim(JobDelta& delta, std::vector<std::int64_t> lanes, int limit,
                        const Claimer& claimer, TimePoint now,
                        std::vector<jobs::ClaimedJob>& claimed) {
  TRY(const auto wanted, fronts(lanes, limit));
  std::vector<Taken> taken;
  for (const auto& [lane, front] : wanted) {
    TRY_VOID(take(delta, lane, front, claimer, now, taken));
  }
  if (wanted.size() > 1) {
    std::sort(taken.begin(), taken.end(),
              [](const Taken& a, const Taken& b) { return a.place < b.place; });
  }
  for (Taken& job : taken) claimed.push_back(std::move(job.claimed));
  return {};
}

// All that the worker may hold now: what it held, and the claims of this item.
Status JobTables::write_holds(const JobDelta& delta, const Claimer& claimer) {
  std::vector<std::int64_t> seqs = memory_.held(claimer.id);
  for (const auto& claim : delta.claims) seqs.push_back(claim.held.seq);
  const std::string list = fmt::format("[{}]", fmt::join(seqs, ","));
  return db_.use(kSetHolds).bind(1, claimer.row).bind(2, std::string_view(list)).run();
}

// How far into each lane the first `limit` places of all of them reach.
Result<JobTables::Fronts> JobTables::fronts(const std::vector<std::int64_t>& lanes, int limit) {
  Fronts found;
  if (lanes.size() == 1) {
    auto query = db_.use(kCountFront);
    TRY([[maybe_unused]] const bool row, query.bind(1, lanes.front()).bind(2, limit).step());
    if (query.number(0) > 0) found[lanes.front()] = {query.number(0), query.number(1)};
    return found;
  }
  std::vector<std::pair<std::int64_t, std::int64_t>> first;  // place, lane
  for (const std::int64_t lane : lanes) {
    auto query = db_.use(kFirstPlaces);
    query.bind(1, lane).bind(2, limit);
    for (;;) {
      TRY(const bool some, query.step());
      if (!some) break;
      first.emplace_back(query.number(0), lane);
    }
  }
  std::sort(first.begin(), first.end());
  if (first.size() > static_cast<std::size_t>(limit)) first.resize(static_cast<std::size_t>(limit));
  for (const auto& [place, lane] : first) {
    found[lane].count += 1;
    found[lane].last = place;
  }
  return found;
}

Status JobTables::take(JobDelta& delta, std::int64_t id, const Front& front, const Claimer& claimer,
                       TimePoint now, std::vector<Taken>& taken) {
  TRY_VOID(read_front(delta, id, front, claimer, now, taken));
  auto update = db_.use(kClaimJobs);
  update.bind(1, id).bind(2, front.last).bind(3, now);
  TRY_VOID(update.bind(4, claimer.token).bind(5, claimer.row).run());
  TRY_VOID(db_.use(kTakeFront).bind(1, id).bind(2, front.last).run());

  auto& lane = delta.lanes[id];
  lane.enqueued -= front.count;
  lane.taken = true;
  lane.tally.runs += static_cast<std::uint64_t>(front.count);
  lane.tally.in_progress += front.count;
  delta.queues[memory_.lane(id)->queue].processing += front.count;
  delta.workers = true;
  return {};
}

// The jobs as they are once they are claimed.
Status JobTables::read_front(JobDelta& delta, std::int64_t lane, const Front& front,
                             const Claimer& claimer, TimePoint now, std::vector<Taken>& taken) {
  auto query = db_.use(kFront);
  query.bind(1, lane).bind(2, front.last);
  jobs::Histogram& wait = delta.lanes[lane].tally.wait;
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) return {};
    const std::int64_t seq = query.number(0);
    TRY(Job job, job_of(query, names_of(lane)));
    wait.add(now - job.updated_at);
    job.state = JobState::Processing;
    job.version += 1;
    job.attempt = job.failures + 1;
    job.updated_at = now;
    if (job.extra.timeout > Duration::zero()) job.deadline = now + job.extra.timeout;
    delta.claims.push_back({claimer.id, job.id,
                            Held{.seq = seq,
                                 .token = claimer.token,
                                 .started = now,
                                 .seen = now,
                                 .timeout = job.extra.timeout,
                                 .progress_timeout = job.extra.progress_timeout,
                                 .told = now}});
    taken.push_back({query.number(26), {std::move(job), to_text(LockToken{seq, claimer.token})}});
  }
}

// Never 0, and never negative, which its text could not carry.
std::int64_t JobTables::new_token() { return static_cast<std::int64_t>(random_() >> 1) | 1; }

double JobTables::random_unit() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

// --- pages of maintenance ------------------------------------------------------------------------

Result<std::int64_t> JobTables::promote(JobDelta& delta, std::int64_t queue, TimePoint now,
                                        int page) {
  std::int64_t count = 0;
  auto due = db_.use(kDuePage);
  due.bind(1, queue).bind(2, now).bind(3, page);
  for (;;) {
    TRY(const bool some, due.step());
    if (!some) break;
    auto& lane = delta.lanes[due.number(0)];
    lane.enqueued += 1;
    lane.tally.enqueued += 1;
    lane.tally.lateness.add(now - due.instant(1));
    if (!lane.added) lane.added = now;
    delta.queues[queue].add_due(due.instant(1), -1);
    ++count;
  }
  if (count == 0) return 0;
  for (const char* sql : {kPromoteReady, kPromoteJobs, kPromoteEvents, kPromoted}) {
    auto statement = db_.use(sql);
    statement.bind(1, queue).bind(2, now).bind(3, page);
    if (sql == kPromoteReady || sql == kPromoteJobs) statement.bind(4, last_place_);
    TRY_VOID(statement.run());
  }
  last_place_ += count;
  return count;
}

Result<std::int64_t> JobTables::retire(JobDelta& delta, TimePoint before, TimePoint now, int page) {
  std::vector<JobRow> rows;
  {
    auto query = db_.use(kRetirable);
    query.bind(1, before).bind(2, page);
    for (;;) {
      TRY(const bool some, query.step());
      if (!some) break;
      rows.push_back(row_of(query));
    }
  }
  for (JobRow& row : rows) {
    TRY_VOID(move(delta, row, JobState::Deleted, now, R"({"reason":"retention"})"));
  }
  return static_cast<std::int64_t>(rows.size());
}

Result<std::int64_t> JobTables::purge(JobDelta& delta, TimePoint before, int page) {
  Batch rows(1), labels(2);
  std::vector<std::pair<std::int64_t, std::vector<std::string>>> labelled;
  {
    auto query = db_.use(kPurgeable);
    query.bind(1, before).bind(2, page);
    for (;;) {
      TRY(const bool some, query.step());
      if (!some) break;
      rows.add(query.number(0));
      delta.queues[memory_.lane(query.number(1))->queue].deleted -= 1;
      if (!query.view(2).empty()) {
        labelled.emplace_back(query.number(0), split_labels(query.view(2)));
      }
    }
  }
  if (rows.empty()) return 0;
  for (const auto& [seq, texts] : labelled) {
    for (const std::string& label : texts) labels.add(std::string_view(label)).add(seq);
  }
  if (!labels.empty()) TRY_VOID(db_.use(kDeleteLabels, labels).run());
  for (const char* sql : kPurge) TRY_VOID(db_.use(sql, rows).run());
  return static_cast<std::int64_t>(rows.rows());
}

// --- reading -------------------------------------------------------------------------------------

LaneNames JobTables::names_of(std::int64_t id) const {
  const Lane& lane = *memory_.lane(id);
  return {memory_.queue(lane.queue)->name, lane.kind, lane.priority};
}

Result<std::optional<Job>> JobTables::get(std::string_view id) {
  const UuidBytes bytes = uuid_bytes(id);
  auto query = db_.use(kAllById);
  TRY(const bool some, query.bind_blob(1, view(bytes)).step());
  if (!some) return std::optional<Job>();
  TRY(Job job, shown_job_of(query, names_of(query.number(2))));
  return std::optional(std::move(job));
}

Result<std::vector<jobs::JobEvent>> JobTables::history(std::int64_t seq) {
  auto query = db_.use(kHistory);
  return history_of(query.bind(1, seq));
}

Result<jobs::JobPage> JobTables::list(const jobs::JobQuery& query) {
  const bool by_state = query.state.has_value();
  TRY(const Cursor after, cursor(query.after, by_state));
  const bool running = query.state == JobState::Processing;
  auto page = db_.use(running ? kPageOfRunning : by_state ? kPageByState : kPageBySeq);
  page.bind(1, after.seq).bind(2, query.queue).bind(3, query.limit + 1);
  if (by_state) {
    page.bind(4, static_cast<int>(*query.state)).bind(5, after.updated_at).bind(6, after.lane);
  }
  return read_page(page, query.limit, by_state);
}

// One row more than asked for tells whether there is a next page.
Result<jobs::JobPage> JobTables::read_page(Statement& query, int limit, bool by_state) const {
  jobs::JobPage page;
  std::string last;
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) return page;
    if (page.items.size() == static_cast<std::size_t>(limit)) {
      page.next = last;
      return page;
    }
    TRY(Job job, shown_job_of(query, names_of(query.number(2))));
    page.items.push_back(std::move(job));
    last = cursor_of(query, by_state);
  }
}

Result<std::int64_t> JobTables::count_due(std::int64_t queue, TimePoint from, TimePoint until) {
  auto query = db_.use(kCountDue);
  TRY([[maybe_unused]] const bool row, query.bind(1, queue).bind(2, from).bind(3, until).step());
  return query.number(0);
}

Result<std::optional<TimePoint>> JobTables::next_due(std::int64_t queue, TimePoint after) {
  auto query = db_.use(kFirstDue);
  TRY(const bool some, query.bind(1, queue).bind(2, after).step());
  return some ? std::optional(query.instant(0)) : std::nullopt;
}

Result<int> JobTables::count_active(std::string_view recurring, std::int64_t except,
                                    TimePoint now) {
  auto query = db_.use(kCountActive);
  query.bind(1, recurring).bind(2, except);
  TRY([[maybe_unused]] const bool row, query.bind(3, now).step());
  return small(query.number(0));
}

}  // namespace jobmill::sqlite
