// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "base/duration.h"
#include "scale/decision.h"

namespace jobmill::scale {
namespace {

// Reads our own records. A member that is missing or null leaves its variable as it is; one of
// another type makes the whole record unreadable.
class Reader {
 public:
  Reader(const Node& node, bool& broken) : node_(node), broken_(broken) {
    if (!node.is_object()) broken_ = true;
  }

  const Node* find(std::string_view key) const {
    const Node* found = node_.find(key);
    return found == nullptr || found->is_null() ? nullptr : found;
  }

  Reader in(std::string_view key) const {
    static const Node none;
    const Node* found = find(key);
    return {found != nullptr ? *found : none, broken_};
  }

  template <class T>
  void get(std::string_view key, std::optional<T>& out) const {
    if (find(key) == nullptr) return;
    out.emplace();
    get(key, *out);
  }

  void get(std::string_view key, bool& out) const { take(key, &Node::as_bool, out); }
  void get(std::string_view key, std::int64_t& out) const { take(key, &Node::as_int, out); }
  void get(std::string_view key, double& out) const { take(key, &Node::as_double, out); }

  void get(std::string_view key, int& out) const {
    std::int64_t wide = out;
    get(key, wide);
    out = static_cast<int>(wide);
  }

  void get(std::string_view key, std::string& out) const {
    std::optional<std::string_view> text;
    if (const Node* found = find(key)) text = found->as_string(), broken_ |= !text;
    if (text) out = *text;
  }

  void get(std::string_view key, TimePoint& out) const {
    std::string text;
    get(key, text);
    if (text.empty()) return;
    const auto at = parse_instant(text);
    broken_ |= !at;
    if (at) out = *at;
  }

  // In milliseconds.
  void get(std::string_view key, Duration& out) const {
    std::int64_t count = 0;
    get(key, count);
    if (find(key) != nullptr) out = std::chrono::milliseconds(count);
  }

  void get(std::string_view key, SelectPolicy& out) const {
    std::string name;
    get(key, name);
    out = name == "Min"        ? SelectPolicy::Min
          : name == "Disabled" ? SelectPolicy::Disabled
                               : SelectPolicy::Max;
  }

  template <class Each>
  void each(std::string_view key, Each take_item) const {
    const Node* found = find(key);
    if (found == nullptr) return;
    for (const Node& item : found->items) take_item(Reader(item, broken_));
  }

 private:
  template <class As, class T>
  void take(std::string_view key, As as, T& out) const {
    const Node* found = find(key);
    if (found == nullptr) return;
    const auto value = (found->*as)();
    broken_ |= !value;
    if (value) out = *value;
  }

  const Node& node_;
  bool& broken_;
};

ScalingPolicy policy_from(const Reader& in) {
  ScalingPolicy out;
  std::string type;
  in.get("type", type);
  out.type = type == "Percent" ? PolicyType::Percent : PolicyType::Pods;
  in.get("value", out.value);
  in.get("periodMs", out.period);
  return out;
}

void rules_from(const Reader& in, std::string_view key, std::optional<ScalingRules>& out) {
  if (in.find(key) == nullptr) return;
  const Reader rules = in.in(key);
  out.emplace();
  rules.get("windowMs", out->stabilization_window);
  rules.get("select", out->select);
  rules.get("tolerance", out->tolerance);
  rules.each("policies", [&](const Reader& one) { out->policies.push_back(policy_from(one)); });
}

Reading reading_from(const Reader& in) {
  Reading out;
  std::string type;
  in.get("name", out.name);
  in.get("type", out.source);
  in.get("metric", out.metric);
  in.get("metricType", type);
  out.type = type == "Value" ? MetricType::Value : MetricType::AverageValue;
  in.get("error", out.error);
  // What is no number is written as null.
  if (out.error.empty()) out.value = std::numeric_limits<double>::quiet_NaN();
  in.get("value", out.value);
  in.get("valueMilli", out.value_milli);
  double target = 0;
  in.get("target", target);
  out.target_milli = std::llround(target * 1000);
  in.get("active", out.active);
  in.get("ageMs", out.age);
  return out;
}

ActivateInput activate_from(const Reader& in, TimePoint at) {
  ActivateInput out;
  out.now = at;
  in.get("current", out.current);
  in.get("min", out.min);
  in.get("idle", out.idle);
  in.get("active", out.active);
  in.get("error", out.error);
  in.get("fallback", out.fallback);
  in.get("paused", out.paused);
  in.get("pausedScaleIn", out.paused_scale_in);
  in.get("pausedScaleOut", out.paused_scale_out);
  in.get("forced", out.forced);
  in.get("cooldownMs", out.cooldown);
  in.get("initialCooldownMs", out.initial_cooldown);
  in.get("created", out.created);
  in.get("lastActive", out.last_active);
  return out;
}

DesiredInput desired_from(const Reader& in, TimePoint at) {
  DesiredInput out;
  out.now = at;
  in.get("current", out.current);
  in.get("status", out.status);
  in.get("ready", out.ready);
  in.get("min", out.min);
  in.get("max", out.max);
  in.get("tolerance", out.tolerance);
  in.get("stepLimit", out.step_limit);
  in.get("windowRaises", out.window_raises);
  in.get("downWindowMs", out.down_window);
  rules_from(in, "up", out.up);
  rules_from(in, "down", out.down);
  in.get("upDisabled", out.up_disabled);
  in.get("downDisabled", out.down_disabled);
  in.each("readings", [&](const Reader& one) { out.readings.push_back(reading_from(one)); });
  in.each("recommendations", [&](const Reader& one) {
    Recommendation& recommendation = out.recommendations.emplace_back();
    one.get("replicas", recommendation.replicas);
    one.get("until", recommendation.until);
  });
  in.each("events", [&](const Reader& one) {
    ScaleEvent& event = out.events.emplace_back();
    one.get("at", event.at);
    one.get("change", event.change);
  });
  return out;
}

DecisionInput input_from(const Reader& in) {
  DecisionInput out;
  std::string semantics;
  in.get("at", out.at);
  in.get("generation", out.generation);
  in.get("semantics", semantics);
  out.semantics = semantics == "keda" ? Semantics::Keda : Semantics::Direct;
  in.get("runActivate", out.run_activate);
  in.get("runDesired", out.run_desired);
  out.activate = activate_from(in.in("activate"), out.at);
  out.desired = desired_from(in.in("desired"), out.at);
  in.get("pauseAt", out.pause_at);
  in.get("setTo", out.set_to);
  in.get("busy", out.busy);
  in.get("draining", out.draining);
  return out;
}

Fault unreadable() { return fail(Code::Internal, "a kept decision cannot be read"); }

}  // namespace

Result<DecisionInput> decision_input_from(const Node& document) {
  bool broken = false;
  DecisionInput input = input_from({document, broken});
  if (broken) return unreadable();
  return input;
}

Result<Decision> decision_from(const Node& document) {
  const Node* inputs = document.find("inputs");
  if (inputs == nullptr) return unreadable();
  TRY(const DecisionInput input, decision_input_from(*inputs));
  Decision out = decide(input);
  bool broken = false;
  const Reader in(document, broken);
  in.get("id", out.id);
  in.get("target", out.target);
  in.get("at", out.at);
  in.get("until", out.until);
  in.get("repeated", out.repeated);
  in.get("nextCheck", out.next_check);
  if (broken) return unreadable();
  return out;
}

}  // namespace jobmill::scale
