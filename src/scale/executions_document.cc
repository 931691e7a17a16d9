// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "base/duration.h"
#include "scale/executions.h"

namespace jobmill::scale {
namespace {

std::string_view name_of(JobStrategy strategy) {
  switch (strategy) {
    case JobStrategy::Custom:
      return "custom";
    case JobStrategy::Accurate:
      return "accurate";
    case JobStrategy::Eager:
      return "eager";
    case JobStrategy::Default:
      break;
  }
  return "default";
}

std::string_view name_of(JobCombination combination) {
  switch (combination) {
    case JobCombination::Min:
      return "min";
    case JobCombination::Avg:
      return "avg";
    case JobCombination::Sum:
      return "sum";
    case JobCombination::Max:
      break;
  }
  return "max";
}

Node integer(std::optional<std::int64_t> value) { return value ? Node::integer(*value) : Node{}; }

// JSON has no infinities; they are told as null.
Node number(double value) { return std::isfinite(value) ? Node::number(value) : Node{}; }

Node rule_document(const BoundRule& rule) {
  Node out = Node::object();
  out.set("name", Node::string(rule.name));
  out.set("type", Node::string(rule.type));
  out.set("ready", Node::integer(rule.ready));
  out.set("locked", Node::integer(rule.locked));
  out.set("reserved", Node::integer(rule.reserved));
  out.set("backingOff", Node::integer(rule.backing_off));
  out.set("messages", Node::integer(rule.messages));
  out.set("activation", Node::integer(rule.activation));
  out.set("sessions", Node::boolean(rule.sessions));
  out.set("receivable", Node::boolean(rule.receivable));
  if (!rule.error.empty()) out.set("error", Node::string(rule.error));
  return out;
}

Node trigger_document(const JobTrigger& trigger) {
  Node out = Node::object();
  out.set("name", Node::string(trigger.name));
  out.set("type", Node::string(trigger.type));
  out.set("queueLength", number(trigger.queue_length));
  out.set("target", number(trigger.target));
  out.set("active", Node::boolean(trigger.active));
  if (!trigger.error.empty()) out.set("error", Node::string(trigger.error));
  return out;
}

Node rules_document(const ExecutionsInput& in) {
  Node out = Node::array();
  for (const BoundRule& rule : in.bound) out.push(rule_document(rule));
  for (const JobTrigger& trigger : in.triggers) out.push(trigger_document(trigger));
  return out;
}

std::string rule_name(const ExecutionsInput& in, int rule) {
  if (rule < 0) return {};
  const auto index = static_cast<std::size_t>(rule);
  return index < in.bound.size() ? in.bound[index].name : in.triggers[index].name;
}

Node create_document(const ExecutionsDecision& decision) {
  Node out = Node::array();
  for (const auto& one : decision.create) {
    Node& item = out.items.emplace_back(Node::object());
    item.set("rule", Node::string(rule_name(decision.input, one.rule)));
    item.set("count", Node::integer(one.count));
  }
  return out;
}

}  // namespace

Node to_document(const ExecutionsDecision& decision) {
  const ExecutionsInput& in = decision.input;
  const bool keda = in.semantics == JobSemantics::Keda;
  Node out = Node::object();
  out.set("id", Node::string(decision.id));
  out.set("at", Node::string(format_instant(in.at)));
  out.set("semantics", Node::string(keda ? "cloud" : "bound"));
  out.set("created", Node::integer(decision.total()));
  out.set("create", create_document(decision));
  out.set("wanted", Node::integer(decision.wanted));
  out.set("limit", Node::string(to_string(decision.limit)));
  out.set("sentence", Node::string(decision.sentence));
  out.set("formula", Node::string(decision.formula));
  out.set("cloudWouldCreate", Node::integer(decision.keda_would_create));
  out.set("minExecutions", integer(in.min));
  out.set("maxExecutions", integer(in.max));
  out.set("unfinished", Node::integer(in.unfinished));
  out.set("pending", Node::integer(in.pending));
  out.set("suspended", Node::boolean(in.suspended));
  if (keda) out.set("strategy", Node::string(name_of(in.strategy)));
  if (keda) out.set("multipleScalersCalculation", Node::string(name_of(in.combination)));
  out.set("rules", rules_document(in));
  return out;
}

}  // namespace jobmill::scale
