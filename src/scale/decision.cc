// SPDX-License-Identifier: Apache-2.0
#include "scale/decision.h"

#include <algorithm>

#include <fmt/format.h>

#include "scale/explain.h"

namespace jobmill::scale {
namespace {

struct Outcome {
  int replicas = 0;
  Rule rule = Rule::None;
  Activation activation;
  std::optional<int> recommendation{};
  std::optional<TimePoint> next_check{};
};

bool on(const DecisionInput& in) { return in.activate.active || in.activate.forced; }

// Straight from zero: the arithmetic goes on, in the same evaluation, from the size that
// activation alone would set. Nothing older counts.
DesiredInput entering(const DecisionInput& in, int first) {
  DesiredInput out = in.desired;
  out.current = out.status = out.ready = first;
  out.recommendations = {{in.at, first}};
  out.events.clear();
  return out;
}

bool goes_on(const DecisionInput& in, const Activation& activation) {
  return activation.step == Activation::Step::Activate && in.run_desired && in.activate.active;
}

Outcome enter(const DecisionInput& in, const Activation& activation, Rule without) {
  const int first = *activation.replicas;
  Outcome out{first, first > 1 ? Rule::Min : Rule::None, activation};
  if (!goes_on(in, activation)) return out;

  const Desired more = desired(entering(in, first), without);
  out.replicas = std::max(first, more.replicas);
  out.rule = more.rule;
  out.recommendation = more.recommendation;
  out.next_check = more.next_check;
  return out;
}

// At rest the arithmetic is off: at zero, and at idleReplicaCount while nothing is active.
bool at_rest(const DecisionInput& in) {
  const int current = in.activate.current;
  return current == 0 || (in.activate.idle && !on(in) && current <= *in.activate.idle);
}

Rule why_at_rest(const DecisionInput& in, const Activation& activation) {
  if (activation.rule != Rule::None) return activation.rule;
  return in.activate.error ? Rule::TriggerFailed : Rule::NotActive;
}

// A size that only its floor holds is held by what forbids to leave it: the cooldown, say.
bool only_floor(Rule rule) {
  return rule == Rule::None || rule == Rule::Min || rule == Rule::Tolerance;
}

Outcome stay(const DecisionInput& in, const Activation& activation, Rule without) {
  Outcome out{in.activate.current, activation.rule, activation};
  out.next_check = activation.next_check;
  if (at_rest(in)) {
    out.rule = why_at_rest(in, activation);
    return out;
  }
  if (!in.run_desired) return out;

  const Desired wanted = desired(in.desired, without);
  out.replicas = wanted.replicas;
  out.recommendation = wanted.recommendation;
  if (activation.rule == Rule::None || !only_floor(wanted.rule)) out.rule = wanted.rule;
  if (wanted.next_check)
    out.next_check = std::min(out.next_check.value_or(*wanted.next_check), *wanted.next_check);
  return out;
}

Outcome paused(const DecisionInput& in) {
  return {in.pause_at.value_or(in.activate.current), Rule::Paused, activate(in.activate)};
}

Outcome by_hand(int replicas) {
  Outcome out{replicas, Rule::Manual, {}};
  if (replicas > 0) out.recommendation = replicas;  // so that the windows keep it for a while
  return out;
}

Outcome run(const DecisionInput& in, Rule without) {
  if (in.set_to) return by_hand(*in.set_to);
  if (in.activate.paused) return paused(in);
  const Activation activation = in.run_activate ? activate(in.activate) : Activation{};
  switch (activation.step) {
    case Activation::Step::Activate:
      return enter(in, activation, without);
    case Activation::Step::ScaleIn:
      return {*activation.replicas, Rule::NotActive, activation};
    case Activation::Step::RaiseToMin:
      return {*activation.replicas, Rule::Min, activation};
    default:
      return stay(in, activation, without);
  }
}

// The same input in a world without the rule, as far as activate() knows it.
DecisionInput lift(DecisionInput in, Rule rule) {
  ActivateInput& activate = in.activate;
  switch (rule) {
    case Rule::NotActive:
      activate.active = true;
      break;
    case Rule::Min:
      activate.min = 0;
      break;
    case Rule::Cooldown:
    case Rule::InitialCooldown:
      activate.last_active.reset();
      activate.created = in.at - activate.initial_cooldown - Duration(1);
      break;
    case Rule::PausedScaleIn:
      activate.paused_scale_in = in.desired.down_disabled = false;
      break;
    case Rule::PausedScaleOut:
      activate.paused_scale_out = in.desired.up_disabled = false;
      break;
    case Rule::TriggerFailed:
      activate.error = false;
      break;
    default:
      break;
  }
  return in;
}

std::optional<Decision::Counterfactual> counterfactual(const DecisionInput& in, Rule rule) {
  if (rule == Rule::None || rule == Rule::Paused || rule == Rule::Manual) return std::nullopt;
  return Decision::Counterfactual{rule, run(lift(in, rule), rule).replicas};
}

bool asks_for_something(const DecisionInput& in) {
  return std::any_of(in.desired.readings.begin(), in.desired.readings.end(),
                     [](const Reading& r) { return !failed(r) && r.value_milli > 0; });
}

DecisionKind kind_of_change(const Decision& d) {
  if (d.to == 0) return DecisionKind::Zero;
  if (d.from == 0 || d.activation.step == Activation::Step::Activate) return DecisionKind::Activate;
  return d.to > d.from ? DecisionKind::Up : DecisionKind::Down;
}

DecisionKind kind_of(const Decision& d) {
  if (d.input.set_to) return DecisionKind::Manual;
  if (d.input.activate.paused) return DecisionKind::Paused;
  if (d.from != d.to) return kind_of_change(d);
  switch (d.limiting_rule) {
    case Rule::PausedScaleIn:
    case Rule::PausedScaleOut:
      return DecisionKind::Paused;
    case Rule::TriggerFailed:
      return DecisionKind::Error;
    case Rule::NotActive:
      return d.to == 0 && !asks_for_something(d.input) ? DecisionKind::Zero : DecisionKind::Blocked;
    default:
      return d.counterfactual && d.counterfactual->replicas != d.to ? DecisionKind::Blocked
                                                                    : DecisionKind::Steady;
  }
}

Decision::Trigger trigger_of(const Reading& reading, const DesiredInput& in) {
  Decision::Trigger out;
  out.reading = reading;
  if (!reading.error.empty()) return out;
  if (reading.type == MetricType::AverageValue && in.status > 0)
    out.per_replica = reading.value / in.status;
  if (const auto proposal = propose(reading, in)) {
    out.ratio = proposal->ratio;
    out.proposal = proposal->replicas;
  }
  return out;
}

std::vector<Decision::Trigger> triggers_of(const DecisionInput& in, const Activation& activation) {
  const DesiredInput seen =
      goes_on(in, activation) ? entering(in, *activation.replicas) : in.desired;
  std::vector<Decision::Trigger> out;
  for (const Reading& reading : seen.readings) out.push_back(trigger_of(reading, seen));
  return out;
}

// FNV-1a: tells inputs apart; it is no seal.
std::string hash(std::string_view text) {
  std::uint64_t sum = 14'695'981'039'346'656'037u;
  for (const char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 1'099'511'628'211u;
  return fmt::format("{:016x}", sum);
}

}  // namespace

std::string_view to_string(DecisionKind kind) {
  switch (kind) {
    case DecisionKind::Activate:
      return "activate";
    case DecisionKind::Up:
      return "up";
    case DecisionKind::Down:
      return "down";
    case DecisionKind::Zero:
      return "zero";
    case DecisionKind::Steady:
      return "steady";
    case DecisionKind::Blocked:
      return "blocked";
    case DecisionKind::Paused:
      return "paused";
    case DecisionKind::Manual:
      return "manual";
    case DecisionKind::Error:
      break;
  }
  return "error";
}

Decision decide(const DecisionInput& input) {
  const Outcome outcome = run(input, Rule::None);
  Decision out;
  out.at = out.until = input.at;
  out.from = input.activate.current;
  out.to = outcome.replicas;
  out.input = input;
  out.inputs_hash = hash(to_json(to_document(input)));
  out.activation = outcome.activation;
  out.triggers = triggers_of(input, outcome.activation);
  out.limiting_rule = outcome.rule;
  out.counterfactual = counterfactual(input, outcome.rule);
  out.recommendation = outcome.recommendation;
  out.next_check = outcome.next_check;
  out.kind = kind_of(out);
  out.sentence = sentence(out);
  return out;
}

bool same_record(const Decision& last, const Decision& next) {
  if (next.kind == DecisionKind::Manual || next.from != next.to || last.to != next.to) return false;
  if (next.kind == last.kind && next.limiting_rule == last.limiting_rule) return true;
  return next.kind == DecisionKind::Steady && last.limiting_rule == next.limiting_rule;
}

}  // namespace jobmill::scale
