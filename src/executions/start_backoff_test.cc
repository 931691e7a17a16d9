// SPDX-License-Identifier: Apache-2.0
#include "executions/start_backoff.h"

#include <doctest/doctest.h>

namespace jobmill::executions {
namespace {

using std::chrono::seconds;

const TimePoint kStart{seconds(1'000)};
const JobKey kJob{"default", "mail"};

Execution ended_as(ExecutionStatus status) {
  Execution execution;
  execution.job = kJob;
  execution.rule = 0;
  execution.semantics = Semantics::Bound;
  execution.reserves = 1;
  execution.status = status;
  return execution;
}

TakenMessage taken(std::string outcome) {
  TakenMessage message;
  message.outcome = std::move(outcome);
  return message;
}

TEST_CASE("a message whose execution failed waits longer each time") {
  StartBackoff backoff;
  TimePoint now = kStart;
  for (const int delay : {10, 20, 40, 80, 160, 320, 360, 360}) {
    backoff.ended(ended_as(ExecutionStatus::Failed), 1, now);
    CHECK(backoff.held(kJob, 0, now) == 1);
    REQUIRE(backoff.next());
    CHECK(backoff.next()->first == now + seconds(delay));
    CHECK(backoff.next()->second == kJob);
    now += seconds(delay);
    CHECK(backoff.held(kJob, 0, now) == 0);
    backoff.expire(now);
    CHECK_FALSE(backoff.next());
  }
  backoff.ended(ended_as(ExecutionStatus::Succeeded), 0, now);
  backoff.ended(ended_as(ExecutionStatus::Failed), 1, now);
  CHECK(backoff.next()->first == now + seconds(10));
}

TEST_CASE("only what was left behind waits, and only of that rule") {
  StartBackoff backoff;
  Execution execution = ended_as(ExecutionStatus::Failed);
  execution.reserves = 3;
  execution.messages = {taken("completed"), taken("abandoned")};
  backoff.ended(execution, 10, kStart);
  CHECK(backoff.held(kJob, 0, kStart) == 2);
  CHECK(backoff.held(kJob, 1, kStart) == 0);
  CHECK(backoff.held({"default", "other"}, 0, kStart) == 0);
  backoff.forget(kJob);
  CHECK(backoff.held(kJob, 0, kStart) == 0);
}

TEST_CASE("nothing waits when nothing is left") {
  StartBackoff backoff;
  Execution dead_lettered = ended_as(ExecutionStatus::Failed);
  dead_lettered.messages = {taken("dead-lettered")};
  backoff.ended(dead_lettered, 5, kStart);
  backoff.ended(ended_as(ExecutionStatus::Failed), 0, kStart);  // somebody else was faster
  backoff.ended(ended_as(ExecutionStatus::Stopped), 5, kStart);
  Execution counted = ended_as(ExecutionStatus::Failed);
  counted.semantics = Semantics::Cloud;
  backoff.ended(counted, 5, kStart);
  CHECK_FALSE(backoff.next());
}

TEST_CASE("a job may ask for no back-off") {
  StartBackoff backoff;
  Execution execution = ended_as(ExecutionStatus::Failed);
  execution.started.options.backoff = {Duration(0), Duration(0)};
  backoff.ended(execution, 5, kStart);
  CHECK_FALSE(backoff.next());
}

}  // namespace
}  // namespace jobmill::executions
