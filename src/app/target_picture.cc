// SPDX-License-Identifier: Apache-2.0
#include "app/target_picture.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"

namespace jobmill::app {
namespace {

using manifest::ObjectKey;

Node number(std::optional<double> value) {
  return value && std::isfinite(*value) ? Node::number(*value) : Node{};
}

Node trigger_document(const TargetPicture::Trigger& trigger, TimePoint now) {
  Node out = Node::object();
  out.set("name", Node::string(trigger.name));
  out.set("type", Node::string(trigger.type));
  out.set("value", trigger.error.empty() ? number(trigger.value) : Node{});
  if (trigger.per_replica) out.set("perReplica", number(trigger.per_replica));
  out.set("target", number(trigger.target));
  out.set("each", Node::boolean(trigger.each));
  out.set("active", Node::boolean(trigger.active));
  if (trigger.read_at) {
    const auto age = std::chrono::floor<std::chrono::milliseconds>(now - *trigger.read_at);
    out.set("ageMs", Node::integer(std::max<std::int64_t>(age.count(), 0)));
  }
  if (!trigger.error.empty()) out.set("error", Node::string(trigger.error));
  return out;
}

Node warnings_document(const std::vector<std::string>& warnings) {
  Node out = Node::array();
  for (const std::string& warning : warnings) {
    Node& item = out.items.emplace_back(Node::object());
    item.set("text", Node::string(warning));
  }
  return out;
}

Node paused_document(const TargetPicture::Paused& paused) {
  Node out = Node::object();
  if (paused.replicas) out.set("replicas", Node::integer(*paused.replicas));
  return out;
}

Node decision_document(const scale::LedgerRecord& record) {
  Node out = Node::object();
  out.set("id", Node::string(record.id));
  out.set("at", Node::string(format_instant(record.at)));
  out.set("kind", Node::string(record.kind));
  out.set("from", Node::integer(record.from));
  out.set("to", Node::integer(record.to));
  out.set("sentence", Node::string(record.sentence));
  return out;
}

Node condition(std::string_view type, bool holds, std::string_view reason, std::string message) {
  Node out = Node::object();
  out.set("type", Node::string(type));
  out.set("status", Node::string(holds ? "True" : "False"));
  out.set("reason", Node::string(reason));
  out.set("message", Node::string(message));
  return out;
}

void add_bound(TargetPicture& out, const scale::ExecutionsInput& in) {
  double ready = 0;
  double locked = 0;
  for (const scale::BoundRule& rule : in.bound) {
    TargetPicture::Trigger& trigger = out.triggers.emplace_back();
    trigger.name = rule.name;
    trigger.type = rule.type;
    trigger.target = static_cast<double>(rule.messages);
    trigger.each = true;
    trigger.read_at = in.at;
    trigger.error = rule.error;
    if (!rule.error.empty()) continue;
    trigger.value = static_cast<double>(rule.ready + rule.locked);
    trigger.active = rule.ready + rule.locked > rule.activation;
    ready += static_cast<double>(rule.ready);
    locked += static_cast<double>(rule.locked);
  }
  if (!in.bound.empty()) out.work = {.backlog = ready, .consumable = ready, .in_flight = locked};
}

void add_read(TargetPicture& out, const scale::ExecutionsInput& in) {
  for (const scale::JobTrigger& one : in.triggers) {
    TargetPicture::Trigger& trigger = out.triggers.emplace_back();
    trigger.name = one.name;
    trigger.type = one.type;
    trigger.target = one.target;
    trigger.each = true;
    trigger.read_at = in.at;
    trigger.error = one.error;
    if (!one.error.empty()) continue;
    trigger.value = one.queue_length;
    trigger.active = one.active;
    out.work.backlog = out.work.backlog.value_or(0) + one.queue_length;
  }
}

Node conditions_of(const TargetPicture& picture) {
  const auto failed = std::ranges::find_if(
      picture.triggers, [](const auto& trigger) { return !trigger.error.empty(); });
  const bool good = failed == picture.triggers.end();
  const bool active = std::ranges::any_of(picture.triggers, &TargetPicture::Trigger::active);
  Node out = Node::array();
  out.push(condition("Ready", good, good ? "TriggersRead" : "TriggerError",
                     good ? "its triggers are watched" : failed->name + ": " + failed->error));
  out.push(condition("Active", active, active ? "ScalerActive" : "ScalerNotActive",
                     active ? "a trigger is active" : "no trigger is active"));
  out.push(condition("Paused", picture.paused.has_value(),
                     picture.paused ? "Suspended" : "NotSuspended", ""));
  return out;
}

}  // namespace

std::string ledger_name(const ObjectKey& key) { return key.kind + "/" + key.ns + "/" + key.name; }

std::string series_name(const ObjectKey& key) { return "target:" + ledger_name(key); }

std::string target_name(const ObjectKey& key, bool with_kind) {
  if (with_kind) return ledger_name(key);
  return key.ns == manifest::kDefaultNamespace ? key.name : key.ns + "/" + key.name;
}

Node conditions_document(const scale::ScaleStatus& status) {
  Node list = Node::array();
  for (const scale::Condition& condition : status.conditions) {
    Node& node = list.items.emplace_back(Node::object());
    node.set("type", Node::string(condition.type));
    node.set("status", Node::string(scale::to_string(condition.status)));
    node.set("reason", Node::string(condition.reason));
    node.set("message", Node::string(condition.message));
    node.set("lastTransitionTime", Node::string(format_instant(condition.last_transition)));
  }
  return list;
}

TargetPicture picture_of(const JobPicture& job, bool scaled_job) {
  TargetPicture out;
  out.key = {scaled_job ? "ScaledJob" : "ContainerJob", job.job.key.group, job.job.key.name};
  out.desired = job.counts.unfinished;
  out.starting = job.counts.pending;
  out.ready = out.busy = std::max(0, job.counts.unfinished - job.counts.pending);
  out.min = static_cast<int>(job.job.min_executions);
  out.max = static_cast<int>(job.job.max_executions);
  if (job.job.options.suspended) out.paused.emplace();
  if (!scaled_job) out.warnings = warnings_of(job);
  if (job.latest != nullptr) {
    add_bound(out, job.latest->input);
    add_read(out, job.latest->input);
    out.decision = scale::to_record(ledger_name(out.key), *job.latest);
    out.decision->document.clear();
  }
  out.conditions = conditions_of(out);
  return out;
}

Node to_document(const TargetPicture& picture, const std::string& name, TimePoint now) {
  Node triggers = Node::array();
  for (const TargetPicture::Trigger& trigger : picture.triggers)
    triggers.push(trigger_document(trigger, now));
  Node out = Node::object();
  out.set("target", Node::string(name));
  out.set("name", Node::string(picture.key.name));
  out.set("namespace", Node::string(picture.key.ns));
  out.set("kind", Node::string(picture.key.kind));
  out.set("desired", Node::integer(picture.desired));
  out.set("ready", Node::integer(picture.ready));
  out.set("starting", Node::integer(picture.starting));
  out.set("draining", Node::integer(picture.draining));
  out.set("busy", Node::integer(picture.busy));
  out.set("min", Node::integer(picture.min));
  out.set("max", Node::integer(picture.max));
  if (picture.paused) out.set("paused", paused_document(*picture.paused));
  out.set("triggers", std::move(triggers));
  out.set("conditions", picture.conditions);
  out.set("warnings", warnings_document(picture.warnings));
  if (picture.decision) out.set("decision", decision_document(*picture.decision));
  return out;
}

}  // namespace jobmill::app
