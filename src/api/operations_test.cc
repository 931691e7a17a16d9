// SPDX-License-Identifier: Apache-2.0
#include "api/operations.h"

#include <doctest/doctest.h>

#include <condition_variable>
#include <mutex>
#include <semaphore>
#include <thread>

namespace jobmill::api {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kPatience{60};  // for broken code, not for slow machines

// A pool, a loop and the operations on them, watched.
class Bench {
  // First: the threads below tell of changes until they have ended.
  std::mutex mutex_;  // guards changes_
  std::condition_variable changed_;
  int changes_ = 0;

 public:
  Bench() {
    operations.on_change([this](const Operation&) {
      std::lock_guard lock(mutex_);
      ++changes_;
      changed_.notify_all();
    });
  }
  ~Bench() { operations.stop(); }

  Operation ended(const std::string& id) {
    std::unique_lock lock(mutex_);
    Operation seen;
    REQUIRE(changed_.wait_for(lock, kPatience, [&] {
      seen = *operations.find(id);
      return seen.state != OperationState::Running;
    }));
    return seen;
  }

  std::string start(Operations::Step step, std::string action = "requeue") {
    auto id = operations.start({.action = std::move(action), .by = "ann", .step = std::move(step)});
    REQUIRE(id);
    return *id;
  }

  ManualClock clock;
  net::EventLoop loop;
  std::jthread thread{[this](const std::stop_token& stop) { loop.run(stop); }};
  ThreadPool pool{2};
  Operations operations{pool, loop, clock};
};

// Ten at a time, `pages` times.
Operations::Step in_pages(int pages) {
  return [left = pages]() mutable -> Result<StepDone> {
    --left;
    return StepDone{.done = 9, .failed = 1, .finished = left == 0};
  };
}

}  // namespace

TEST_CASE("operations: steps follow each other until one says that it was the last") {
  Bench bench;
  const auto id = bench.start(in_pages(5));
  const Operation done = bench.ended(id);
  CHECK(done.state == OperationState::Done);
  CHECK(done.done == 45);
  CHECK(done.failed == 5);
  CHECK(done.by == "ann");
  CHECK(done.ended_at == bench.clock.now());
}

TEST_CASE("operations: one that is cancelled makes no further step") {
  Bench bench;
  std::binary_semaphore begun(0);
  std::binary_semaphore go_on(0);
  int steps = 0;
  const auto id = bench.start([&]() -> Result<StepDone> {
    ++steps;
    begun.release();
    go_on.acquire();
    return StepDone{.done = 1000};
  });
  begun.acquire();
  CHECK(bench.operations.find(id)->state == OperationState::Running);
  REQUIRE(bench.operations.cancel(id));
  go_on.release();
  const Operation cancelled = bench.ended(id);
  CHECK(cancelled.state == OperationState::Cancelled);
  CHECK(cancelled.done == 1000);
  CHECK(steps == 1);
  CHECK(bench.operations.cancel(id).error().code == Code::Conflict);
  CHECK(bench.operations.cancel("nothing").error().code == Code::NotFound);
}

TEST_CASE("operations: an error ends one, and what was done stays told") {
  Bench bench;
  const auto id = bench.start([first = true]() mutable -> Result<StepDone> {
    if (std::exchange(first, false)) return StepDone{.done = 7};
    return fail(Code::Unavailable, "the disk is away");
  });
  const Operation failed = bench.ended(id);
  CHECK(failed.state == OperationState::Failed);
  CHECK(failed.error == "the disk is away");
  CHECK(failed.done == 7);
}

TEST_CASE("operations: a step may ask for a rest") {
  Bench bench;
  const auto id = bench.start([left = 3]() mutable -> Result<StepDone> {
    return StepDone{.done = 1, .finished = --left == 0, .rest = 1ms};
  });
  CHECK(bench.ended(id).done == 3);
}

TEST_CASE("operations: at most 100 run at once, and places become free") {
  Bench bench;
  std::counting_semaphore<200> go_on(0);
  const auto waiting = [&]() -> Result<StepDone> {
    go_on.acquire();
    return StepDone{.finished = true};
  };
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < Operations::kMostRunning; ++i) ids.push_back(bench.start(waiting));
  const auto refused = bench.operations.start({.action = "requeue", .step = waiting});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::Exhausted);
  go_on.release(Operations::kMostRunning);
  for (const std::string& id : ids) CHECK(bench.ended(id).state == OperationState::Done);
  CHECK(bench.operations.start({.action = "requeue", .step = in_pages(1)}));
}

TEST_CASE("operations: those that have ended are told for an hour, the latest first") {
  Bench bench;
  const auto first = bench.start(in_pages(1), "requeue");
  bench.ended(first);
  bench.clock.advance(30min);
  const auto second = bench.start(in_pages(1), "delete");
  bench.ended(second);
  REQUIRE(bench.operations.list().size() == 2);
  CHECK(bench.operations.list().front().id == second);
  bench.clock.advance(30min);
  CHECK(bench.operations.list().size() == 1);
  CHECK_FALSE(bench.operations.find(first));
  CHECK(bench.operations.find(second));
}

TEST_CASE("operations: JSON says what is known") {
  JsonWriter json;
  const TimePoint at = ManualClock().now();
  write_operation(json, {.id = "1",
                         .action = "delete",
                         .what = "jobs",
                         .by = "ann",
                         .state = OperationState::Failed,
                         .matching = 20,
                         .done = 3,
                         .failed = 1,
                         .started_at = at,
                         .ended_at = at,
                         .error = "no"});
  CHECK(std::move(json).text() ==
        R"({"id":"1","action":"delete","what":"jobs","state":"failed","matching":20,"done":3,)"
        R"("failed":1,"startedAt":"2024-01-01T00:00:00Z","endedAt":"2024-01-01T00:00:00Z",)"
        R"("by":"ann","error":"no"})");
}

}  // namespace jobmill::api
