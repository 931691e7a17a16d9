// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "executions/executions.h"

namespace jobmill::executions {

// For tests: an engine with one job, its own clock, and everything that it asked for so far.
class EngineRig {
 public:
  explicit EngineRig(ContainerJob job = plain_job(), std::uint64_t seed = 1) : engine(seed) {
    key = job.key;
    engine.put(std::move(job), clock.now());
  }

  static ContainerJob plain_job() {
    ContainerJob job;
    job.key = {"default", "worker"};
    job.replica_timeout = std::chrono::seconds(60);
    Container container;
    container.name = "main";
    container.image = "app:1";
    job.pod.containers.push_back(std::move(container));
    return job;
  }
  static ContainerJob queue_job() {
    ContainerJob job = plain_job();
    job.trigger = TriggerType::Event;
    ScaleRule rule;
    rule.name = "queue";
    rule.type = "azure-servicebus";
    job.rules.push_back(std::move(rule));
    return job;
  }

  std::string start() { return *engine.start(key, {}, clock.now()); }
  std::string start_bound(int reserves = 1) {
    return *engine.start(key,
                         {.by = {.name = "queue", .type = "azure-servicebus"},
                          .rule = 0,
                          .semantics = Semantics::Bound,
                          .reserves = reserves},
                         clock.now());
  }

  // Lets the engine think; what it asks for is added to what is told below.
  Executions::Actions tick() {
    Executions::Actions actions = engine.tick(clock.now());
    for (const auto& one : actions.start) asked.push_back(one.replica);
    for (const auto& one : actions.stop) stops.push_back(one);
    for (const std::string& name : actions.changed)
      if (const Execution* execution = engine.find(name)) remember(*execution);
    return actions;
  }
  void wait(Duration by) {
    clock.advance(by);
    tick();
  }
  // The replicas that were asked for since the last call.
  std::vector<std::string> taken_up() {
    tick();
    return std::exchange(asked, {});
  }
  // Starts the execution's next replica and says that it runs.
  std::string run_one() {
    const std::vector<std::string> names = taken_up();
    for (const std::string& name : names) engine.started(name, {.pid = 42}, clock.now());
    tick();
    return names.empty() ? std::string() : names.front();
  }
  void exit(const std::string& replica, int code) { end(replica, {.exit_code = code}); }
  void end(const std::string& replica, ReplicaEnd how) {
    engine.ended(replica, std::move(how), clock.now());
    tick();
  }
  void take(const std::string& replica, std::int64_t sequence) {
    engine.took({.replica = replica,
                 .entity = "orders",
                 .sequence = sequence,
                 .message_id = "m" + std::to_string(sequence),
                 .delivery_count = 1,
                 .taken = clock.now()},
                clock.now());
  }
  void settle(const std::string& replica, std::int64_t sequence, std::string_view outcome,
              std::string_view reason = {}) {
    engine.settled(replica, "orders", sequence, outcome, reason, clock.now());
  }
  void ready(std::int64_t count) { engine.set_ready(key, 0, count, clock.now()); }

  // As it was saved last.
  const Execution& saved(const std::string& name) const {
    const auto same = [&](const Execution& one) { return one.name == name; };
    return *std::find_if(store.begin(), store.end(), same);
  }

  ManualClock clock;
  JobKey key;
  Executions engine;
  std::vector<std::string> asked;
  std::vector<Executions::StopReplica> stops;
  std::vector<Execution> store;

 private:
  void remember(const Execution& execution) {
    const auto same = [&](const Execution& one) { return one.name == execution.name; };
    const auto old = std::find_if(store.begin(), store.end(), same);
    if (old == store.end())
      store.push_back(execution);
    else
      *old = execution;
  }
};

}  // namespace jobmill::executions
