// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "base/duration.h"
#include "scale/decision.h"

namespace jobmill::scale {
namespace {

// JSON has no infinities; they are told as null.
Node number(std::optional<double> value) {
  return value && std::isfinite(*value) ? Node::number(*value) : Node{};
}

Node integer(std::optional<int> value) { return value ? Node::integer(*value) : Node{}; }

Node instant(std::optional<TimePoint> at) {
  return at ? Node::string(format_instant(*at)) : Node{};
}

Node milliseconds(Duration duration) {
  return Node::integer(std::chrono::floor<std::chrono::milliseconds>(duration).count());
}

Node thousandths(std::int64_t milli) { return Node::number(static_cast<double>(milli) / 1000); }

std::string_view name_of(MetricType type) {
  return type == MetricType::Value ? "Value" : "AverageValue";
}

std::string_view name_of(Semantics semantics) {
  return semantics == Semantics::Keda ? "keda" : "direct";
}

std::string_view name_of(SelectPolicy select) {
  switch (select) {
    case SelectPolicy::Max:
      return "Max";
    case SelectPolicy::Min:
      return "Min";
    case SelectPolicy::Disabled:
      break;
  }
  return "Disabled";
}

Node policy_document(const ScalingPolicy& policy) {
  Node out = Node::object();
  out.set("type", Node::string(policy.type == PolicyType::Pods ? "Pods" : "Percent"));
  out.set("value", Node::integer(policy.value));
  out.set("periodMs", milliseconds(policy.period));
  return out;
}

// Null: the direction is not limited.
Node rules_document(const std::optional<ScalingRules>& rules) {
  if (!rules) return {};
  Node policies = Node::array();
  for (const ScalingPolicy& policy : rules->policies) policies.push(policy_document(policy));
  Node out = Node::object();
  const auto& window = rules->stabilization_window;
  out.set("windowMs", window ? milliseconds(*window) : Node{});
  out.set("select", rules->select ? Node::string(name_of(*rules->select)) : Node{});
  out.set("tolerance", number(rules->tolerance));
  out.set("policies", std::move(policies));
  return out;
}

Node recommendations_document(const DesiredInput& in) {
  Node out = Node::array();
  for (const Recommendation& recommendation : in.recommendations) {
    Node& item = out.items.emplace_back(Node::object());
    item.set("replicas", Node::integer(recommendation.replicas));
    item.set("until", instant(recommendation.until));
  }
  return out;
}

Node events_document(const DesiredInput& in) {
  Node out = Node::array();
  for (const ScaleEvent& event : in.events) {
    Node& item = out.items.emplace_back(Node::object());
    item.set("at", instant(event.at));
    item.set("change", Node::integer(event.change));
  }
  return out;
}

Node reading_document(const Reading& reading) {
  Node out = Node::object();
  out.set("name", Node::string(reading.name));
  out.set("type", Node::string(reading.source));
  out.set("metric", Node::string(reading.metric));
  out.set("metricType", Node::string(name_of(reading.type)));
  const bool good = reading.error.empty();
  out.set("value", good ? number(reading.value) : Node{});
  out.set("target", thousandths(reading.target_milli));
  out.set("active", Node::boolean(reading.active));
  out.set("ageMs", milliseconds(reading.age));
  if (!good) out.set("error", Node::string(reading.error));
  return out;
}

Node trigger_document(const Decision::Trigger& trigger) {
  Node out = reading_document(trigger.reading);
  out.set("perReplica", number(trigger.per_replica));
  out.set("ratio", number(trigger.ratio));
  out.set("proposal", integer(trigger.proposal));
  return out;
}

Node activate_document(const ActivateInput& in) {
  Node out = Node::object();
  out.set("current", Node::integer(in.current));
  out.set("min", integer(in.min));
  out.set("idle", integer(in.idle));
  out.set("active", Node::boolean(in.active));
  out.set("error", Node::boolean(in.error));
  out.set("fallback", integer(in.fallback));
  out.set("paused", Node::boolean(in.paused));
  out.set("pausedScaleIn", Node::boolean(in.paused_scale_in));
  out.set("pausedScaleOut", Node::boolean(in.paused_scale_out));
  out.set("forced", Node::boolean(in.forced));
  out.set("cooldownMs", milliseconds(in.cooldown));
  out.set("initialCooldownMs", milliseconds(in.initial_cooldown));
  out.set("created", instant(in.created));
  out.set("lastActive", instant(in.last_active));
  return out;
}

Node desired_document(const DesiredInput& in) {
  Node readings = Node::array();
  for (const Reading& reading : in.readings) {
    readings.push(reading_document(reading));
    // The arithmetic's own number: what was seen may be too large, or no number at all.
    readings.items.back().set("valueMilli", Node::integer(reading.value_milli));
  }
  Node out = Node::object();
  out.set("current", Node::integer(in.current));
  out.set("status", Node::integer(in.status));
  out.set("ready", Node::integer(in.ready));
  out.set("min", Node::integer(in.min));
  out.set("max", Node::integer(in.max));
  out.set("tolerance", number(in.tolerance));
  out.set("stepLimit", Node::boolean(in.step_limit));
  out.set("windowRaises", Node::boolean(in.window_raises));
  out.set("downWindowMs", milliseconds(in.down_window));
  out.set("up", rules_document(in.up));
  out.set("down", rules_document(in.down));
  out.set("upDisabled", Node::boolean(in.up_disabled));
  out.set("downDisabled", Node::boolean(in.down_disabled));
  out.set("readings", std::move(readings));
  out.set("recommendations", recommendations_document(in));
  out.set("events", events_document(in));
  return out;
}

Node window_document(const DesiredInput& in) {
  const auto window = [](const std::optional<ScalingRules>& rules, Duration fallback) {
    return milliseconds(rules ? rules->stabilization_window.value_or(fallback) : fallback);
  };
  Node out = Node::object();
  out.set("upMs", window(in.up, Duration{}));
  out.set("downMs", window(in.down, in.down_window));
  out.set("recommendations", recommendations_document(in));
  return out;
}

Node policies_document(const DesiredInput& in) {
  Node out = Node::object();
  out.set("up", rules_document(in.up));
  out.set("down", rules_document(in.down));
  return out;
}

Node caps_document(const Decision& decision) {
  Node out = Node::object();
  out.set("min", Node::integer(decision.input.activate.min.value_or(0)));
  out.set("max", Node::integer(decision.input.desired.max));
  return out;
}

Node in_flight_document(const DecisionInput& in) {
  Node out = Node::object();
  out.set("busy", Node::integer(in.busy));
  out.set("draining", Node::integer(in.draining));
  return out;
}

Node counterfactual_document(const std::optional<Decision::Counterfactual>& counterfactual) {
  if (!counterfactual) return {};
  Node out = Node::object();
  out.set("rule", Node::string(to_string(counterfactual->rule)));
  out.set("replicas", Node::integer(counterfactual->replicas));
  return out;
}

}  // namespace

Node to_document(const DecisionInput& input) {
  Node out = Node::object();
  out.set("at", instant(input.at));
  out.set("generation", Node::integer(input.generation));
  out.set("semantics", Node::string(name_of(input.semantics)));
  out.set("runActivate", Node::boolean(input.run_activate));
  out.set("runDesired", Node::boolean(input.run_desired));
  out.set("activate", activate_document(input.activate));
  out.set("desired", desired_document(input.desired));
  out.set("pauseAt", integer(input.pause_at));
  out.set("setTo", integer(input.set_to));
  out.set("busy", Node::integer(input.busy));
  out.set("draining", Node::integer(input.draining));
  return out;
}

Node to_document(const Decision& decision) {
  Node triggers = Node::array();
  for (const auto& trigger : decision.triggers) triggers.push(trigger_document(trigger));
  const DesiredInput& seen = decision.input.desired;
  Node out = Node::object();
  out.set("id", Node::string(decision.id));
  out.set("at", instant(decision.at));
  out.set("target", Node::string(decision.target));
  out.set("kind", Node::string(to_string(decision.kind)));
  out.set("from", Node::integer(decision.from));
  out.set("to", Node::integer(decision.to));
  out.set("triggers", std::move(triggers));
  out.set("tolerance", number(seen.tolerance));
  out.set("window", window_document(seen));
  out.set("policies", policies_document(seen));
  out.set("caps", caps_document(decision));
  out.set("inFlightGuard", in_flight_document(decision.input));
  out.set("limitingRule", Node::string(to_string(decision.limiting_rule)));
  out.set("sentence", Node::string(decision.sentence));
  out.set("counterfactual", counterfactual_document(decision.counterfactual));
  out.set("inputsHash", Node::string(decision.inputs_hash));
  out.set("cur", Node::integer(seen.current));
  out.set("ready", Node::integer(seen.ready));
  out.set("semantics", Node::string(name_of(decision.input.semantics)));
  out.set("nextCheck", instant(decision.next_check));
  out.set("generation", Node::integer(decision.input.generation));
  out.set("repeated", Node::integer(decision.repeated));
  out.set("until", instant(decision.until));
  out.set("inputs", to_document(decision.input));
  return out;
}

}  // namespace jobmill::scale
