// SPDX-License-Identifier: Apache-2.0
#include "scale/explain.h"

#include <doctest/doctest.h>

#include "scale/autoscaler_rig.h"

namespace jobmill::scale {
namespace {

using namespace std::chrono_literals;
using Rig = AutoscalerRig;

// The walkthrough's object two minutes after its 40 jobs were scheduled: five full workers.
void five_full(Rig& rig) {
  rig.spec.min_replicas = 0;
  rig.spec.max_replicas = 10;
  rig.put(Rig::walkthrough());
  rig.ready(0);
  rig.answer(0, 0, true);
  rig.answer(2, 0, true);
  rig.answer(1, 40, true);
  rig.report({5, {.starting = 0, .ready = 5}, 5});
  rig.pass(30s);
  rig.answer(2, 12, true);
  rig.answer(1, 0, true);
  rig.answer(0, 1.0, true);
}

std::string page(const Rig& rig) {
  return explain(rig.latest(), rig.autoscaler.last_change(rig.spec.key), rig.clock.now());
}

constexpr char kWhySeven[] =
    R"(jobrunr-scaling: 7 replicas wanted (5 ready, 2 starting, 5 busy, 0 draining)

  2024-01-01 00:00:30 UTC, 3 s ago (up)
    from 5 to 7: s0-metric-api-usage asks for 7: 1 / 0.8 = 1.25; x 5 ready = 6.25, rounded up to 7

  TRIGGER                VALUE  PER REPLICA  TARGET  ACTIVE  READ     ASKS FOR  BECAUSE
  s0-metric-api-usage    1      -            0.8     yes     3 s ago  7 *       1 / 0.8 = 1.25; x 5 ready = 6.25, rounded up to 7
  s1-metric-api-count    0      0            8 each  no      3 s ago  0         0 / 8 per replica = 0
  s2-metric-api-latency  12     -            300000  yes     3 s ago  1         12 / 300000 = 0; x 5 ready = 0, rounded up to 1

  limited by         none
  replicas           0 to 10
  tolerance          0.1
  scale-up window    none
  scale-up policy    no limit
  scale-down window  300 s, highest proposal in it 7 at 00:00:30
  scale-down policy  no limit
  cooldown           300 s, starts when nothing is active
  in flight          5 busy, 0 draining; work is never interrupted to scale in
  decided            2 times since 00:00:30 UTC, last at 00:00:30, with the same result
  next check         when a trigger, a replica or the object changes
  semantics          direct
  generation         1
  inputs             )";

}  // namespace

TEST_CASE("explain: answers why there are seven on one page") {
  Rig rig;
  five_full(rig);
  rig.report({7, {.starting = 2, .ready = 5}, 5});
  rig.clock.advance(3s);
  CHECK(page(rig) == kWhySeven + rig.latest().inputs_hash + "\n");
}

TEST_CASE("explain: tells what holds a size that nothing asks for") {
  Rig rig;
  five_full(rig);
  rig.report({7, {.starting = 0, .ready = 7}, 7});
  rig.pass(10s);
  rig.answer(2, 0, true);
  rig.answer(0, 0.2, true);
  const std::string text = page(rig);
  CAPTURE(text);
  CHECK(
      text.find("now (blocked)\n    stays at 9: scale-down window 300 s, highest proposal in it 9 "
                "at 00:00:40") != std::string::npos);
  CHECK(text.find("limited by         scale-down-window; without it: 2 replicas") !=
        std::string::npos);
}

TEST_CASE("explain: a trigger that cannot be read is unknown, not zero") {
  Rig rig;
  rig.put({Rig::per_replica(8)});
  rig.ready(2);
  rig.fail_twice(0, "connection refused");
  const std::string text = page(rig);
  CAPTURE(text);
  CHECK(
      text.find("stays at 2: s0-metric-api-count cannot be read (connection refused), so replicas "
                "do not go down") != std::string::npos);
  CHECK(text.find("unknown") != std::string::npos);
  CHECK(text.find("no vote") != std::string::npos);
}

TEST_CASE("explain: the sentence names the rule that limits") {
  Rig rig;
  rig.spec.max_replicas = 10;
  rig.put({Rig::per_replica(8)});
  rig.ready(0);
  rig.answer(0, 0);
  CHECK(rig.latest().sentence == "stays at 0: no trigger is active");
  rig.pass(30s);
  rig.answer(0, 90);
  CHECK(rig.latest().sentence ==
        "from 0 to 10: maxReplicaCount 10; s0-metric-api-count asks for 12: 90 / 8 per replica = "
        "11.25, rounded up to 12");
  rig.ready(10);
  rig.pass_answering(30s, 76);
  CHECK(rig.latest().sentence ==
        "stays at 10: s0-metric-api-count asks for 10: 76 / (8 x 10) = 0.95, within the tolerance: "
        "stays 10");
  rig.pass_answering(600s, 1);
  CHECK(rig.latest().sentence ==
        "stays at 1: s0-metric-api-count asks for 1: 1 / 8 per replica = 0.125, rounded up to 1");
}

TEST_CASE("explain: below its activation threshold a value is named, not ignored") {
  Rig rig;
  rig.put({Rig::per_replica(8)});
  rig.ready(0);
  rig.answer(0, Sample{20, false});
  CHECK(rig.latest().kind == DecisionKind::Blocked);
  CHECK(rig.latest().counterfactual->replicas == 3);
  CHECK(rig.latest().sentence ==
        "stays at 0: no trigger is above its activation threshold (s0-metric-api-count is 20)");
}

TEST_CASE("decision: the document names what the dashboard shows") {
  Rig rig;
  five_full(rig);
  const Node document = to_document(rig.latest());
  const auto text = [&](const char* key) { return to_json(*document.find(key)); };
  CHECK(text("kind") == "\"up\"");
  CHECK(text("from") == "5");
  CHECK(text("to") == "7");
  CHECK(text("limitingRule") == "\"none\"");
  CHECK(text("counterfactual") == "null");
  CHECK(text("caps") == R"({"min":0,"max":10})");
  CHECK(text("inFlightGuard") == R"({"busy":5,"draining":0})");
  CHECK(text("at") == "\"2024-01-01T00:00:30Z\"");
  CHECK(document.find("triggers")->items.size() == 3);
  const Node& usage = document.find("triggers")->items[0];
  CHECK(to_json(usage) ==
        R"({"name":"s0-metric-api-usage","type":"metrics-api","metric":"s0-metric-api-usage",)"
        R"("metricType":"Value","value":1,"target":0.8,"active":true,"ageMs":0,)"
        R"("perReplica":null,"ratio":1.25,"proposal":7})");
  for (const char* key :
       {"id", "target", "tolerance", "window", "policies", "sentence", "inputsHash", "cur", "ready",
        "semantics", "nextCheck", "generation", "repeated", "until", "inputs"})
    CHECK(document.find(key));
}

TEST_CASE("decision: a value that JSON cannot hold is null") {
  Rig rig;
  rig.put({Rig::per_replica(8)});
  rig.ready(0);
  rig.answer(0, Sample{std::numeric_limits<double>::quiet_NaN(), false});
  CHECK(to_json(to_document(rig.latest())).find("\"value\":null") != std::string::npos);
}

}  // namespace jobmill::scale
