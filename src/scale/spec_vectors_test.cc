// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "scale/spec.h"
#include "vectors.h"

using namespace jobmill::scale;
using jobmill::Node;
namespace testing = jobmill::testing;

namespace {

std::optional<int> integer(const Node& node, std::string_view key) {
  if (!testing::has(node, key)) return std::nullopt;
  return static_cast<int>(testing::number(node, key));
}

// "type|name|cached", the later parts optional
Trigger trigger_of(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == '|') parts.emplace_back();
    if (c != '|') parts.back() += c;
  }
  Trigger trigger;
  trigger.type = parts[0];
  if (parts.size() > 1) trigger.name = parts[1];
  trigger.use_cached_metrics = parts.size() > 2 && parts[2] == "cached";
  return trigger;
}

}  // namespace

TEST_CASE("spec: what annotations ask for") {
  for (const Node& vector : testing::vectors("autoscaler/annotations.json")) {
    CAPTURE(testing::text(vector, "id"));
    jobmill::manifest::Texts annotations;
    for (const auto& member : testing::member(testing::member(vector, "in"), "annotations").members)
      annotations[member.key] = member.value.text;
    const Node& expect = testing::member(vector, "expect");
    const Pause pause = read_pause(annotations);
    CHECK(pause.paused == testing::flag(expect, "paused"));
    CHECK(pause.has_paused == testing::flag(expect, "hasPaused"));
    CHECK(pause.in == testing::flag(expect, "pauseIn"));
    CHECK(pause.out == testing::flag(expect, "pauseOut"));
    CHECK(pause.force == testing::flag(expect, "force"));
    CHECK(pause.replicas == integer(expect, "pausedReplicas"));
    CHECK(pause.replicas_error == testing::flag(expect, "pausedReplicasError"));
  }
}

TEST_CASE("spec: replica bounds") {
  for (const Node& vector : testing::vectors("autoscaler/scaledobject_bounds.json")) {
    CAPTURE(testing::text(vector, "id"));
    const Node& in = testing::member(vector, "in");
    const Node& expect = testing::member(vector, "expect");
    ScaledObjectSpec spec;
    spec.min_replicas = integer(in, "min");
    spec.max_replicas = integer(in, "max");
    spec.idle_replicas = integer(in, "idle");
    const auto status =
        check_replica_bounds(spec.min_replicas, spec.max_replicas, spec.idle_replicas);
    CHECK(static_cast<bool>(status) == testing::flag(expect, "ok"));
    CHECK(spec.hpa_min() == integer(expect, "hpaMin"));
    CHECK(spec.max() == integer(expect, "hpaMax"));
  }
}

TEST_CASE("spec: sets of triggers") {
  for (const Node& vector : testing::vectors("autoscaler/triggers_validate.json")) {
    CAPTURE(testing::text(vector, "id"));
    std::vector<Trigger> triggers;
    for (const Node& item : testing::member(testing::member(vector, "in"), "triggers").items)
      triggers.push_back(trigger_of(item.text));
    const Node& expect = testing::member(vector, "expect");
    CHECK(static_cast<bool>(check_triggers(triggers)) == testing::flag(expect, "ok"));
    CHECK(trigger_types(triggers) == testing::text(expect, "triggersTypes"));
  }
}
