// SPDX-License-Identifier: Apache-2.0
#include "scale/autoscaler.h"

#include <doctest/doctest.h>

#include "scale/autoscaler_rig.h"

namespace jobmill::scale {
namespace {

using namespace std::chrono_literals;
using Rig = AutoscalerRig;

void start(Rig& rig, int replicas, double value, std::int64_t target = 1) {
  rig.put({Rig::per_replica(target)});
  rig.ready(replicas);
  rig.answer(0, value);
}

std::vector<Trigger> triggers_of(const std::vector<std::string>& types) {
  std::vector<Trigger> triggers;
  for (const std::string& type : types) triggers.emplace_back().type = type;
  return triggers;
}

}  // namespace

TEST_CASE("autoscaler: 40 jobs scheduled at zero workers are answered by one write of 5") {
  Rig rig;
  rig.spec.max_replicas = 10;
  rig.put(Rig::walkthrough());
  rig.ready(0);
  for (std::size_t i = 0; i < 3; ++i) rig.answer(i, 0, true);
  CHECK(rig.condition("Active") == "False/ScalerNotActive");

  rig.pass(10s);
  rig.answer(1, 40, true);
  CHECK(rig.sizes == std::vector{5});
  CHECK(rig.latest().kind == DecisionKind::Activate);
  CHECK(rig.latest().from == 0);
  CHECK(rig.condition("Ready") == "True/ScaledObjectReady");
  CHECK(rig.condition("Active") == "True/ScalerActive");
  CHECK(rig.condition("Fallback") == "False/NoFallbackFound");
  CHECK(rig.condition("Paused") == "False/");
}

TEST_CASE("autoscaler: nothing is decided before every trigger answered or failed once") {
  Rig rig;
  rig.put(Rig::walkthrough());
  rig.ready(4);
  rig.answer(0, 0);
  rig.answer(1, 0);
  CHECK(rig.autoscaler.latest(rig.spec.key) == nullptr);
  rig.pass(5s);  // the third one does not answer
  CHECK(rig.wanted == 4);
  CHECK(rig.latest().limiting_rule == Rule::TriggerFailed);
}

TEST_CASE("autoscaler: a trigger that fails leaves the others to decide, but not to go down") {
  Rig rig;
  rig.put(Rig::walkthrough());
  rig.ready(2);
  rig.fail_twice(0, "connection refused");
  rig.answer(2, 0);
  rig.answer(1, 40);
  CHECK(rig.wanted == 5);
  CHECK(rig.condition("Ready") == "Unknown/PartialTriggerError");
  CHECK(rig.status().triggers[0].error == "connection refused");
  CHECK(rig.status().triggers[0].failures == 1);

  rig.ready(5);
  rig.pass(10min);
  rig.answer(1, 1);
  CHECK(rig.wanted == 5);
  CHECK(rig.latest().kind == DecisionKind::Error);
  CHECK(rig.latest().limiting_rule == Rule::TriggerFailed);
}

TEST_CASE("autoscaler: an object whose triggers all fail keeps its size") {
  Rig rig;
  rig.created = rig.clock.now() - 1h;
  rig.put({Rig::per_replica(8)});
  rig.ready(3);
  rig.fail_twice(0, "404 Not Found");
  rig.pass(1h);
  CHECK(rig.sizes.empty());
  CHECK(rig.condition("Ready") == "False/TriggerError");
  CHECK(rig.status().find("Ready")->message == "s0-metric-api-count: 404 Not Found");
}

TEST_CASE("autoscaler: at zero triggers are read at the interval, above it every 15 s") {
  Rig rig;
  rig.spec.polling_interval = 30s;
  start(rig, 0, 0);
  const auto count_reads = [&](Duration period) {
    const std::size_t before = rig.started;
    rig.pass_answering(period, rig.wanted);
    return rig.started - before;
  };
  CHECK(count_reads(10min) == 20);
  rig.ready(2);
  rig.pass_answering(30s, 2);
  CHECK(count_reads(10min) == 40);
}

TEST_CASE("autoscaler: triggers of one object are read apart") {
  Rig rig;
  rig.put(Rig::walkthrough());
  rig.ready(0);
  for (std::size_t i = 0; i < 3; ++i) rig.answer(i, 0);
  rig.pass(30s);
  CHECK(rig.reads.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) rig.answer(i, 0);
  const TimePoint first = *rig.autoscaler.next();
  rig.clock.set(first);
  rig.tick();
  CHECK(rig.reads.size() == 1);
}

TEST_CASE("autoscaler: the cooldown is strict and counts from the last active evaluation") {
  Rig rig;
  start(rig, 1, 1);
  rig.pass(100s);
  rig.answer(0, 1);  // unchanged, but still active
  const TimePoint last_active = rig.clock.now();
  rig.pass(15s);
  rig.answer(0, 0);
  CHECK(rig.condition("Active") == "False/ScalerCooldown");
  CHECK(rig.latest().limiting_rule == Rule::Cooldown);
  CHECK(rig.latest().next_check == last_active + 300s + 1us);
  CHECK(rig.latest().counterfactual->replicas == 0);

  rig.pass_answering(last_active + 300s - rig.clock.now(), 0);
  CHECK(rig.wanted == 1);
  rig.pass(1us);
  CHECK(rig.wanted == 0);
  CHECK(rig.latest().kind == DecisionKind::Zero);
}

TEST_CASE("autoscaler: the initial cooldown protects what was never active") {
  Rig rig;
  rig.spec.initial_cooldown_period = 20s;
  start(rig, 3, 0);
  CHECK(rig.latest().limiting_rule == Rule::ScaleDownWindow);
  rig.pass_answering(20s, 0);
  CHECK(rig.wanted == 3);
  rig.pass_answering(1us, 0);
  CHECK(rig.wanted == 0);
}

TEST_CASE("autoscaler: idleReplicaCount is the size of rest, minReplicaCount that of work") {
  Rig rig;
  rig.spec.min_replicas = 3;
  rig.spec.idle_replicas = 1;
  rig.created = rig.clock.now() - 1h;
  start(rig, 3, 0);
  CHECK(rig.wanted == 1);
  rig.ready(1);
  CHECK(rig.wanted == 1);  // below min, and yet at rest
  rig.pass(30s);
  rig.answer(0, 2);
  CHECK(rig.wanted == 3);
  CHECK(rig.latest().kind == DecisionKind::Activate);
}

TEST_CASE("autoscaler: without an idle size an inactive object is raised to its minimum") {
  Rig rig;
  rig.spec.min_replicas = 2;
  start(rig, 0, 0);
  CHECK(rig.wanted == 2);
  CHECK(rig.latest().limiting_rule == Rule::Min);
}

TEST_CASE("autoscaler: an object that only measures its own pods is active") {
  AutoscalerRig rig;
  rig.spec.min_replicas = 2;
  rig.spec.triggers = triggers_of({"cpu", "memory"});
  rig.put({rig.metric("s0-cpu", MetricType::Value, 50'000),
           rig.metric("s1-memory", MetricType::Value, 50'000)});
  rig.ready(2);
  rig.answer(0, Sample{.value = 90});
  rig.answer(1, Sample{.value = 20});
  CHECK(rig.sizes == std::vector{4});
  CHECK(rig.records.back().input.activate.active);
}

TEST_CASE("autoscaler: one that measures its own pods and more is as active as the rest") {
  AutoscalerRig rig;
  rig.spec.cooldown_period = 0s;
  rig.spec.triggers = triggers_of({"cpu", "cron"});
  rig.put({rig.metric("s0-cpu", MetricType::Value, 50'000),
           rig.metric("s1-cron", MetricType::AverageValue, 1'000)});
  rig.ready(2);
  rig.answer(0, Sample{.value = 90});
  rig.clock.advance(1s);
  rig.answer(1, Sample{.value = 0});
  CHECK_FALSE(rig.records.back().input.activate.active);
  CHECK(rig.sizes == std::vector{0});
}

TEST_CASE("autoscaler: one that cannot measure its own pods is not active, and keeps its size") {
  AutoscalerRig rig;
  rig.spec.min_replicas = 1;
  rig.spec.triggers = triggers_of({"cpu"});
  rig.put({rig.metric("s0-cpu", MetricType::Value, 50'000)});
  rig.ready(3);
  rig.fail_twice(0, "metrics.k8s.io is not there");
  CHECK(rig.sizes.empty());
  CHECK_FALSE(rig.records.back().input.activate.active);
}

TEST_CASE("autoscaler: a paused object is neither read nor changed") {
  Rig rig;
  rig.spec.pause.paused = true;
  rig.put({Rig::per_replica(8)});
  rig.ready(3);
  rig.pass(1h);
  CHECK(rig.reads.empty());
  CHECK(rig.sizes.empty());
  CHECK(rig.condition("Paused") == "True/ScaledObjectPaused");
  CHECK(rig.latest().kind == DecisionKind::Paused);

  rig.spec.pause = {};
  rig.put({Rig::per_replica(8)});
  rig.answer(0, 80);
  CHECK(rig.wanted == 10);
  CHECK(rig.condition("Paused") == "False/ScaledObjectUnpaused");
}

TEST_CASE("autoscaler: paused-replicas are set once") {
  Rig rig;
  rig.spec.pause.paused = true;
  rig.spec.pause.replicas = 2;
  rig.put({Rig::per_replica(8)});
  rig.ready(5);
  CHECK(rig.sizes == std::vector{2});
  CHECK(rig.status().paused_replicas == 2);
  rig.ready(7);  // by somebody else
  CHECK(rig.sizes == std::vector{2});
}

TEST_CASE("autoscaler: unreadable paused-replicas pause and are told") {
  Rig rig;
  rig.spec.pause.paused = rig.spec.pause.replicas_error = true;
  rig.put({Rig::per_replica(8)});
  rig.ready(5);
  CHECK(rig.sizes.empty());
  CHECK(rig.condition("Ready") == "False/ScaledObjectCheckFailed");
  CHECK(rig.condition("Active") == "Unknown/UnknownState");
}

TEST_CASE("autoscaler: with scaling out paused zero stays zero") {
  Rig rig;
  rig.spec.pause.out = true;
  start(rig, 0, 40, 8);
  CHECK(rig.sizes.empty());
  CHECK(rig.latest().limiting_rule == Rule::PausedScaleOut);
  CHECK(rig.latest().counterfactual->replicas == 5);
  CHECK(rig.condition("Active") == "True/ScalerActive");
  CHECK(rig.condition("Paused") == "True/ScaledObjectPaused");
}

TEST_CASE("autoscaler: with scaling in paused replicas stay for ever") {
  Rig rig;
  rig.spec.pause.in = true;
  start(rig, 4, 0);
  rig.pass(1h);
  CHECK(rig.sizes.empty());
}

TEST_CASE("autoscaler: force-activation alone goes to one and no further") {
  Rig rig;
  rig.spec.pause.force = true;
  start(rig, 0, 0);
  CHECK(rig.sizes == std::vector{1});
  CHECK(rig.condition("Active") == "True/ScalerActive");
}

TEST_CASE("autoscaler: policies of a straight start count from the size of activation") {
  Rig rig;
  rig.spec.behavior.scale_up.emplace();
  rig.spec.behavior.scale_up->policies = {{PolicyType::Pods, 3, 60s}};
  start(rig, 0, 100);
  CHECK(rig.sizes == std::vector{4});  // 1 + 3
  CHECK(rig.latest().limiting_rule == Rule::ScaleUpPolicy);
  rig.pass_answering(60s - 1us, 100);
  CHECK(rig.wanted == 4);
  rig.pass_answering(1us, 100);
  CHECK(rig.wanted == 7);
}

TEST_CASE("autoscaler: keda semantics go from 0 to 1 at a poll, then in steps at the sync") {
  Rig rig({.sync = 15s});
  rig.spec.semantics = Semantics::Keda;
  rig.spec.max_replicas = 10;
  rig.put({Rig::per_replica(8)});
  rig.ready(0);
  rig.answer(0, 40);
  CHECK(rig.sizes == std::vector{1});
  rig.ready(1);
  rig.pass(15s);
  rig.answer(0, 40);
  CHECK(rig.sizes == std::vector{1, 4});
  CHECK(rig.latest().limiting_rule == Rule::StepLimit);
  CHECK(rig.latest().next_check == rig.clock.now() + 15s);  // and not when a window ends
  rig.ready(4);
  rig.pass(15s);
  rig.answer(0, 40);
  CHECK(rig.sizes == std::vector{1, 4, 5});
}

TEST_CASE("autoscaler: a target that cannot be found is told") {
  Rig rig;
  rig.put({Rig::per_replica(8)});
  rig.autoscaler.replicas(rig.spec.key, fail(Code::NotFound, "Deployment default/x is missing"),
                          rig.clock.now());
  rig.tick();
  rig.answer(0, 40);
  CHECK(rig.sizes.empty());
  CHECK(rig.condition("Ready") == "False/ErrorGettingCurrentReplicas");
}

TEST_CASE("autoscaler: an answer to a trigger of the former generation is dropped") {
  Rig rig;
  rig.put({Rig::per_replica(8)});
  rig.ready(0);
  const Rig::Read old = rig.reads.at(0);
  rig.put({Rig::per_replica(8)});
  rig.autoscaler.sample(old, Sample{40, true}, rig.clock.now());
  rig.tick();
  CHECK(rig.sizes.empty());
  rig.answer(0, 40);
  CHECK(rig.sizes == std::vector{5});
}

TEST_CASE("autoscaler: a removed object is forgotten") {
  Rig rig;
  start(rig, 3, 3);
  rig.autoscaler.remove(rig.spec.key);
  CHECK_FALSE(rig.autoscaler.next());
  CHECK(rig.autoscaler.latest(rig.spec.key) == nullptr);
}

TEST_CASE("autoscaler: equal evaluations raise a count instead of writing records") {
  Rig rig;
  start(rig, 1, 5);
  const std::size_t records = rig.records.size();
  const std::string id = rig.latest().id;
  rig.ready(5);
  for (int i = 0; i < 10; ++i) {
    rig.pass(15s);
    rig.answer(0, 5);
  }
  CHECK(rig.records.size() == records);
  CHECK(rig.latest().id == id);
  CHECK(rig.latest().repeated > 9);
  CHECK(rig.latest().until == rig.clock.now());
  CHECK(rig.autoscaler.last_change(rig.spec.key)->to == 5);
}

TEST_CASE("autoscaler: the last activity survives a restart") {
  Rig rig;
  rig.autoscaler.put(rig.spec, {1, rig.clock.now() - 1h, rig.clock.now() - 100s},
                     {Rig::per_replica(8)}, rig.clock.now());
  rig.tick();
  rig.ready(3);
  rig.answer(0, 0);
  CHECK(rig.condition("Active") == "False/ScalerCooldown");
  CHECK(rig.wanted == 3);
}

}  // namespace jobmill::scale
