// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/worker_table.h"

#include <utility>
#include <vector>

#include "store/spec_json.h"

namespace jobmill::sqlite {

namespace {

using namespace store;

constexpr char kAll[] = "SELECT id, uuid, spec, state, drain_until, first_beat FROM worker";
constexpr char kInsert[] =
    "INSERT INTO worker (uuid, spec, state, first_beat) VALUES (?1, ?2, ?3, ?4)";
constexpr char kSetState[] = "UPDATE worker SET state = ?2, drain_until = ?3 WHERE uuid = ?1";
constexpr char kRemove[] = "DELETE FROM worker WHERE uuid = ?1";

}  // namespace

Status WorkerTable::load(TimePoint now) {
  std::vector<LiveWorker> workers;
  auto query = db_.use(kAll);
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) break;
    LiveWorker live;
    live.row = query.number(0);
    live.worker.id = query.text(1);
    TRY(live.worker.spec, worker_spec(query.view(2)));
    live.worker.state = static_cast<jobs::WorkerState>(query.number(3));
    live.worker.drain_until = query.maybe_instant(4);
    live.worker.first_beat = query.instant(5);
    live.worker.last_beat = now;
    workers.push_back(std::move(live));
  }
  memory_.set_workers(std::move(workers));
  return {};
}

Status WorkerTable::insert(const jobs::Worker& worker) {
  const std::string spec = to_json(worker.spec);
  auto insert = db_.use(kInsert);
  insert.bind(1, worker.id).bind(2, spec).bind(3, static_cast<int>(worker.state));
  TRY_VOID(insert.bind(4, worker.first_beat).run());
  LiveWorker live;
  live.row = db_.last_insert_rowid();
  live.worker = worker;
  memory_.add_worker(std::move(live));
  return {};
}

Status WorkerTable::set_state(std::string_view id, jobs::WorkerState state,
                              std::optional<TimePoint> drain_until) {
  auto update = db_.use(kSetState);
  TRY_VOID(update.bind(1, id).bind(2, static_cast<int>(state)).bind(3, drain_until).run());
  return memory_.set_state(id, state, drain_until);
}

Status WorkerTable::remove(std::string_view id) {
  TRY_VOID(db_.use(kRemove).bind(1, id).run());
  memory_.remove_worker(id);
  return {};
}

}  // namespace jobmill::sqlite
