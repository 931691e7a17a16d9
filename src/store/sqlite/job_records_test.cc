// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/job_records.h"

#include <chrono>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "store/sqlite/migrations/list.h"
#include "store/sqlite/sqlite_job_store.h"
#include "temporary_folder.h"

namespace jobmill::sqlite {
namespace {

using namespace std::chrono_literals;
using jobs::JobState;

// A store in a file, and one worker with one job.
struct Shop {
  explicit Shop(const std::string& path, JobStoreOptions options = {}) {
    auto opened = SqliteFile::open(path);
    REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().message));
    file = *std::move(opened);
    auto made = open_job_store(*file, clock.now(), std::move(options));
    REQUIRE_MESSAGE(made, (made ? "" : made.error().message));
    store = *std::move(made);
  }

  jobs::Report claim() {
    if (worker.empty()) {
      jobs::WorkerSpec one;
      one.name = "w";
      one.concurrency = 9;
      const auto registration = store->announce(one, clock.now());
      REQUIRE(registration);
      worker = registration->worker_id;
    }
    jobs::ClaimRequest request;
    request.worker_id = worker;
    const auto claimed = store->claim(request, clock.now());
    REQUIRE(claimed);
    REQUIRE(claimed->jobs.size() == 1);
    return {.job_id = claimed->jobs[0].job.id, .lock_token = claimed->jobs[0].lock_token};
  }

  std::string enqueue(const jobs::JobSpec& job, std::string_view key = {}) {
    const auto inserted = store->insert(std::span(&job, 1), clock.now(), key);
    REQUIRE(inserted);
    return inserted->jobs.front().id;
  }

  jobs::Settled settle(const jobs::Settlement& settlement) {
    auto settled = store->settle({}, std::span(&settlement, 1), clock.now());
    REQUIRE(settled);
    return std::move(settled->front());
  }

  jobs::Settled fail(std::string error) {
    const jobs::Report held = claim();
    return settle({.kind = jobs::Settlement::Kind::Fail,
                   .job_id = held.job_id,
                   .lock_token = held.lock_token,
                   .failure = {.type = std::move(error)}});
  }

  ManualClock clock;
  std::unique_ptr<SqliteFile> file;
  std::unique_ptr<jobs::JobStoreOwner> store;
  std::string worker;
};

JobStoreOptions keys_for(Duration time) {
  JobStoreOptions options;
  options.keep_keys = time;
  return options;
}

jobs::JobSpec spec(std::string kind) {
  jobs::JobSpec job;
  job.kind = std::move(kind);
  return job;
}

}  // namespace

TEST_CASE("job records: limits of time, lines, progress and keys outlive a restart") {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/jobmill.db";
  jobs::JobSpec job = spec("k");
  job.extra.timeout = 60s;
  jobs::Report held;
  std::string worker;
  {
    Shop shop(path);
    shop.enqueue(job, "key");
    held = shop.claim();
    worker = shop.worker;
    held.progress = jobs::Progress{1, 4, 0};
    held.logs = {{jobs::LineLevel::Info, shop.clock.now(), "line"}};
    REQUIRE(shop.store->report(held, shop.clock.now()));
  }
  Shop shop(path);
  CHECK(shop.enqueue(job, "key") == held.job_id);
  CHECK(shop.store->get(held.job_id)->progress == held.progress);
  CHECK(shop.store->log(held.job_id, 0, 0)->lines == held.logs);

  shop.clock.advance(61s);  // a claim is as late as it took
  const jobs::Report lease{.job_id = held.job_id, .lock_token = held.lock_token};
  const auto beat = shop.store->beat(worker, std::span(&lease, 1), shop.clock.now());
  REQUIRE(beat);
  REQUIRE(beat->cancel.size() == 1);
  CHECK(beat->cancel[0].reason == "timeout");
  shop.clock.advance(25s);
  CHECK(*shop.store->time_out(shop.clock.now()) == 1);
  CHECK(shop.store->get(held.job_id)->state == JobState::Scheduled);
}

TEST_CASE("job records: the next result or key to go is known after a restart") {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/jobmill.db";
  std::string id;
  {
    Shop shop(path, keys_for(1h));
    jobs::JobSpec job = spec("k");
    job.extra.result_ttl = 10min;
    id = shop.enqueue(job, "key");
    const jobs::Report held = shop.claim();
    REQUIRE(shop.settle({.job_id = id, .lock_token = held.lock_token, .result = "[1]"}).status);
    REQUIRE(shop.store->leave(shop.worker, shop.clock.now()));
  }
  Shop shop(path, keys_for(1h));
  CHECK(*shop.store->next_chore(shop.clock.now()) == shop.clock.now() + 10min);
  shop.clock.advance(10min);
  CHECK(*shop.store->expire(shop.clock.now()) == 1);
  CHECK_FALSE(shop.store->result(id, shop.clock.now())->available);
  CHECK(*shop.store->next_chore(shop.clock.now()) == shop.clock.now() + 50min);
  shop.clock.advance(50min);
  CHECK(*shop.store->expire(shop.clock.now()) == 1);
  CHECK(shop.enqueue(spec("other"), "key") != id);
}

TEST_CASE(
    "job records: what running jobs tell is written without a sync, and only when it is new") {
  Shop shop(":memory:");
  shop.enqueue(spec("k"));
  jobs::Report held = shop.claim();
  const auto beat = [&] {
    REQUIRE(shop.store->beat(shop.worker, std::span(&held, 1), shop.clock.now()));
  };
  const auto begun = shop.file->transactions();
  const auto synced = shop.file->synced_transactions();
  beat();
  CHECK(shop.file->transactions() == begun);
  held.progress = jobs::Progress{1, 2, 0};
  beat();
  CHECK(shop.file->transactions() == begun + 1);
  beat();
  CHECK(shop.file->transactions() == begun + 1);
  held.logs = {{jobs::LineLevel::Info, shop.clock.now(), "line"}};
  beat();
  REQUIRE(shop.store->report(held, shop.clock.now()));
  CHECK(shop.file->transactions() == begun + 3);
  CHECK(shop.file->synced_transactions() == synced);
}

TEST_CASE("job records: the server's policies of retries, by kind and type of error") {
  JobStoreOptions options;
  options.retry.retries = 2;
  options.retry.list = {
      {.kind = "mail", .error = "Refused", .policy = {}, .never = true},
      {.kind = "mail",
       .error = {},
       .policy = jobs::RetryPolicy{.delays = {7s, 7s, 7s}},
       .never = false},
      {.kind = {}, .error = "Slow", .policy = jobs::RetryPolicy::powers_of(5), .never = false}};
  Shop shop(":memory:", options);
  const auto mail = shop.enqueue(spec("mail"));
  CHECK(shop.store->get(mail)->max_attempts == 4);
  CHECK(shop.fail("Other").run_at == shop.clock.now() + 7s);
  const auto refused = shop.enqueue(spec("mail"));
  CHECK(shop.fail("Refused").state == JobState::Failed);
  CHECK(shop.store->history(refused)->back().data.find(R"("doNotRetry":true)") !=
        std::string::npos);
  const auto slow = shop.enqueue(spec("k"));
  CHECK(shop.fail("Slow").run_at == shop.clock.now() + 5s);
  CHECK(shop.store->get(slow)->max_attempts == 3);
  shop.enqueue(spec("k"));
  CHECK(shop.fail("Other").run_at == shop.clock.now() + 3s);
}

TEST_CASE("job records: a file of the schema before is brought up to date, its jobs run on") {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/jobmill.db";
  {
    auto db = Database::open(path);
    REQUIRE(db);
    REQUIRE(
        db->exec("CREATE TABLE schema_version (number INTEGER PRIMARY KEY, name TEXT NOT NULL)"
                 " WITHOUT ROWID"));
    for (const Migration* old :
         {&kJobsMigration, &kObjectsMigration, &kMessagesMigration, &kExecutionsMigration}) {
      REQUIRE(db->exec(old->sql));
      REQUIRE(db->use("INSERT INTO schema_version VALUES (?1, ?2)")
                  .bind(1, old->number)
                  .bind(2, old->name)
                  .run());
    }
    REQUIRE(db->exec(R"sql(
      INSERT INTO queue (id, name) VALUES (1, 'default');
      INSERT INTO lane (id, queue, kind, priority, enqueued) VALUES (1, 1, 'k', 0, 1);
      INSERT INTO job VALUES (1, zeroblob(16), 1, 1, '', '', 2, 1, NULL, 1, 0, 0, 0, NULL, 11, 3,
                              NULL, NULL, 0, NULL, '', 0, 0);
      INSERT INTO job_payload VALUES (1, '[]', '');
      INSERT INTO job_ready VALUES (1, 1, 1, 0);
    )sql"));
  }
  Shop shop(path);
  const jobs::Report held = shop.claim();
  CHECK(shop.store->get(held.job_id)->extra == jobs::Extra{});
  CHECK(shop.settle({.job_id = held.job_id, .lock_token = held.lock_token}).status);
}

}  // namespace jobmill::sqlite
