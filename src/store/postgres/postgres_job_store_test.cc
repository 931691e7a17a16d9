// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/postgres_job_store.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "conformance/job_control.h"
#include "conformance/job_explorer.h"
#include "conformance/job_store.h"
#include "postgres_rig.h"
#include "store/postgres/job_explorer.h"
#include "store/postgres/migrations.h"
#include "store/postgres/tally_rows.h"
#include "store/postgres/test_connection.h"

namespace jobmill::postgres {
namespace {

struct Opened {
  ManualClock clock;
  std::unique_ptr<jobs::JobStoreOwner> store;
};

std::string fresh_store() {
  const std::string url = testing::Postgres::shared().fresh_schema();
  Connection connection = connect(url);
  const Status made = migrate(connection);
  REQUIRE_MESSAGE(made, (made ? "" : made.error().message));
  return url;
}

std::shared_ptr<Opened> open(const std::string& text, JobStoreOptions options = {}) {
  auto opened = std::make_shared<Opened>();
  const auto url = Url::parse(text);
  REQUIRE(url);
  options.clock = &opened->clock;
  auto store = open_job_store(*url, std::move(options));
  REQUIRE_MESSAGE(store, (store ? "" : store.error().message));
  opened->store = *std::move(store);
  return opened;
}

jobs::JobStoreFixture fixture() {
  auto opened = open(fresh_store());
  return {opened, *opened->store, *opened->store, opened->clock};
}

jobs::JobExplorerFixture explorer_fixture() {
  struct Both {
    std::shared_ptr<Opened> opened;
    std::unique_ptr<jobs::JobExplorer> explorer;
  };
  const std::string url = fresh_store();
  auto both = std::make_shared<Both>();
  both->opened = open(url);
  auto explorer = open_job_explorer(*Url::parse(url), {.clock = &both->opened->clock});
  REQUIRE(explorer);
  both->explorer = *std::move(explorer);
  jobs::JobStoreOwner& store = *both->opened->store;
  return {{both, store, store, both->opened->clock}, *both->explorer};
}

TEST_CASE("a job store in PostgreSQL keeps its contract") { jobs::exercise_job_store(fixture); }

TEST_CASE("a job store in PostgreSQL does what people ask of its jobs") {
  jobs::exercise_job_control(fixture);
}

TEST_CASE("a job explorer of PostgreSQL keeps its contract") {
  jobs::exercise_job_explorer(explorer_fixture);
}

jobs::Tally tally_of(jobs::JobStoreOwner& store) {
  const auto tallies = store.tallies();
  REQUIRE(tallies);
  return tallies->empty() ? jobs::Tally{} : tallies->front();
}

void enqueue(Opened& opened, int count, Duration delay = {}) {
  jobs::JobSpec spec;
  spec.kind = "k";
  if (delay > Duration::zero()) spec.delay = delay;
  spec.count = count;
  REQUIRE(opened.store->insert(std::span(&spec, 1), opened.clock.now()));
}

TEST_CASE("a job store in PostgreSQL keeps the order of jobs that take several statements") {
  auto opened = open(fresh_store());
  jobs::JobSpec spec;
  spec.kind = "k";
  spec.args = R"(["{i}"])";
  spec.count = 12'001;
  const auto inserted = opened->store->insert(std::span(&spec, 1), opened->clock.now());
  REQUIRE(inserted);
  CHECK(inserted->created == 12'001);
  CHECK(inserted->jobs.size() == 10);
  jobs::WorkerSpec worker;
  worker.name = "w";
  worker.concurrency = 10'000;
  const auto registered = opened->store->announce(worker, opened->clock.now());
  REQUIRE(registered);
  int next = 0;
  for (const int limit : {10'000, 2'001}) {
    jobs::ClaimRequest request;
    request.worker_id = registered->worker_id;
    request.limit = limit;
    const auto claimed = opened->store->claim(request, opened->clock.now());
    REQUIRE(claimed);
    CHECK(static_cast<int>(claimed->jobs.size()) == limit);
    for (const auto& job : claimed->jobs) {
      CHECK(job.job.args == R"([")" + std::to_string(next++) + R"("])");
    }
  }
}

TEST_CASE(
    "a job store in PostgreSQL tells what all processes have counted, those that are gone too") {
  const std::string url = fresh_store();
  auto first = open(url);
  auto second = open(url);
  enqueue(*first, 2);
  CHECK(tally_of(*first->store).enqueued == 2);
  CHECK(tally_of(*second->store).enqueued == 2);
  enqueue(*second, 3);
  CHECK(tally_of(*second->store).enqueued == 5);
  enqueue(*first, 1);
  first.reset();  // writes at its end what it counted
  CHECK(tally_of(*second->store).enqueued == 6);

  Connection connection = connect(url);
  constexpr Statement kAge{"age_tallies", "UPDATE jobmill_tally SET at = at - interval '2 hours'"};
  constexpr Statement kRows{"tally_rows", "SELECT count(*) FROM jobmill_tally"};
  REQUIRE(connection.run(kAge));
  REQUIRE(fold_tallies(connection));
  CHECK(connection.run(kRows)->int8(0, 0) == 1);
  CHECK(tally_of(*second->store).enqueued == 6);
  enqueue(*second, 1);  // begins a row anew
  CHECK(tally_of(*second->store).enqueued == 7);
}

std::string register_worker(Opened& opened, int concurrency = 10) {
  jobs::WorkerSpec spec;
  spec.name = "w";
  spec.concurrency = concurrency;
  const auto registered = opened.store->announce(spec, opened.clock.now());
  REQUIRE(registered);
  return registered->worker_id;
}

// Of plans that were made when the tables were new, or had just been emptied by a vacuum.
TEST_CASE("a job store in PostgreSQL reads few rows for a job, whatever its tables were before") {
  constexpr int kJobs = 10'000, kClaim = 500;
  constexpr Statement kVacuum{"vacuum", "VACUUM (ANALYZE) jobmill_hot, jobmill_due"};
  constexpr Statement kSessions{
      "sessions", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'plans'"};
  constexpr Statement kRead{"rows_read",
                            "SELECT sum(seq_tup_read + idx_tup_fetch)::bigint"
                            " FROM pg_stat_user_tables WHERE schemaname = current_schema()"
                            " AND relname IN ('jobmill_hot', 'jobmill_due', 'jobmill_job')"};
  const std::string url = fresh_store();
  Connection connection = connect(url);
  JobStoreOptions options;
  options.connect.application_name = "plans";
  auto opened = open(url, std::move(options));
  const std::string worker = register_worker(*opened, kClaim);
  const auto drain = [&] {
    for (int done = 0, batch = 0;; ++batch) {
      const auto claimed = opened->store->claim(
          {.worker_id = worker, .limit = kClaim, .queues = {}, .kinds = {}, .wait = {}},
          opened->clock.now());
      REQUIRE(claimed);
      if (claimed->jobs.empty()) return done;
      std::vector<jobs::Settlement> settlements;
      for (const auto& [job, token] : claimed->jobs)
        settlements.push_back({.job_id = job.id, .lock_token = token});
      if (batch % 4 == 1) {
        settlements.front().kind = jobs::Settlement::Kind::Fail;
        settlements.front().failure.retry = jobs::RetryRule::Never;
      }
      REQUIRE(opened->store->settle(worker, settlements, opened->clock.now()));
      done += static_cast<int>(settlements.size());
    }
  };
  const auto use = [&](int jobs) {
    enqueue(*opened, jobs);
    enqueue(*opened, jobs, std::chrono::hours(1));
    CHECK(drain() == jobs);
    opened->clock.advance(std::chrono::hours(1));
    REQUIRE(opened->store->promote_due(opened->clock.now()));
    CHECK(drain() == jobs);
  };
  SUBCASE("new") {}
  SUBCASE("used, and emptied by a vacuum") {
    use(kClaim);
    REQUIRE(connection.run(kVacuum));
  }
  use(kClaim + 1);  // here the plans are made
  use(kJobs);
  opened.reset();  // its sessions tell at their end what they read
  while (connection.run(kSessions)->int8(0, 0) > 0) std::this_thread::yield();
  CHECK(connection.run(kRead)->int8(0, 0) < 2 * kJobs * 10);
}

// --- claims that wait ----------------------------------------------------------------------------

using ClaimedIds = std::vector<std::string>;

ClaimedIds claim(Opened& opened, const std::string& worker, int limit, Duration wait,
                 std::stop_token stop = {}) {
  const auto claimed = opened.store->claim({.worker_id = worker,
                                            .limit = limit,
                                            .queues = {},
                                            .kinds = {},
                                            .wait = wait,
                                            .stop = std::move(stop)},
                                           opened.clock.now());
  REQUIRE(claimed);
  ClaimedIds ids;
  for (const auto& job : claimed->jobs) ids.push_back(job.job.id);
  return ids;
}

std::future<ClaimedIds> claim_later(Opened& opened, const std::string& worker, int limit = 10) {
  return std::async(std::launch::async, [&opened, worker, limit] {
    return claim(opened, worker, limit, std::chrono::minutes(1));
  });
}

// Until the transaction that made a job has claimed it, too: not before the claim stands in line,
// which nothing tells but this.
void wait_for_claim_at_once(Opened& opened, Connection& connection, const std::string& worker) {
  constexpr Statement kLooks{"looks",
                             "SELECT xmin::text::bigint FROM jobmill_worker WHERE id = $1"};
  constexpr Statement kAtOnce{"at_once", R"sql(
    SELECT count(*) FROM jobmill_hot h JOIN jobmill_job j USING (id)
    WHERE h.state = 3 AND h.xmin = j.xmin)sql"};
  const auto looks = [&] { return connection.run(kLooks, Parameters().uuid(worker))->int8(0, 0); };
  do {
    const std::int64_t before = looks();
    auto waiting = claim_later(opened, worker);
    while (looks() == before) std::this_thread::yield();
    enqueue(opened, 1);
    REQUIRE(waiting.get().size() == 1);
  } while (connection.run(kAtOnce)->int8(0, 0) == 0);
}

TEST_CASE("a claim that waits in PostgreSQL gets its jobs with the transaction that makes them") {
  const std::string url = fresh_store();
  auto opened = open(url);
  Connection connection = connect(url);
  wait_for_claim_at_once(*opened, connection, register_worker(*opened));
}

TEST_CASE("a claim that waits in PostgreSQL gets the very jobs that are stored") {
  auto opened = open(fresh_store());
  const std::string worker = register_worker(*opened);
  jobs::JobSpec spec;
  spec.kind = "mail";
  spec.v = 3;
  spec.args = R"([1,"two"])";
  spec.meta = R"({"a":1})";
  spec.name = "Mail";
  spec.labels = {"x", "y"};
  spec.queue = "q";
  spec.priority = 2;
  spec.retries = 4;
  spec.created_by = "me";
  spec.max_crashes = 5;
  spec.extra.timeout = std::chrono::minutes(2);
  for (int i = 0; i < 10; ++i) {
    auto waiting = std::async(std::launch::async, [&] {
      return opened->store->claim({.worker_id = worker,
                                   .limit = 2,
                                   .queues = {},
                                   .kinds = {},
                                   .wait = std::chrono::minutes(1)},
                                  opened->clock.now());
    });
    const std::vector specs(1 + i % 2, spec);
    REQUIRE(opened->store->insert(specs, opened->clock.now()));
    const auto claimed = waiting.get();
    REQUIRE(claimed);
    REQUIRE(claimed->jobs.size() == specs.size());
    for (const auto& [job, token] : claimed->jobs) {
      const auto stored = opened->store->get(job.id);
      REQUIRE(stored);
      CHECK(job.kind == stored->kind);
      CHECK(job.queue == stored->queue);
      CHECK(job.priority == stored->priority);
      CHECK(job.v == stored->v);
      CHECK(job.args == stored->args);
      CHECK(job.meta == stored->meta);
      CHECK(job.name == stored->name);
      CHECK(job.labels == stored->labels);
      CHECK(job.retries == stored->retries);
      CHECK(job.max_attempts == stored->max_attempts);
      CHECK(job.max_crashes == stored->max_crashes);
      CHECK(job.created_by == stored->created_by);
      CHECK(job.recurring_id == stored->recurring_id);
      CHECK(job.extra.timeout == stored->extra.timeout);
      CHECK(job.state == stored->state);
      CHECK(job.version == stored->version);
      CHECK(job.attempt == stored->attempt);
      CHECK(job.failures == stored->failures);
      CHECK(job.created_at == stored->created_at);
      CHECK(job.updated_at == stored->updated_at);
      CHECK(job.deadline == stored->deadline);
      const auto history = opened->store->history(job.id);
      REQUIRE(history);
      CHECK(history->size() == 2);
    }
  }
}

TEST_CASE("jobs in PostgreSQL are not handed out where another process has just forbidden it") {
  const std::string url = fresh_store();
  auto opened = open(url);
  Connection connection = connect(url);
  const std::string worker = register_worker(*opened);
  wait_for_claim_at_once(*opened, connection, worker);
  std::stop_source stop;
  auto waiting = std::async(std::launch::async, [&] {
    return claim(*opened, worker, 10, std::chrono::minutes(1), stop.get_token());
  });
  constexpr Statement kRests{"rests", "UPDATE jobmill_worker SET state = 1 WHERE id = $1"};
  constexpr Statement kPaused{"paused", "INSERT INTO jobmill_pause VALUES ('default', now())"};
  constexpr Statement kReady{"ready", "SELECT count(*) FROM jobmill_hot WHERE state = 2"};
  SUBCASE("the worker rests") { REQUIRE(connection.run(kRests, Parameters().uuid(worker))); }
  SUBCASE("the queue is paused") { REQUIRE(connection.run(kPaused)); }
  enqueue(*opened, 1);
  enqueue(*opened, 3);
  stop.request_stop();
  CHECK(waiting.get().empty());
  CHECK(connection.run(kReady)->int8(0, 0) == 4);
  const auto queues = opened->store->queues(opened->clock.now());
  REQUIRE(queues);
  CHECK(queues->front().enqueued == 4);
}

TEST_CASE("a claim that waits in PostgreSQL leaves the rest to other processes, which hear of it") {
  const std::string url = fresh_store();
  auto first = open(url), second = open(url);
  auto one = claim_later(*first, register_worker(*first), 1);
  auto rest = claim_later(*second, register_worker(*second));
  enqueue(*first, 3);
  CHECK_FALSE(rest.get().empty());
  enqueue(*first, 1);  // the second one may have been faster
  CHECK(one.get().size() == 1);
}

TEST_CASE("jobs in PostgreSQL go to one claim each, whether it waits, gives up or is stopped") {
  constexpr int kRounds = 60;
  const std::string url = fresh_store();
  std::vector<std::shared_ptr<Opened>> stores{open(url), open(url)};
  std::mutex mutex;
  std::map<std::string, int> times;
  const auto note = [&](const ClaimedIds& ids) {
    const std::lock_guard lock(mutex);
    for (const std::string& id : ids) ++times[id];
    return ids.size();
  };
  const auto claim_for = [&](Opened& opened, int patience, const std::stop_token& end) {
    const std::string worker = register_worker(opened, 3);
    for (int i = 0; !end.stop_requested(); ++i) {
      std::stop_source stop;
      std::jthread stopping([&] {
        if (i % 2 == 0) stop.request_stop();
      });
      note(claim(opened, worker, 1 + i % 3, std::chrono::microseconds(i % patience * 100),
                 stop.get_token()));
    }
  };
  {
    std::vector<std::jthread> claimers;
    for (const int patience : {1, 10, 100}) {
      for (const auto& opened : stores) {
        claimers.emplace_back([&claim_for, &opened, patience](const std::stop_token& end) {
          claim_for(*opened, patience, end);
        });
      }
    }
    std::vector<std::jthread> producers;
    for (const auto& opened : stores) {
      producers.emplace_back([&opened] {
        for (int i = 0; i < kRounds; ++i) enqueue(*opened, 1 + i % 5);
      });
    }
  }
  const std::string last = register_worker(*stores.front(), 1000);
  while (note(claim(*stores.front(), last, 1000, {})) > 0) {
  }
  CHECK(times.size() == 2 * kRounds * 3);
  for (const auto& [id, count] : times) CHECK(count == 1);
  const auto queues = stores.front()->store->queues(stores.front()->clock.now());
  REQUIRE(queues);
  CHECK(queues->front().enqueued == 0);
  CHECK(queues->front().processing == 2 * kRounds * 3);
}

TEST_CASE("jobs are enqueued in PostgreSQL though the claim that waits for them fails") {
  const std::string url = fresh_store();
  auto opened = open(url);
  Connection connection = connect(url);
  const std::string worker = register_worker(*opened);
  wait_for_claim_at_once(*opened, connection, worker);
  REQUIRE(
      connection.script("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
                        " $$ BEGIN RAISE EXCEPTION 'no claims today'; END $$;"
                        "CREATE TRIGGER refuse BEFORE UPDATE ON jobmill_worker FOR EACH ROW "
                        "EXECUTE FUNCTION refuse()"));
  auto waiting = std::async(std::launch::async, [&] {
    return opened->store->claim({.worker_id = worker,
                                 .limit = 1,
                                 .queues = {},
                                 .kinds = {},
                                 .wait = std::chrono::minutes(1)},
                                opened->clock.now());
  });
  enqueue(*opened, 1);
  CHECK_FALSE(waiting.get());
  REQUIRE(connection.script("DROP TRIGGER refuse ON jobmill_worker"));
  CHECK(claim(*opened, worker, 10, {}).size() == 1);
}

TEST_CASE(
    "claims in PostgreSQL that wait, or come again, outlive the connections of their process") {
  const std::string url = fresh_store();
  auto opened = open(url);
  Connection connection = connect(url);
  const std::string worker = register_worker(*opened);
  auto waiting = std::async(std::launch::async, [&] {
    for (;;) {
      const auto claimed = opened->store->claim({.worker_id = worker,
                                                 .limit = 1,
                                                 .queues = {},
                                                 .kinds = {},
                                                 .wait = std::chrono::minutes(1)},
                                                opened->clock.now());
      if (claimed) return claimed->jobs;
      CHECK(claimed.error().code == Code::Unavailable);
      std::this_thread::yield();
    }
  });
  constexpr Statement kEnd{"end_all", R"sql(
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_type = 'client backend')sql"};
  REQUIRE(connection.run(kEnd));
  jobs::JobSpec spec;
  spec.kind = "k";
  while (!opened->store->insert(std::span(&spec, 1), opened->clock.now())) {
    std::this_thread::yield();
  }
  CHECK(waiting.get().size() == 1);
}

}  // namespace
}  // namespace jobmill::postgres
