// SPDX-License-Identifier: Apache-2.0
#include "scale/ledger.h"

#include <limits>

#include <doctest/doctest.h>

#include "scale/autoscaler_rig.h"

namespace jobmill::scale {
namespace {

using namespace std::chrono_literals;

DecisionInput full_input() {
  ManualClock clock;
  DecisionInput in;
  in.at = clock.now() + 1234567us;
  in.generation = 3;
  in.semantics = Semantics::Keda;
  in.run_activate = false;
  in.activate.now = in.desired.now = in.at;
  in.activate.current = in.desired.current = 4;
  in.activate.min = 1;
  in.activate.idle = 0;
  in.activate.active = true;
  in.activate.fallback = 2;
  in.activate.paused_scale_out = true;
  in.activate.created = clock.now();
  in.activate.last_active = clock.now() + 1us;
  in.desired.status = 5;
  in.desired.ready = 3;
  in.desired.max = 12;
  in.desired.step_limit = true;
  in.desired.up = ScalingRules{.stabilization_window = {},
                               .select = {},
                               .policies = {{PolicyType::Percent, 50, 30s}},
                               .tolerance = 0.25};
  in.desired.readings = {
      Reading{.name = "a",
              .source = "metrics-api",
              .metric = "s0-a",
              .target_milli = 1500,
              .value = 17.25,
              .value_milli = 17'250,
              .active = true,
              .age = 2s,
              .error = {}},
      Reading{.name = "b",
              .source = "cron",
              .metric = "s1-b",
              .type = MetricType::Value,
              .target_milli = 1000,
              .value = std::numeric_limits<double>::infinity(),
              .value_milli = std::numeric_limits<std::int64_t>::max(),
              .age = 1s,
              .error = {}},
      Reading{.name = "c", .source = "jobs", .metric = {}, .age = 90s, .error = "refused"}};
  in.desired.recommendations = {{clock.now(), 6}, {in.at, 4}};
  in.desired.events = {{clock.now(), -2}};
  in.draining = 1;
  in.busy = 2;
  return in;
}

// Through text, as a record is kept.
template <class T>
Node kept(const T& value) {
  auto node = parse_json(to_json(to_document(value)));
  REQUIRE(node);
  return *std::move(node);
}

LedgerRecord record(const ExecutionsInput& in) {
  ExecutionsDecision decision = decide_executions(in);
  decision.id = "1-1";
  return to_record("ContainerJob/shop/import", decision);
}

ExecutionsInput bound(std::int64_t ready, std::int64_t unfinished, std::int64_t max = 10) {
  ExecutionsInput in;
  in.max = max;
  in.unfinished = unfinished;
  in.bound = {{.name = "orders", .ready = ready, .reserved = 0}};
  return in;
}

}  // namespace

TEST_CASE("ledger: the inputs of a decision survive being kept, in every detail") {
  const DecisionInput in = full_input();
  const auto back = decision_input_from(kept(in));
  REQUIRE(back);
  CHECK(to_json(to_document(*back)) == to_json(to_document(in)));
  CHECK(back->desired.readings[1].value_milli == in.desired.readings[1].value_milli);
  CHECK_FALSE(back->desired.up->stabilization_window);
  CHECK_FALSE(back->desired.down);
  CHECK(back->activate.last_active == in.activate.last_active);
}

TEST_CASE("ledger: a kept decision is decided again with the same result") {
  DecisionInput in = full_input();
  for (const bool by_hand : {false, true}) {
    CAPTURE(by_hand);
    if (by_hand) in.set_to = 7;
    Decision decision = decide(in);
    decision.id = "18c-7";
    decision.target = "mail";
    decision.repeated = 3;
    const auto back = decision_from(kept(decision));
    REQUIRE(back);
    CHECK(to_json(to_document(*back)) == to_json(to_document(decision)));
  }
}

TEST_CASE("ledger: a record that was damaged is refused") {
  Node document = kept(decide(full_input()));
  document.find("inputs")->find("desired")->set("max", Node::string("twelve"));
  CHECK_FALSE(decision_from(document));
  CHECK_FALSE(decision_from(Node::object()));
}

TEST_CASE("ledger: what starts executions is kept with all that it looked at") {
  ExecutionsInput keda;
  keda.semantics = JobSemantics::Keda;
  keda.max = 10;
  keda.strategy = JobStrategy::Custom;
  keda.combination = JobCombination::Sum;
  keda.deduction = 1;
  keda.percentage = "0.5";
  keda.triggers = {{"orders", "azure-servicebus", 7.5, 2, true, ""},
                   {"mail", "metrics-api", 0, 1, false, "refused"}};
  ExecutionsInput suspended = bound(5, 1);
  suspended.suspended = true;
  for (const ExecutionsInput& in : {bound(5, 1), keda, suspended}) {
    const LedgerRecord kept = record(in);
    const auto document = parse_json(kept.document);
    REQUIRE(document);
    const auto back = executions_input_from(*document->find("inputs"));
    REQUIRE(back);
    CHECK(record(*back).document == kept.document);
  }
}

TEST_CASE("ledger: executions that start are a record each; what only says the same is none") {
  const LedgerRecord full = record(bound(3, 10));
  CHECK(full.kind == "blocked");
  CHECK(full.rule == "max-executions");
  CHECK(full.from == 10);
  CHECK(full.to == 10);
  CHECK(same_record(full, record(bound(4, 10))));
  const LedgerRecord more = record(bound(4, 9));
  CHECK(more.kind == "up");
  CHECK(more.to == 10);
  CHECK_FALSE(same_record(full, more));
  CHECK_FALSE(same_record(record(bound(0, 1)), record(bound(0, 0))));
}

TEST_CASE("autoscaler: a number set by hand is a decision, and the rules go on from there") {
  AutoscalerRig rig;
  rig.spec.polling_interval = 30s;
  rig.spec.cooldown_period = 300s;
  rig.spec.max_replicas = 10;
  rig.put({AutoscalerRig::per_replica(8)});
  rig.ready(0);
  rig.answer(0, 0);
  rig.autoscaler.set(rig.spec.key, 3);
  rig.tick();
  REQUIRE(rig.wanted == 3);
  CHECK(rig.records.back().kind == DecisionKind::Manual);
  CHECK(rig.records.back().sentence == "from 0 to 3: set by hand");
  rig.ready(3);
  rig.pass_answering(290s, 0);
  CHECK(rig.wanted == 3);  // as if it had been active: the cooldown holds it
  rig.pass_answering(60s, 0);
  CHECK(rig.wanted == 0);
}

TEST_CASE("autoscaler: after a restart the last record goes on when nothing else is to be said") {
  AutoscalerRig before;
  before.put({AutoscalerRig::per_replica(8)});
  before.ready(0);
  before.answer(0, 0);
  REQUIRE(before.records.size() == 1);

  AutoscalerRig after;
  after.autoscaler.put(after.spec,
                       {.generation = 1,
                        .created = after.clock.now(),
                        .last_active = {},
                        .latest = before.latest(),
                        .change = {}},
                       {AutoscalerRig::per_replica(8)}, after.clock.now());
  after.tick();
  after.ready(0);
  CHECK(after.autoscaler.latest(after.spec.key) == nullptr);  // nothing was seen yet
  after.answer(0, 0);
  CHECK(after.records.empty());
  CHECK(after.latest().id == before.latest().id);
  CHECK(after.latest().repeated == before.latest().repeated + 1);
}

}  // namespace jobmill::scale
