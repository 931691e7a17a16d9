// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/postgres_job_store.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>

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

std::shared_ptr<Opened> open(const std::string& text) {
  auto opened = std::make_shared<Opened>();
  const auto url = Url::parse(text);
  REQUIRE(url);
  JobStoreOptions options;
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

void enqueue(Opened& opened, int count) {
  jobs::JobSpec spec;
  spec.kind = "k";
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

}  // namespace
}  // namespace jobmill::postgres
