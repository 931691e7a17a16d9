// SPDX-License-Identifier: Apache-2.0
#include "app/lease_reader.h"

#include <utility>

namespace jobmill::app {
namespace {

// Changes of leases come with every job; a picture of them this often is enough for counts. What
// must not be late, a drain, asks for its picture itself.
constexpr Duration kPause = std::chrono::milliseconds(20);
constexpr Duration kRetry = std::chrono::seconds(1);
// A worker that is quiet without an end was made so by hand. What scales workers may be replaced
// while one drains; who follows has to know whose wish that was.
constexpr TimePoint kWhenItIsDone = std::chrono::sys_days{std::chrono::January / 1 / 9999};

}  // namespace

targets::LeaseView lease_view(const jobs::Worker& worker, const std::string& replica) {
  return {.replica = replica,
          .worker_id = worker.id,
          .pid = worker.spec.pid,
          .quiet = worker.state != jobs::WorkerState::Run,
          .by_hand = worker.state != jobs::WorkerState::Run && !worker.drain_until,
          .occupied = worker.occupied,
          .oldest_start = worker.oldest_start};
}

void LeaseReader::refresh() { read_soon(kPause); }

void LeaseReader::read_soon(Duration pause) {
  if (reading_soon_) return;
  reading_soon_ = true;
  parts_.loop.run_after(pause, [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    reading_soon_ = false;
    read();
  });
}

// Whoever is told may ask for a newer picture; then all of them get it, in another round.
void LeaseReader::read() {
  read_again_ = true;
  if (reading_) return;
  reading_ = true;
  while (std::exchange(read_again_, false)) read_once();
  reading_ = false;
}

// Blocks for one commit: a picture that is older than a mark that was confirmed in the meantime
// would show a worker as idle that has work.
void LeaseReader::read_once() {
  const auto workers = parts_.store.workers(parts_.clock.now());
  if (workers) return seen_(*workers);
  parts_.log.warn("the workers cannot be read", {{"error", workers.error().message}});
  read_soon(kRetry);
}

void LeaseReader::set_quiet(const std::string& worker_id, bool quiet,
                            std::function<void(Status)> done) {
  parts_.pool.post([parts = parts_, worker_id, quiet, done = std::move(done)]() mutable {
    const auto state = quiet ? jobs::WorkerState::Quiet : jobs::WorkerState::Run;
    const auto until = quiet ? std::optional(kWhenItIsDone) : std::nullopt;
    Status status = parts.store.set_worker_state(worker_id, state, until, parts.clock.now());
    parts.loop.post([status = std::move(status), done = std::move(done)] { done(status); });
  });
}

}  // namespace jobmill::app
