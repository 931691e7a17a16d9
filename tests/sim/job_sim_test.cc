// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "base/clock.h"
#include "jobs/chores.h"
#include "store/sqlite/sqlite_job_store.h"
#include "temporary_folder.h"

namespace jobmill {
namespace {

using namespace std::chrono_literals;
using jobs::JobState;

// Workers, producers and a server that restarts, all at random, under a clock we own. The world
// keeps books of what the store told it, and compares.
class World {
 public:
  explicit World(unsigned seed) : random_(seed) { open(); }

  void step() {
    switch (random_() % 16) {
      case 0:
      case 1:
      case 2:
        return enqueue();
      case 3:
        return announce();
      case 4:
      case 5:
      case 6:
      case 7:
        return claim();
      case 8:
      case 9:
      case 10:
        return settle();
      case 11:
        return cheat();
      case 12:
        return beat();
      case 13:
        return lose_worker();
      case 14:
        return interfere();
      default:
        return pass_time();
    }
  }

  // Runs what is left to its end, so that nothing can hide in a corner.
  void finish() {
    workers_.clear();  // they all fall silent
    for (int round = 0; round < 400 && open_jobs() > 0; ++round) {
      clock_.advance(1h);
      maintain();
      announce();
      for (int i = 0; i < 4; ++i) claim();
      while (!running_.empty()) settle_one(running_.begin()->first, Outcome::Complete);
      workers_.clear();
    }
    CHECK(open_jobs() == 0);
    check();
    for (const auto& id : accepted_) {
      const auto job = store_->get(id);
      REQUIRE(job);  // nothing that was accepted is lost
      CHECK((job->state == JobState::Succeeded || job->state == JobState::Failed ||
             job->state == JobState::Deleted));
      CHECK(succeeded_.contains(id) == (job->state == JobState::Succeeded));
    }
  }

  void check() {
    check_counters();
    for (const auto& [id, hold] : running_) {
      const auto job = store_->get(id);
      REQUIRE(job);
      if (alive(hold.worker)) CHECK(job->state == JobState::Processing);
    }
  }

 private:
  enum class Outcome { Complete, Fail, Release };
  struct Hold {
    std::string worker;
    std::string token;
  };

  TimePoint now() const { return clock_.now(); }
  bool chance(unsigned one_in) { return random_() % one_in == 0; }
  bool alive(const std::string& worker) const { return workers_.contains(worker); }

  void open() {
    store_.reset();
    file_.reset();
    auto file =
        sqlite::SqliteFile::open(folder_.path() + "/jobmill.db", sqlite::SqliteFile::Syncs::Never);
    REQUIRE(file);
    file_ = *std::move(file);
    auto store = sqlite::open_job_store(*file_, now());
    REQUIRE(store);
    store_ = *std::move(store);
  }

  void enqueue() {
    std::vector<jobs::JobSpec> specs(1 + random_() % 4);
    for (jobs::JobSpec& spec : specs) {
      spec.kind = chance(2) ? "a" : "b";
      spec.queue = chance(3) ? "bulk" : "default";
      spec.priority = static_cast<int>(random_() % 3);
      spec.retries = static_cast<int>(random_() % 3);
      if (chance(3)) spec.delay = std::chrono::milliseconds(random_() % 60'000);
      // What an id stands for is decided by the id.
      if (const auto n = random_() % 100; n < 20) {
        spec.id = "job " + std::to_string(n);
        spec.kind = n % 2 == 0 ? "a" : "b";
      }
    }
    const auto inserted = store_->insert(specs, now());
    REQUIRE(inserted);
    for (const auto& job : inserted->jobs) CHECK(accepted_.insert(job.id).second == job.created);
  }

  void announce() {
    jobs::WorkerSpec spec;
    spec.name = "w";
    spec.concurrency = 5;
    if (chance(3)) spec.kinds = {"a"};
    if (chance(3)) spec.queues = {"bulk", "default"};
    const auto registered = store_->announce(spec, now());
    REQUIRE(registered);
    workers_[registered->worker_id] = now();
  }

  std::string any_worker() {
    if (workers_.empty()) announce();
    return std::next(workers_.begin(), static_cast<long>(random_() % workers_.size()))->first;
  }

  void claim() {
    const std::string worker = any_worker();
    jobs::ClaimRequest request;
    request.worker_id = worker;
    request.limit = static_cast<int>(1 + random_() % 5);
    const auto claimed = store_->claim(request, now());
    REQUIRE(claimed);
    workers_[worker] = now();
    for (const auto& job : claimed->jobs) {
      const auto held = running_.find(job.job.id);
      // Never to two workers that are alive.
      CHECK((held == running_.end() || !alive(held->second.worker)));
      CHECK_FALSE(succeeded_.contains(job.job.id));
      CHECK((!job.job.run_at || *job.job.run_at <= now()));
      running_[job.job.id] = {worker, job.lock_token};
    }
  }

  void settle() {
    if (running_.empty()) return;
    const auto job =
        std::next(running_.begin(), static_cast<long>(random_() % running_.size()))->first;
    settle_one(job, static_cast<Outcome>(random_() % 3));
  }

  // What a worker that is alive settles is accepted, what another one settles may be stale.
  void settle_one(std::string id, Outcome outcome) {
    const Hold hold = running_.extract(id).mapped();
    jobs::Settlement settlement;
    settlement.job_id = id;
    settlement.lock_token = hold.token;
    settlement.kind = static_cast<jobs::Settlement::Kind>(outcome);
    const auto settled = store_->settle({}, std::span(&settlement, 1), now());
    REQUIRE(settled);
    const bool accepted = bool(settled->front().status);
    if (alive(hold.worker)) CHECK(accepted);
    if (accepted && outcome == Outcome::Complete) CHECK(succeeded_.insert(id).second);
    spent_.push_back({id, hold.token});
  }

  // A token that was used up, or belongs to another job, settles nothing.
  void cheat() {
    if (spent_.empty()) return;
    const auto& [id, token] = spent_[random_() % spent_.size()];
    jobs::Settlement settlement;
    settlement.job_id = id;
    settlement.lock_token = token;
    if (!running_.empty() && chance(2)) settlement.job_id = running_.begin()->first;
    const auto settled = store_->settle({}, std::span(&settlement, 1), now());
    REQUIRE(settled);
    CHECK_FALSE(settled->front().status);
  }

  void beat() {
    const std::string worker = any_worker();
    std::vector<jobs::Report> leases;
    for (const auto& [id, hold] : running_) {
      if (hold.worker == worker) leases.push_back({id, hold.token});
    }
    const auto beat = store_->beat(worker, leases, now());
    REQUIRE(beat);
    CHECK(beat->cancel.empty());
    workers_[worker] = now();
  }

  // A worker's process dies, leaves in an orderly way, or falls silent.
  void lose_worker() {
    if (workers_.empty()) return;
    const std::string worker = any_worker();
    workers_.erase(worker);
    const auto how = random_() % 3;
    if (how == 0) REQUIRE(store_->worker_died(worker, {.signal = 9, .detail = ""}, now()));
    if (how == 1) REQUIRE(store_->leave(worker, now()));
    if (how < 2)
      std::erase_if(running_, [&](const auto& job) { return job.second.worker == worker; });
  }

  // People delete and requeue; the server restarts.
  void interfere() {
    if (chance(2)) open();
    if (accepted_.empty()) return;
    const auto id = *std::next(accepted_.begin(), static_cast<long>(random_() % accepted_.size()));
    if (chance(2)) {
      if (store_->remove(id, "not wanted", now())) {
        running_.erase(id);
        succeeded_.erase(id);
      }
    } else if (store_->requeue(id, now())) {
      succeeded_.erase(id);
    }
  }

  void pass_time() {
    clock_.advance(std::chrono::milliseconds(random_() % 20'000));
    // Who has not been heard of for one lease must expect to be lost.
    std::erase_if(workers_, [&](const auto& worker) { return worker.second + 30s <= now(); });
    maintain();
  }

  void maintain() {
    jobs::Chores chores([](std::string_view, const Fault& fault) { FAIL(fault.message); });
    const auto next = chores.run(*store_, now());
    CHECK((!next || *next > now()));
  }

  std::vector<jobs::QueueStats> queues() {
    auto all = store_->queues(now());
    REQUIRE(all);
    return *std::move(all);
  }

  std::int64_t open_jobs() {
    std::int64_t count = 0;
    for (const auto& queue : queues()) {
      count += queue.enqueued + queue.scheduled + queue.processing;
    }
    return count;
  }

  // What the counters say is what the tables hold.
  void check_counters() {
    std::map<std::pair<std::string, JobState>, std::int64_t> counted;
    for (const auto& id : accepted_) {
      const auto job = store_->get(id);
      REQUIRE(job);
      ++counted[{job->queue, job->state}];
    }
    for (const auto& queue : queues()) {
      CHECK(queue.enqueued == counted[{queue.queue, JobState::Enqueued}]);
      CHECK(queue.scheduled == counted[{queue.queue, JobState::Scheduled}]);
      CHECK(queue.processing == counted[{queue.queue, JobState::Processing}]);
      CHECK(queue.oldest.has_value() == (queue.enqueued > 0));
      CHECK(*store_->scheduled_until(queue.queue, TimePoint::max()) == queue.scheduled);
    }
  }

  std::mt19937 random_;
  ManualClock clock_;
  testing::TemporaryFolder folder_;
  std::unique_ptr<sqlite::SqliteFile> file_;
  std::unique_ptr<jobs::JobStoreOwner> store_;

  std::map<std::string, TimePoint> workers_;  // those that count on being known, by last contact
  std::map<std::string, Hold> running_;       // as the workers believe
  std::vector<std::pair<std::string, std::string>> spent_;  // job and token, settled
  std::set<std::string> accepted_;
  std::set<std::string> succeeded_;
};

}  // namespace

TEST_CASE("sim: no job is lost, none is held twice, and the counters are right") {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);  // rerun with this seed to see the same history
    World world(seed);
    for (int step = 0; step < 200; ++step) {
      CAPTURE(step);
      world.step();
      if (step % 40 == 0) world.check();
    }
    world.finish();
  }
}

}  // namespace jobmill
