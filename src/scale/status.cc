// SPDX-License-Identifier: Apache-2.0
#include "scale/status.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"

namespace jobmill::scale {
namespace {

Condition& condition(ScaleStatus& status, std::string_view type) {
  for (Condition& known : status.conditions)
    if (known.type == type) return known;
  Condition& added = status.conditions.emplace_back();
  added.type = type;
  return added;
}

std::string failures(const Decision& decision) {
  std::string text;
  for (const auto& trigger : decision.triggers) {
    if (trigger.reading.error.empty()) continue;
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", trigger.reading.name,
                        trigger.reading.error);
  }
  return text;
}

std::string active_names(const Decision& decision) {
  std::string text;
  for (const auto& trigger : decision.triggers)
    if (trigger.reading.active) text += (text.empty() ? "" : ";") + trigger.reading.name;
  return text;
}

std::string ready_message(const Decision& decision) {
  const std::string failed = failures(decision);
  return failed.empty() ? "the object is complete and its target is scaled" : failed;
}

std::string active_message(const Decision& decision) {
  const Activation& said = decision.activation;
  if (said.step == Activation::Step::CoolDown && said.next_check)
    return "no trigger is active; cooling down until " +
           format_instant(std::chrono::floor<std::chrono::seconds>(*said.next_check));
  if (said.active->status != Truth::True) return "no trigger is active";
  if (!decision.input.activate.active) return "active by the annotation force-activation";
  return "active: " + active_names(decision);
}

std::string pause_message(const Pause& pause) {
  if (pause.paused && pause.replicas) return fmt::format("paused at {} replicas", *pause.replicas);
  if (pause.paused) return "paused";
  if (pause.in && pause.out) return "scaling in and out is paused";
  return pause.in ? "scaling in is paused" : "scaling out is paused";
}

}  // namespace

const Condition* ScaleStatus::find(std::string_view type) const {
  const auto it = std::find_if(conditions.begin(), conditions.end(),
                               [&](const Condition& one) { return one.type == type; });
  return it == conditions.end() ? nullptr : &*it;
}

ScaleStatus new_status(TimePoint now) {
  ScaleStatus status;
  for (const char* type : {"Ready", "Active", "Fallback", "Paused"})
    status.conditions.push_back(
        {.type = type, .reason = {}, .message = {}, .last_transition = now});
  status.conditions.back().status = Truth::False;
  return status;
}

bool set_condition(ScaleStatus& status, std::string_view type, Verdict verdict, std::string message,
                   TimePoint now) {
  Condition& known = condition(status, type);
  if (known.status == verdict.status && known.reason == verdict.reason && known.message == message)
    return false;
  if (known.status != verdict.status) known.last_transition = now;
  known.status = verdict.status;
  known.reason = verdict.reason;
  known.message = std::move(message);
  return true;
}

bool set_paused(ScaleStatus& status, const Pause& pause, TimePoint now) {
  bool changed = false;
  if (pause.replicas_error) {
    changed |= set_condition(status, "Ready", {Truth::False, "ScaledObjectCheckFailed"},
                             "the annotation paused-replicas is no integer", now);
    changed |= set_condition(status, "Active", {Truth::Unknown, "UnknownState"}, "", now);
  }
  if (pause.paused || pause.in || pause.out)
    return changed | set_condition(status, "Paused", {Truth::True, "ScaledObjectPaused"},
                                   pause_message(pause), now);
  status.paused_replicas.reset();
  if (status.find("Paused")->status != Truth::True) return changed;
  return changed | set_condition(status, "Paused", {Truth::False, "ScaledObjectUnpaused"},
                                 "scaling goes on", now);
}

bool set_decided(ScaleStatus& status, const Decision& decision) {
  const Activation& said = decision.activation;
  const TimePoint now = decision.input.at;
  bool changed = set_condition(status, "Ready", said.ready, ready_message(decision), now);
  if (said.active)
    changed |= set_condition(status, "Active", *said.active, active_message(decision), now);
  return changed | set_condition(status, "Fallback", {Truth::False, "NoFallbackFound"},
                                 "no fallback is in use", now);
}

bool set_unreadable(ScaleStatus& status, const std::string& error, TimePoint now) {
  return set_condition(status, "Ready", {Truth::False, "ErrorGettingCurrentReplicas"}, error, now);
}

}  // namespace jobmill::scale
