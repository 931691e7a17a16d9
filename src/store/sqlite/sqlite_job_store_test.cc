// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/sqlite_job_store.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "base/id.h"
#include "conformance/job_control.h"
#include "conformance/job_store.h"
#include "jobs/chores.h"
#include "jobs/metrics.h"
#include "temporary_folder.h"

namespace jobmill::sqlite {
namespace {

struct Opened {
  ManualClock clock;
  std::unique_ptr<SqliteFile> file;
  std::unique_ptr<jobs::JobStoreOwner> store;
};

std::shared_ptr<Opened> open(const std::string& path, JobStoreOptions options = {}) {
  auto opened = std::make_shared<Opened>();
  auto file = SqliteFile::open(path);
  REQUIRE_MESSAGE(file, (file ? "" : file.error().message));
  opened->file = *std::move(file);
  auto store = open_job_store(*opened->file, opened->clock.now(), std::move(options));
  REQUIRE_MESSAGE(store, (store ? "" : store.error().message));
  opened->store = *std::move(store);
  return opened;
}

using namespace std::chrono_literals;

jobs::JobSpec spec(std::string kind) {
  jobs::JobSpec job;
  job.kind = std::move(kind);
  return job;
}

std::string enqueue(Opened& opened, const jobs::JobSpec& job) {
  const auto inserted = opened.store->insert(std::span(&job, 1), opened.clock.now());
  REQUIRE_MESSAGE(inserted, (inserted ? "" : inserted.error().message));
  return inserted->jobs.front().id;
}

std::string announce(Opened& opened, int concurrency = 4) {
  jobs::WorkerSpec worker;
  worker.name = "w";
  worker.concurrency = concurrency;
  const auto registration = opened.store->announce(worker, opened.clock.now());
  REQUIRE(registration);
  return registration->worker_id;
}

std::vector<jobs::ClaimedJob> claim(Opened& opened, const std::string& worker, int limit = 100) {
  jobs::ClaimRequest request;
  request.worker_id = worker;
  request.limit = limit;
  auto claimed = opened.store->claim(request, opened.clock.now());
  REQUIRE(claimed);
  return std::move(claimed->jobs);
}

bool complete(Opened& opened, const jobs::ClaimedJob& claimed) {
  jobs::Settlement settlement;
  settlement.job_id = claimed.job.id;
  settlement.lock_token = claimed.lock_token;
  const auto settled = opened.store->settle({}, std::span(&settlement, 1), opened.clock.now());
  REQUIRE(settled);
  return bool(settled->front().status);
}

jobs::QueueStats stats(Opened& opened, std::string_view queue = "default") {
  const auto all = opened.store->queues(opened.clock.now());
  REQUIRE(all);
  for (const auto& each : *all) {
    if (each.queue == queue) return each;
  }
  return {};
}

jobs::JobState state(Opened& opened, const std::string& id) {
  const auto job = opened.store->get(id);
  REQUIRE(job);
  return job->state;
}

}  // namespace

jobs::JobStoreFixture in_memory() {
  auto opened = open(":memory:");
  return {opened, *opened->store, *opened->store, opened->clock};
}

TEST_CASE("sqlite job store: keeps the contract of JobStore") {
  jobs::exercise_job_store(in_memory);
}

TEST_CASE("sqlite job store: does what people ask for") { jobs::exercise_job_control(in_memory); }

TEST_CASE("sqlite job store: pauses outlive a restart of the server") {
  testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/jobmill.db";
  jobs::RecurringSpec recurring;
  recurring.id = "r";
  recurring.schedule = "PT1M";
  recurring.job = spec("k");
  {
    const auto opened = open(path);
    enqueue(*opened, spec("k"));
    REQUIRE(opened->store->pause_queue("default", true, opened->clock.now()));
    REQUIRE(opened->store->put_recurring(recurring, opened->clock.now()));
    REQUIRE(opened->store->pause_recurring("r", true, opened->clock.now()));
  }
  const auto opened = open(path);
  CHECK(stats(*opened).paused);
  const auto worker = announce(*opened);
  CHECK(claim(*opened, worker).empty());
  const auto all = opened->store->recurring();
  REQUIRE(all);
  REQUIRE(all->size() == 1);
  CHECK(all->front().spec.paused);
  CHECK_FALSE(all->front().next_run);
  REQUIRE(opened->store->pause_queue("default", false, opened->clock.now()));
  CHECK(claim(*opened, worker).size() == 1);
}

TEST_CASE("sqlite job store: running jobs outlive a restart of the server") {
  testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/jobmill.db";
  std::string worker;
  std::vector<jobs::ClaimedJob> claimed;
  {
    const auto opened = open(path);
    worker = announce(*opened);
    enqueue(*opened, spec("k"));
    enqueue(*opened, spec("k"));
    claimed = claim(*opened, worker, 1);
    jobs::JobSpec later = spec("k");
    later.delay = 1h;
    enqueue(*opened, later);
  }
  const auto opened = open(path);
  CHECK(stats(*opened).enqueued == 1);
  CHECK(stats(*opened).processing == 1);
  CHECK(stats(*opened).scheduled == 1);
  const auto workers = opened->store->workers(opened->clock.now());
  REQUIRE(workers);
  REQUIRE(workers->size() == 1);
  CHECK(workers->front().id == worker);
  CHECK(workers->front().occupied == 1);

  SUBCASE("the worker goes on as if nothing had happened") {
    CHECK(*opened->store->rescue(opened->clock.now() + 29s) == 0);
    const jobs::Report lease{claimed[0].job.id, claimed[0].lock_token};
    const auto beat = opened->store->beat(worker, std::span(&lease, 1), opened->clock.now());
    REQUIRE(beat);
    CHECK(beat->cancel.empty());
    CHECK(complete(*opened, claimed[0]));
    CHECK(claim(*opened, worker).size() == 1);
  }
  SUBCASE("a worker that is gone is missed after one lease") {
    opened->clock.advance(30s);
    CHECK(*opened->store->rescue(opened->clock.now()) == 1);
    CHECK(stats(*opened).enqueued == 2);
    CHECK_FALSE(complete(*opened, claimed[0]));
  }
}

TEST_CASE("sqlite job store: a quiet worker is quiet after a restart, too") {
  testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/jobmill.db";
  std::string worker;
  {
    const auto opened = open(path);
    worker = announce(*opened);
    const auto now = opened->clock.now();
    REQUIRE(opened->store->set_worker_state(worker, jobs::WorkerState::Quiet, now + 25s, now));
  }
  const auto opened = open(path);
  enqueue(*opened, spec("k"));
  CHECK(claim(*opened, worker).empty());
  CHECK(opened->store->beat(worker, {}, opened->clock.now())->drain_until ==
        opened->clock.now() + 25s);
}

TEST_CASE("sqlite job store: an idle store begins no transaction") {
  const auto opened = open(":memory:");
  const auto worker = announce(*opened);
  jobs::JobSpec later = spec("k");
  later.delay = 24h;
  enqueue(*opened, later);
  jobs::Chores chores;
  const auto before = opened->file->transactions();
  for (int i = 0; i < 60; ++i) {
    opened->clock.advance(10s);
    const auto now = opened->clock.now();
    CHECK(claim(*opened, worker).empty());
    CHECK(opened->store->beat(worker, {}, now));
    CHECK(chores.run(*opened->store, now) == now + 30s);  // should the beats stop
    CHECK(jobs::enqueued_metric(*opened->store, "", now));
    CHECK(jobs::scheduled_metric(*opened->store, "", 60s, now));
    CHECK(jobs::workers_metric(*opened->store, now));
  }
  CHECK(opened->file->transactions() == before);
}

TEST_CASE("sqlite job store: changes are told once they are durable") {
  const auto opened = open(":memory:");
  std::vector<jobs::Change> changes;  // of the commit thread, which is idle when a call returned
  opened->store->on_change([&](const jobs::Change& change) { changes.push_back(change); });
  const auto last = [&] {
    REQUIRE_FALSE(changes.empty());
    return changes.back();
  };
  const auto worker = announce(*opened);
  CHECK(last().workers);
  enqueue(*opened, spec("k"));
  CHECK(last().ready_queues == std::vector<std::string>{"default"});
  CHECK_FALSE(last().workers);
  const auto claimed = claim(*opened, worker);
  CHECK(last().workers);
  CHECK(last().ready_queues.empty());
  jobs::JobSpec later = spec("k");
  later.delay = 1h;
  enqueue(*opened, later);
  CHECK(last().due);
  CHECK(complete(*opened, claimed[0]));
  CHECK(last().workers);
  const auto count = changes.size();
  CHECK_FALSE(complete(*opened, claimed[0]));
  CHECK(changes.size() == count);  // nothing changed
}

TEST_CASE("sqlite job store: configured queues come first, in their order") {
  JobStoreOptions options;
  options.queues = {"critical", "default"};
  const auto opened = open(":memory:", options);
  for (const char* queue : {"bulk", "default", "archive", "critical"}) {
    jobs::JobSpec job = spec("k");
    job.queue = queue;
    enqueue(*opened, job);
  }
  std::vector<std::string> order;
  for (const auto& job : claim(*opened, announce(*opened))) order.push_back(job.job.queue);
  CHECK(order == std::vector<std::string>{"critical", "default", "archive", "bulk"});
  CHECK(stats(*opened, "default").priority == 1);
  const auto now = opened->clock.now();
  CHECK(*jobs::queue_of_priority(*opened->store, "0", now) == "critical");
  CHECK_FALSE(*jobs::queue_of_priority(*opened->store, "7", now));
}

TEST_CASE("sqlite job store: many due jobs move in pages, in the order of their time") {
  JobStoreOptions options;
  options.page = 10;
  const auto opened = open(":memory:", options);
  std::vector<jobs::JobSpec> specs;
  for (int i = 0; i < 35; ++i) {
    specs.push_back(spec("k"));
    specs.back().delay = std::chrono::milliseconds(1000 - i);
    specs.back().name = std::to_string(i);
  }
  REQUIRE(opened->store->insert(specs, opened->clock.now()));
  opened->clock.advance(1s);
  CHECK(*opened->store->promote_due(opened->clock.now()) == 35);
  const auto claimed = claim(*opened, announce(*opened, 100));
  REQUIRE(claimed.size() == 35);
  CHECK(claimed.front().job.name == "34");
  CHECK(claimed.back().job.name == "0");
  const auto history = opened->store->history(claimed[5].job.id);
  REQUIRE(history);
  REQUIRE(history->size() == 3);
  CHECK((*history)[1].state == jobs::JobState::Enqueued);
  CHECK((*history)[1].at == opened->clock.now());
  CHECK(claimed[5].job.version == 3);
}

TEST_CASE("sqlite job store: a hundred thousand jobs of one spec are one transaction") {
  const auto opened = open(":memory:");
  const auto before = opened->file->transactions();
  jobs::JobSpec job = spec("k");
  job.count = 100'000;
  job.args = R"(["{i}"])";
  const auto inserted = opened->store->insert(std::span(&job, 1), opened->clock.now());
  REQUIRE(inserted);
  CHECK(inserted->created == 100'000);
  CHECK(opened->file->transactions() == before + 1);
  CHECK(stats(*opened).enqueued == 100'000);
  const auto claimed = claim(*opened, announce(*opened, 5000), 5000);
  CHECK(claimed.back().job.args == R"(["4999"])");
}

// A page limit is what a full disk is to SQLite, and needs no rights.
TEST_CASE("sqlite job store: a full disk is an error to the caller, and passes") {
  const auto opened = open(":memory:");
  const auto worker = announce(*opened);
  const auto kept = enqueue(*opened, spec("k"));
  const auto limit = [&](const char* pragma) {
    REQUIRE(opened->file->run<void>([&](Database& db) { return db.exec(pragma); }));
  };
  limit("PRAGMA max_page_count = 40");
  jobs::JobSpec many = spec("k");
  many.queue = "new";
  many.count = 10'000;
  const auto refused = opened->store->insert(std::span(&many, 1), opened->clock.now());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::Exhausted);
  CHECK(stats(*opened).enqueued == 1);
  CHECK(stats(*opened, "new").enqueued == 0);

  limit("PRAGMA max_page_count = 1000000");
  CHECK(opened->store->insert(std::span(&many, 1), opened->clock.now()));
  CHECK(stats(*opened, "new").enqueued == 10'000);
  const auto claimed = claim(*opened, worker, 1);
  REQUIRE(claimed.size() == 1);
  CHECK(claimed[0].job.id == kept);
  CHECK(complete(*opened, claimed[0]));
}

TEST_CASE("sqlite job store: writes that the system refuses spoil nothing") {
  testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/jobmill.db";
  auto opened = open(path);
  const auto kept = enqueue(*opened, spec("k"));

  auto* const previous = ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  rlimit small = before;
  small.rlim_cur = 64 << 10;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  jobs::JobSpec many = spec("k");
  many.count = 10'000;
  const auto refused = opened->store->insert(std::span(&many, 1), opened->clock.now());
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  ::signal(SIGXFSZ, previous);

  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::Unavailable);
  CHECK(stats(*opened).enqueued == 1);
  const auto after = enqueue(*opened, spec("k"));

  opened.reset();
  opened = open(path);
  CHECK(stats(*opened).enqueued == 2);
  CHECK(state(*opened, kept) == jobs::JobState::Enqueued);
  CHECK(state(*opened, after) == jobs::JobState::Enqueued);
  const auto sound = opened->file->run<std::string>([](Database& db) -> Result<std::string> {
    auto check = db.use("PRAGMA integrity_check");
    TRY([[maybe_unused]] const bool row, check.step());
    return check.text(0);
  });
  CHECK(*sound == "ok");
}

namespace {

// Enqueues for ever and prints each id once it is confirmed; somebody will kill it.
[[noreturn]] void enqueue_for_ever(const std::string& path, int out) {
  const SystemClock clock;
  auto file = SqliteFile::open(path);
  if (!file) ::_exit(1);
  auto store = open_job_store(**file, clock.now());
  if (!store) ::_exit(1);
  for (;;) {
    jobs::JobSpec job = spec("k");
    job.id = new_id(clock.now());
    if (!(*store)->insert(std::span(&job, 1), clock.now())) ::_exit(1);
    const std::string line = job.id + "\n";
    if (::write(out, line.data(), line.size()) < 0) ::_exit(1);
  }
}

}  // namespace

TEST_CASE("sqlite job store: what was confirmed survives kill -9, and is there once") {
  testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/jobmill.db";
  std::set<std::string> confirmed;
  for (int round = 0; round < 3; ++round) {
    int pipe[2];
    REQUIRE(::pipe(pipe) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) enqueue_for_ever(path, pipe[1]);
    ::close(pipe[1]);
    std::string text;
    char bytes[4096];
    for (;;) {
      const auto size = ::read(pipe[0], bytes, sizeof bytes);
      if (size <= 0) break;
      text.append(bytes, static_cast<std::size_t>(size));
      if (text.size() > 37 * 50) ::kill(child, SIGKILL);  // in the middle of its work
    }
    ::close(pipe[0]);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    for (std::size_t at = 0; at + 37 <= text.size(); at += 37)
      confirmed.insert(text.substr(at, 36));
  }
  REQUIRE(confirmed.size() > 150);

  const auto opened = open(path);
  std::map<std::string, int> found;
  const auto worker = announce(*opened);
  for (;;) {
    const auto claimed = claim(*opened, worker, 1000);
    if (claimed.empty()) break;
    for (const auto& job : claimed) ++found[job.job.id];
  }
  for (const std::string& id : confirmed) CHECK(found[id] == 1);
  CHECK(std::all_of(found.begin(), found.end(), [](const auto& job) { return job.second == 1; }));
  CHECK(found.size() <= confirmed.size() + 3);  // at most one per kill was not yet confirmed
}

}  // namespace jobmill::sqlite
