// SPDX-License-Identifier: Apache-2.0
#include "jobs/metered_job_store.h"

#include <atomic>
#include <memory>

#include <doctest/doctest.h>

#include "conformance/job_control.h"
#include "conformance/job_store.h"
#include "store/sqlite/sqlite_job_store.h"

namespace jobmill::jobs {
namespace {

using namespace std::chrono_literals;

// A store of ours behind the decorator, whose stopwatch each call moves by 2 ms.
struct Metered {
  ManualClock clock;
  std::unique_ptr<sqlite::SqliteFile> file;
  std::atomic<int> looks = 0;
  std::unique_ptr<MeteredJobStore> store;
};

std::shared_ptr<Metered> open() {
  auto metered = std::make_shared<Metered>();
  auto file = sqlite::SqliteFile::open(":memory:");
  REQUIRE(file);
  metered->file = *std::move(file);
  auto store = sqlite::open_job_store(*metered->file, metered->clock.now());
  REQUIRE(store);
  metered->store = std::make_unique<MeteredJobStore>(
      *std::move(store), [watch = metered.get()] { return 2ms * ++watch->looks; });
  return metered;
}

JobSpec spec() {
  JobSpec spec;
  spec.kind = "k";
  return spec;
}

WorkerSpec worker_spec() {
  WorkerSpec spec;
  spec.name = "w";
  return spec;
}

}  // namespace

TEST_CASE("metered store: keeps the contract of JobStore") {
  const auto make = [] {
    auto metered = open();
    auto& store = *metered->store;
    auto& clock = metered->clock;
    return JobStoreFixture{std::move(metered), store, store, clock};
  };
  exercise_job_store(make);
  exercise_job_control(make);
}

TEST_CASE(
    "metered store: each call is timed; what its caller did wrong is no error of the storage") {
  const auto metered = open();
  JobStoreOwner& store = *metered->store;
  const TimePoint now = metered->clock.now();
  const JobSpec good = spec();
  JobSpec bad = spec();
  bad.priority = 99;
  REQUIRE(store.insert(std::span(&good, 1), now));
  REQUIRE_FALSE(store.insert(std::span(&bad, 1), now));
  REQUIRE_FALSE(store.get("nothing"));
  const StorageMeter meter = metered->store->meter();
  CHECK(meter.operations.at("insert").seconds.count() == 2);
  CHECK(meter.operations.at("insert").seconds.sum == doctest::Approx(0.004));
  CHECK(meter.operations.at("insert").errors == 0);
  CHECK(meter.operations.at("get").seconds.count() == 1);
  CHECK(meter.workers_lost == 0);
}

TEST_CASE("metered store: a claim that may wait is not timed") {
  const auto metered = open();
  JobStoreOwner& store = *metered->store;
  const TimePoint now = metered->clock.now();
  const auto worker = store.announce(worker_spec(), now);
  REQUIRE(worker);
  ClaimRequest request;
  request.worker_id = worker->worker_id;
  REQUIRE(store.claim(request, now));
  request.wait = 1ms;
  REQUIRE(store.claim(request, now));
  CHECK(metered->store->meter().operations.at("claim").seconds.count() == 1);
}

TEST_CASE("metered store: workers are lost when their process dies or their lease runs out") {
  const auto metered = open();
  JobStoreOwner& store = *metered->store;
  const auto announce = [&] {
    const auto worker = store.announce(worker_spec(), metered->clock.now());
    REQUIRE(worker);
    return worker->worker_id;
  };
  REQUIRE(store.worker_died(announce(), {.signal = 9, .exit_code = 0, .detail = {}},
                            metered->clock.now()));
  announce();
  REQUIRE(store.leave(announce(), metered->clock.now()));
  metered->clock.advance(31s);
  REQUIRE(store.rescue(metered->clock.now()));
  CHECK(metered->store->meter().workers_lost == 2);
}

}  // namespace jobmill::jobs
