// SPDX-License-Identifier: Apache-2.0
#include "scale/explain.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "base/duration.h"

namespace jobmill::scale {
namespace {

// "10:02:15"
std::string clock_text(TimePoint at) {
  return format_instant(std::chrono::floor<std::chrono::seconds>(at)).substr(11, 8);
}

// "2024-01-01 10:02:15"
std::string date_text(TimePoint at) {
  std::string text = format_instant(std::chrono::floor<std::chrono::seconds>(at)).substr(0, 19);
  text[10] = ' ';
  return text;
}

std::string seconds_text(Duration duration) {
  return fmt::format("{:g} s", std::chrono::duration<double>(duration).count());
}

// "3 s", "4 min", "2 h", "5 d": ages need no more.
std::string age_text(Duration age) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(age).count();
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  if (seconds < 172'800) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86'400);
}

// Three decimals, none that say nothing.
std::string number_text(double value) {
  if (!std::isfinite(value) || std::abs(value) >= 1e15) return fmt::format("{:g}", value);
  std::string text = fmt::format("{:.3f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

double used_value(const Reading& reading) {
  return static_cast<double>(reading.value_milli) / 1000;
}

double used_target(const Reading& reading) {
  return static_cast<double>(reading.target_milli) / 1000;
}

std::string rounded_up(double exact, int replicas) {
  const std::string text = number_text(exact);
  return exact == std::floor(exact) ? text : fmt::format("{}, rounded up to {}", text, replicas);
}

std::string average_formula(const Reading& reading, const Proposal& proposal, int status) {
  const std::string value = number_text(used_value(reading));
  const std::string target = number_text(used_target(reading));
  if (proposal.tolerated)
    return fmt::format("{} / ({} x {}) = {}, within the tolerance: stays {}", value, target, status,
                       number_text(proposal.ratio), proposal.replicas);
  return fmt::format("{} / {} per replica = {}", value, target,
                     rounded_up(used_value(reading) / used_target(reading), proposal.replicas));
}

std::string value_formula(const Reading& reading, const Proposal& proposal, int current,
                          int ready) {
  const std::string quotient =
      fmt::format("{} / {} = {}", number_text(used_value(reading)),
                  number_text(used_target(reading)), number_text(proposal.ratio));
  if (current == 0) return quotient;
  if (proposal.tolerated)
    return fmt::format("{}, within the tolerance: stays {}", quotient, proposal.replicas);
  return fmt::format("{}; x {} ready = {}", quotient, ready,
                     rounded_up(proposal.ratio * ready, proposal.replicas));
}

// What the arithmetic saw: straight from zero it starts at the size of the activation.
DesiredInput seen(const Decision& d) {
  DesiredInput in = d.input.desired;
  if (d.activation.step == Activation::Step::Activate && d.input.run_desired)
    in.current = in.status = in.ready = *d.activation.replicas;
  return in;
}

std::string formula(const Reading& reading, const DesiredInput& in) {
  const auto proposal = propose(reading, in);
  if (!proposal) return {};
  return reading.type == MetricType::Value ? value_formula(reading, *proposal, in.current, in.ready)
                                           : average_formula(reading, *proposal, in.status);
}

// The trigger that asks for the most; null if none votes.
const Decision::Trigger* loudest(const Decision& d) {
  const Decision::Trigger* most = nullptr;
  for (const auto& trigger : d.triggers)
    if (trigger.proposal && (!most || *trigger.proposal > *most->proposal)) most = &trigger;
  return most;
}

std::string highest_proposal(const Decision& d) {
  const auto* trigger = loudest(d);
  if (!trigger) return "no trigger votes";
  return fmt::format("{} asks for {}: {}", trigger->reading.name, *trigger->proposal,
                     formula(trigger->reading, seen(d)));
}

std::string active_names(const Decision& d) {
  std::string names;
  for (const auto& trigger : d.triggers)
    if (trigger.reading.active) names += (names.empty() ? "" : ", ") + trigger.reading.name;
  return names;
}

std::string first_failure(const Decision& d) {
  for (const auto& trigger : d.triggers) {
    if (!trigger.reading.error.empty())
      return fmt::format("{} cannot be read ({})", trigger.reading.name, trigger.reading.error);
    if (failed(trigger.reading))
      return fmt::format("{} has a target that is not positive", trigger.reading.name);
  }
  return "a trigger failed";
}

TimePoint cooldown_end(const ActivateInput& in) {
  return in.last_active ? *in.last_active + in.cooldown : in.created + in.initial_cooldown;
}

// Only the recommendations that the window still holds.
std::vector<Recommendation> in_window(const Decision& d, Duration window) {
  std::vector<Recommendation> out = d.input.desired.recommendations;
  std::erase_if(out, [&](const Recommendation& r) { return r.until < d.input.at - window; });
  return out;
}

Duration window_of(const std::optional<ScalingRules>& rules, Duration fallback) {
  return rules ? rules->stabilization_window.value_or(fallback) : fallback;
}

Duration down_window(const Decision& d) {
  return window_of(d.input.desired.down, d.input.desired.down_window);
}

Duration up_window(const Decision& d) { return window_of(d.input.desired.up, Duration{}); }

std::string extreme_in_window(const Decision& d, Duration window, bool highest) {
  const auto all = in_window(d, window);
  const auto later_wins = [&](const Recommendation& a, const Recommendation& b) {
    if (a.replicas != b.replicas)
      return highest ? a.replicas < b.replicas : a.replicas > b.replicas;
    return a.until < b.until;
  };
  const auto it = std::max_element(all.begin(), all.end(), later_wins);
  if (it == all.end()) return {};
  return fmt::format("{} proposal in it {} at {}", highest ? "highest" : "lowest", it->replicas,
                     clock_text(it->until));
}

std::string policy_text(const ScalingPolicy& policy) {
  return fmt::format("{}{} in {}", policy.value, policy.type == PolicyType::Percent ? " %" : "",
                     seconds_text(policy.period));
}

std::string policies_text(const std::optional<ScalingRules>& rules) {
  if (!rules) return "no limit";
  const SelectPolicy select = rules->select.value_or(SelectPolicy::Max);
  if (select == SelectPolicy::Disabled) return "disabled";
  std::string text;
  for (const ScalingPolicy& policy : rules->policies)
    text += (text.empty()                  ? ""
             : select == SelectPolicy::Max ? " or "
                                           : " and ") +
            policy_text(policy);
  return text.empty() ? "no limit" : text;
}

std::string because_not_active(const Decision& d) {
  if (d.from > 0 && d.to != d.from) {
    const ActivateInput& in = d.input.activate;
    if (!in.last_active) return "no trigger is active";
    return fmt::format("no trigger is active, and the cooldown of {} since {} is over",
                       seconds_text(in.cooldown), clock_text(*in.last_active));
  }
  if (const auto* trigger = loudest(d); trigger && trigger->reading.value_milli > 0)
    return fmt::format("no trigger is above its activation threshold ({} is {})",
                       trigger->reading.name, number_text(trigger->reading.value));
  return "no trigger is active";
}

std::string because_cooling(const Decision& d, std::string_view name, Duration period) {
  const ActivateInput& in = d.input.activate;
  const std::string since = in.last_active ? "last active at " + clock_text(*in.last_active)
                                           : "exists since " + clock_text(in.created);
  return fmt::format("{} {}, {}, ends at {}", name, seconds_text(period), since,
                     clock_text(cooldown_end(in)));
}

std::string because_none(const Decision& d) {
  if (d.activation.step == Activation::Step::Activate && !d.input.activate.active)
    return "activated by the annotation force-activation";
  if (d.activation.step == Activation::Step::Activate)
    return fmt::format("activated by {}; {}", active_names(d), highest_proposal(d));
  return highest_proposal(d);
}

std::string because_min(const Decision& d) {
  if (d.input.activate.min.value_or(0) > 0)
    return fmt::format("minReplicaCount {}; {}", *d.input.activate.min, highest_proposal(d));
  return fmt::format("at least {} while it is active; {}", d.input.desired.min,
                     highest_proposal(d));
}

std::string because(const Decision& d) {
  const DesiredInput& in = d.input.desired;
  switch (d.limiting_rule) {
    case Rule::None:
      return because_none(d);
    case Rule::NotActive:
      return because_not_active(d);
    case Rule::Tolerance:
      return fmt::format("tolerance {:g}; {}", in.tolerance, highest_proposal(d));
    case Rule::Min:
      return because_min(d);
    case Rule::Max:
      return fmt::format("maxReplicaCount {}; {}", in.max, highest_proposal(d));
    case Rule::Cooldown:
      return because_cooling(d, "cooldown", d.input.activate.cooldown);
    case Rule::InitialCooldown:
      return because_cooling(d, "initial cooldown", d.input.activate.initial_cooldown);
    case Rule::ScaleUpWindow:
      return fmt::format("scale-up window {}, {}", seconds_text(up_window(d)),
                         extreme_in_window(d, up_window(d), false));
    case Rule::ScaleDownWindow:
      return fmt::format("scale-down window {}, {}", seconds_text(down_window(d)),
                         extreme_in_window(d, down_window(d), true));
    case Rule::ScaleUpPolicy:
      return fmt::format("scale-up policy {}; {}", policies_text(in.up), highest_proposal(d));
    case Rule::ScaleDownPolicy:
      return fmt::format("scale-down policy {}; {}", policies_text(in.down), highest_proposal(d));
    case Rule::StepLimit:
      return fmt::format("one step goes at most to {}; {}", std::max(2 * in.current, 4),
                         highest_proposal(d));
    case Rule::Paused:
      return d.input.pause_at ? fmt::format("paused by annotation at {}", *d.input.pause_at)
                              : "paused by annotation";
    case Rule::PausedScaleIn:
      return "scaling in is paused by annotation";
    case Rule::PausedScaleOut:
      return "scaling out is paused by annotation; " + highest_proposal(d);
    case Rule::Fallback:
      return "the fallback holds";
    case Rule::Manual:
      return "set by hand";
    case Rule::TriggerFailed:
      break;
  }
  return first_failure(d) +
         (d.to > 0 ? ", so replicas do not go down" : ", and no other trigger is active");
}

// A table whose columns are as wide as their widest cell.
class Table {
 public:
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  std::string text() const {
    std::vector<std::size_t> widths;
    for (const auto& cells : rows_) {
      widths.resize(std::max(widths.size(), cells.size()));
      for (std::size_t i = 0; i < cells.size(); ++i)
        widths[i] = std::max(widths[i], cells[i].size());
    }
    std::string out;
    for (const auto& cells : rows_) {
      std::string line = " ";
      for (std::size_t i = 0; i < cells.size(); ++i)
        line += fmt::format(" {:<{}} ", cells[i], widths[i]);
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + "\n";
    }
    return out;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string replicas_text(int n) { return fmt::format("{} replica{}", n, n == 1 ? "" : "s"); }

std::string headline(const Decision& d) {
  const DesiredInput& in = d.input.desired;
  return fmt::format("{}: {} wanted ({} ready, {} starting, {} busy, {} draining)\n\n", d.target,
                     replicas_text(d.to), in.ready, std::max(0, in.status - in.ready), d.input.busy,
                     d.input.draining);
}

std::string story(const Decision& latest, const Decision* change, TimePoint now) {
  std::string out;
  if (change)
    out += fmt::format("  {} UTC, {} ago ({})\n    {}\n", date_text(change->at),
                       age_text(now - change->at), to_string(change->kind), change->sentence);
  if (!change || change->id != latest.id)
    out += fmt::format("  now ({})\n    {}\n", to_string(latest.kind), latest.sentence);
  return out + "\n";
}

std::string triggers_text(const Decision& d, TimePoint now) {
  const DesiredInput in = seen(d);
  const auto* most = loudest(d);
  Table table;
  table.row({"TRIGGER", "VALUE", "PER REPLICA", "TARGET", "ACTIVE", "READ", "ASKS FOR", "BECAUSE"});
  for (const auto& trigger : d.triggers) {
    const Reading& reading = trigger.reading;
    const bool good = reading.error.empty();
    table.row(
        {reading.name, good ? number_text(reading.value) : "unknown",
         trigger.per_replica ? number_text(*trigger.per_replica) : "-",
         number_text(used_target(reading)) + (reading.type == MetricType::Value ? "" : " each"),
         reading.active ? "yes" : "no",
         good ? age_text(reading.age + (now - d.input.at)) + " ago" : "failed",
         trigger.proposal ? std::to_string(*trigger.proposal) + (&trigger == most ? " *" : "")
                          : "no vote",
         good ? formula(reading, in) : reading.error});
  }
  return table.text() + "\n";
}

std::string window_text(Duration window, const std::string& extreme) {
  if (window == Duration{}) return "none";
  return extreme.empty() ? seconds_text(window) : seconds_text(window) + ", " + extreme;
}

std::string cooldown_text(const ActivateInput& in) {
  if (in.min.value_or(0) > 0 && !in.idle) return "not used: minReplicaCount is above zero";
  const Duration period = in.last_active ? in.cooldown : in.initial_cooldown;
  if (in.active || in.forced) return seconds_text(in.cooldown) + ", starts when nothing is active";
  return fmt::format("{}, {} {}", seconds_text(period),
                     cooldown_end(in) < in.now ? "over since" : "ends at",
                     clock_text(cooldown_end(in)));
}

std::string caps_text(const Decision& d) {
  const ActivateInput& in = d.input.activate;
  std::string text = fmt::format("{} to {}", in.min.value_or(0), d.input.desired.max);
  if (in.idle) text += fmt::format(", {} when idle", *in.idle);
  return text;
}

std::string limit_text(const Decision& d) {
  if (!d.counterfactual) return std::string(to_string(d.limiting_rule));
  return fmt::format("{}; without it: {}", to_string(d.limiting_rule),
                     replicas_text(d.counterfactual->replicas));
}

std::string next_text(const Decision& d) {
  if (!d.next_check) return "when a trigger, a replica or the object changes";
  return clock_text(*d.next_check) + " UTC, or when something changes";
}

std::string repeated_text(const Decision& d) {
  if (d.repeated == 0) return "at " + clock_text(d.at) + " UTC";
  return fmt::format("{} times since {} UTC, last at {}, with the same result", d.repeated + 1,
                     clock_text(d.at), clock_text(d.until));
}

std::string rules_text(const Decision& d) {
  const DesiredInput& in = d.input.desired;
  Table table;
  table.row({"limited by", limit_text(d)});
  table.row({"replicas", caps_text(d)});
  table.row({"tolerance", fmt::format("{:g}", in.tolerance)});
  table.row(
      {"scale-up window", window_text(up_window(d), extreme_in_window(d, up_window(d), false))});
  table.row({"scale-up policy", in.up_disabled            ? "paused"
                                : !in.up && in.step_limit ? "at most double, at least to 4, a step"
                                                          : policies_text(in.up)});
  table.row({"scale-down window",
             window_text(down_window(d), extreme_in_window(d, down_window(d), true))});
  table.row({"scale-down policy", in.down_disabled ? "paused" : policies_text(in.down)});
  table.row({"cooldown", cooldown_text(d.input.activate)});
  table.row({"in flight", fmt::format("{} busy, {} draining; work is never interrupted to scale in",
                                      d.input.busy, d.input.draining)});
  table.row({"decided", repeated_text(d)});
  table.row({"next check", next_text(d)});
  table.row({"semantics", d.input.semantics == Semantics::Keda ? "keda" : "direct"});
  table.row({"generation", std::to_string(d.input.generation)});
  table.row({"inputs", d.inputs_hash});
  return table.text();
}

}  // namespace

std::string sentence(const Decision& decision) {
  const std::string move = decision.from == decision.to
                               ? fmt::format("stays at {}", decision.to)
                               : fmt::format("from {} to {}", decision.from, decision.to);
  return move + ": " + because(decision);
}

std::string explain(const Decision& latest, const Decision* change, TimePoint now) {
  return headline(latest) + story(latest, change, now) + triggers_text(latest, now) +
         rules_text(latest);
}

}  // namespace jobmill::scale
