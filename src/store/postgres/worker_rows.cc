// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/worker_rows.h"

#include <utility>

#include "store/spec_json.h"

namespace jobmill::postgres {
namespace {

constexpr Statement kAdd{"add_worker",
                         R"sql(
  INSERT INTO jobmill_worker (id, name, spec, first_beat, last_beat)
  SELECT $1, $2, $3, now, now FROM (SELECT jobmill_now() AS now) t RETURNING number)sql"};
constexpr Statement kInfo{
    "worker_info", "SELECT number, spec FROM jobmill_worker WHERE id = $1 AND gone_at IS NULL"};
constexpr Statement kLock{"lock_worker",
                          "SELECT number, occupied, last_beat FROM jobmill_worker"
                          " WHERE id = $1 AND gone_at IS NULL FOR UPDATE"};
constexpr Statement kGone{"worker_gone",
                          "UPDATE jobmill_worker SET gone_at = jobmill_now() WHERE number = $1"};
constexpr Statement kSetState{"set_worker_state",
                              "UPDATE jobmill_worker SET state = $2, drain_until = $3"
                              " WHERE id = $1 AND gone_at IS NULL"};
constexpr Statement kBeat{"beat",
                          R"sql(
  UPDATE jobmill_worker SET last_beat = jobmill_now() WHERE id = $1 AND gone_at IS NULL
  RETURNING number, occupied, state::integer, drain_until, last_beat)sql"};
constexpr Statement kRunning{"running",
                             R"sql(
  SELECT h.id IS NOT NULL, d.id IS NOT NULL, coalesce(h.attempt, 0), h.deadline,
         h.id IS NULL AND EXISTS (
           SELECT FROM jobmill_event e WHERE e.id = ANY(ARRAY[u.id]) AND e.state = 6
             AND e.data LIKE '%"exceptionType":"jobmill.Timeout"%'
             AND e.n = (SELECT max(l.n) FROM jobmill_event l WHERE l.id = u.id AND l.state = 6))
  FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY u(id, token, n)
  LEFT JOIN jobmill_hot h ON h.id = ANY(ARRAY[u.id]) AND h.token = u.token AND h.state = 3
  LEFT JOIN jobmill_done d ON d.id = ANY(ARRAY[u.id]) AND d.state = 7
  ORDER BY u.n)sql"};
constexpr Statement kLive{"live_workers",
                          R"sql(
  SELECT id, spec, state::integer, first_beat, last_beat, occupied, busy_since, drain_until
  FROM jobmill_worker WHERE gone_at IS NULL AND last_beat > $1 ORDER BY number)sql"};
constexpr Statement kLost{"lost_workers",
                          R"sql(
  SELECT id FROM jobmill_worker WHERE gone_at IS NULL AND last_beat <= $1 ORDER BY number)sql"};
constexpr Statement kForget{
    "forget_workers", "DELETE FROM jobmill_worker WHERE gone_at IS NOT NULL AND gone_at <= $1"};
constexpr Statement kNow{"workers_now", "SELECT jobmill_now()"};

Result<TimePoint> ago(Connection& connection, Duration time) {
  TRY(const Rows now, connection.run(kNow));
  return now.timestamp(0, 0) - time;
}

}  // namespace

Result<std::int32_t> add_worker(Connection& connection, std::string_view id,
                                const jobs::WorkerSpec& spec) {
  TRY(const Rows rows,
      connection.run(kAdd, Parameters().uuid(id).text(spec.name).text(store::to_json(spec))));
  return rows.int4(0, 0);
}

Result<std::optional<WorkerInfo>> worker_info(Connection& connection, std::string_view id) {
  TRY(const Rows rows, connection.run(kInfo, Parameters().uuid(id)));
  if (rows.empty()) return std::optional<WorkerInfo>();
  TRY(auto spec, store::worker_spec(rows.text(0, 1)));
  return std::optional(WorkerInfo{rows.int4(0, 0), std::move(spec)});
}

Result<std::optional<LockedWorker>> lock_worker(Connection& connection, std::string_view id) {
  TRY(const Rows rows, connection.run(kLock, Parameters().uuid(id)));
  if (rows.empty()) return std::optional<LockedWorker>();
  return std::optional(LockedWorker{rows.int4(0, 0), rows.int4(0, 1), rows.timestamp(0, 2)});
}

Status worker_gone(Connection& connection, std::int32_t number) {
  TRY([[maybe_unused]] const Rows rows, connection.run(kGone, Parameters().int4(number)));
  return {};
}

Result<bool> set_worker_state(Connection& connection, std::string_view id, jobs::WorkerState state,
                              std::optional<TimePoint> drain_until) {
  TRY(const Rows rows,
      connection.run(
          kSetState,
          Parameters().uuid(id).int4(static_cast<std::int32_t>(state)).timestamp(drain_until)));
  return rows.affected() > 0;
}

Result<BeatRow> beat_worker(Connection& connection, std::string_view id,
                            std::span<const std::string> jobs,
                            std::span<const std::int64_t> tokens) {
  UuidArray ids(jobs.size());
  Int8Array held(jobs.size());
  for (const std::string& job : jobs) ids.add(job);
  for (const std::int64_t token : tokens) held.add(token);
  Pipeline pipeline(connection);
  pipeline.add(kBeat, Parameters().uuid(id));
  if (!jobs.empty()) {
    pipeline.add(kRunning, Parameters().array(std::move(ids)).array(std::move(held)));
  }
  TRY(const auto answers, pipeline.finish());
  BeatRow beat;
  beat.known = !answers[0].empty();
  if (!beat.known) return beat;
  beat.number = answers[0].int4(0, 0);
  beat.occupied = answers[0].int4(0, 1);
  beat.state = static_cast<jobs::WorkerState>(answers[0].int4(0, 2));
  beat.drain_until = answers[0].maybe_timestamp(0, 3);
  beat.now = answers[0].timestamp(0, 4);
  if (jobs.empty()) return beat;
  for (std::size_t i = 0; i < answers[1].size(); ++i) {
    beat.jobs.push_back({answers[1].boolean(i, 0), answers[1].boolean(i, 1),
                         answers[1].boolean(i, 4), answers[1].int4(i, 2),
                         answers[1].maybe_timestamp(i, 3)});
  }
  return beat;
}

Result<std::vector<jobs::Worker>> live_workers(Connection& connection, Duration lease) {
  TRY(const TimePoint since, ago(connection, lease));
  TRY(const Rows rows, connection.run(kLive, Parameters().timestamp(since)));
  std::vector<jobs::Worker> workers;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    jobs::Worker worker;
    worker.id = rows.uuid(i, 0);
    TRY(worker.spec, store::worker_spec(rows.text(i, 1)));
    worker.state = static_cast<jobs::WorkerState>(rows.int4(i, 2));
    worker.first_beat = rows.timestamp(i, 3);
    worker.last_beat = rows.timestamp(i, 4);
    worker.occupied = rows.int4(i, 5);
    if (worker.occupied > 0) worker.oldest_start = rows.maybe_timestamp(i, 6);
    worker.drain_until = rows.maybe_timestamp(i, 7);
    workers.push_back(std::move(worker));
  }
  return workers;
}

Result<std::vector<std::string>> lost_workers(Connection& connection, Duration lease) {
  TRY(const TimePoint since, ago(connection, lease));
  TRY(const Rows rows, connection.run(kLost, Parameters().timestamp(since)));
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < rows.size(); ++i) ids.push_back(rows.uuid(i, 0));
  return ids;
}

Status forget_workers(Connection& connection, Duration keep) {
  TRY(const TimePoint since, ago(connection, keep));
  TRY([[maybe_unused]] const Rows rows, connection.run(kForget, Parameters().timestamp(since)));
  return {};
}

}  // namespace jobmill::postgres
