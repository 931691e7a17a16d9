// SPDX-License-Identifier: Apache-2.0
#include "app/execution_explain.h"

#include <doctest/doctest.h>

#include "scale/ledger.h"

namespace jobmill::app {
namespace {

using namespace std::chrono_literals;
using executions::ContainerJob;
using executions::Semantics;

constexpr char kJob[] = R"(properties:
  configuration:
    triggerType: Event
    replicaTimeout: 300
    replicaRetryLimit: 2
    manualTriggerConfig: {parallelism: 2}
    eventTriggerConfig:
      scale: {rules: [{name: r, type: azure-servicebus, metadata: {queueName: q, messageCount: 0}}]}
  template: {containers: [{name: m, image: i}]}
  jobmill: {supervisorLocks: LOCKS, stalledAfter: 60, schedule: "0 3 * * *"}
)";

ContainerJob job(const std::string& locks) {
  std::string text = kJob;
  text.replace(text.find("LOCKS"), 5, locks);
  manifest::Problems problems("f");
  ContainerJob job = executions::decode_job({"g", "job"}, parse_yaml(text)->front(), problems);
  REQUIRE(problems.ok());
  return job;
}

JobPicture picture(const ContainerJob& job, Duration lock, std::uint32_t deliveries,
                   Semantics semantics = Semantics::Bound) {
  return {.job = job,
          .semantics = semantics,
          .counts = {},
          .queues = {{.name = "q", .lock_duration = lock, .max_delivery_count = deliveries}}};
}

bool warns(const JobPicture& picture, std::string_view words) {
  for (const std::string& warning : warnings_of(picture))
    if (warning.find(words) != std::string::npos) return true;
  return false;
}

TEST_CASE("explain: warnings are of the job's settings together with its queue's") {
  const ContainerJob held = job("true");
  const ContainerJob loose = job("false");
  CHECK(warns(picture(loose, 60s, 10),
              "time-out (300 s) is longer than the lock duration of "
              "queue q (60 s)"));
  CHECK_FALSE(warns(picture(held, 60s, 10), "lock duration"));
  CHECK_FALSE(warns(picture(loose, 300s, 10), "lock duration"));

  CHECK(warns(picture(held, 60s, 1), "MaxDeliveryCount of queue q is 1 and the retry limit 2"));
  CHECK_FALSE(warns(picture(held, 60s, 2), "MaxDeliveryCount"));

  CHECK(warns(picture(held, 60s, 2), "the retry limit of 2 has no effect on an empty queue"));
  CHECK_FALSE(warns(picture(held, 60s, 2, Semantics::Cloud), "on an empty queue"));

  ContainerJob once = held;
  once.retry_limit = 0;
  CHECK_FALSE(warns(picture(once, 60s, 1), "retry limit"));
  CHECK_FALSE(warns(picture(once, 60s, 1), "MaxDeliveryCount"));
}

TEST_CASE("explain: warnings name what has no effect") {
  const ContainerJob held = job("true");
  CHECK(warns(picture(held, 60s, 2), "rule r: messageCount 0 counts as 1"));
  CHECK(warns(picture(held, 60s, 2), "manualTriggerConfig: no effect with triggerType Event"));
  ContainerJob scaled = held;
  scaled.document = Node();
  CHECK_FALSE(warns(picture(scaled, 60s, 2), "no effect with triggerType"));
}

TEST_CASE("explain: a job is told of with what is particular about it") {
  const ContainerJob held = job("true");
  const Node told = explain_job(picture(held, 60s, 2), *parse_instant("2026-11-22T00:00:00Z"));
  const std::string text(told.find("text")->as_string().value());
  CAPTURE(text);
  for (const char* words :
       {"also starts by its schedule '0 3 * * *' (UTC), next 2026-11-22T03:00:00",
        "a replica that for 60 s writes nothing", "locks last as long as their replica",
        "warning: "})
    CHECK(text.find(words) != std::string::npos);
}

TEST_CASE("explain: what was decided is told from what was kept of it") {
  scale::ExecutionsInput input;
  input.at = TimePoint(7s);
  input.max = 1;
  input.unfinished = 1;
  input.bound.push_back({.name = "r", .ready = 3, .messages = 1});
  const scale::ExecutionsDecision decision = scale::decide_executions(input);
  const auto record = parse_json(scale::to_record("ContainerJob/default/j", decision).document);
  REQUIRE(record);
  const auto text = explain_kept_decision(*record);
  REQUIRE(text);
  CHECK(*text == explain_decision(decision));
  CHECK(text->find("max-executions (1 of 1 running); 3 ready") != std::string::npos);
  CHECK_FALSE(explain_kept_decision(Node::object()));
}

TEST_CASE("explain: an execution's times stand in order, the token of its identity among them") {
  executions::Execution execution;
  execution.name = "job-1";
  executions::Replica replica;
  replica.name = "job-1-a";
  replica.started = TimePoint(1s);
  replica.identified = TimePoint(2s);
  replica.ended = TimePoint(4s);
  execution.replicas.push_back(replica);
  execution.messages.push_back({.replica = "job-1-a", .entity = "q", .taken = TimePoint(3s)});
  const std::string text(explain_execution(execution).find("text")->as_string().value());
  CAPTURE(text);
  std::size_t at = 0;
  for (const char* words : {"created", "started", "job-1-a gets a token of its identity",
                            "job-1-a takes message", "job-1-a Pending"}) {
    at = text.find(words, at);
    CHECK(at != std::string::npos);
  }
}

}  // namespace
}  // namespace jobmill::app
