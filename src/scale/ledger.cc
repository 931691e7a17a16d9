// SPDX-License-Identifier: Apache-2.0
#include "scale/ledger.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/duration.h"

namespace jobmill::scale {
namespace {

// In the order of the enumerations.
constexpr std::array<std::string_view, 4> kStrategies{"default", "custom", "accurate", "eager"};
constexpr std::array<std::string_view, 4> kCombinations{"max", "min", "avg", "sum"};

std::string_view kind_of(const ExecutionsDecision& decision) {
  if (decision.total() > 0) return decision.input.unfinished == 0 ? "activate" : "up";
  switch (decision.limit) {
    case JobLimit::None:
      return decision.input.unfinished == 0 ? "zero" : "steady";
    case JobLimit::Suspended:
      return "paused";
    case JobLimit::Stale:
      return "error";
    default:
      return "blocked";
  }
}

Node integer(std::optional<std::int64_t> value) { return value ? Node::integer(*value) : Node{}; }

Node inputs_document(const ExecutionsInput& in) {
  Node out = Node::object();
  out.set("at", Node::string(format_instant(in.at)));
  out.set("semantics", Node::string(in.semantics == JobSemantics::Keda ? "cloud" : "bound"));
  out.set("min", integer(in.min));
  out.set("max", integer(in.max));
  out.set("unfinished", Node::integer(in.unfinished));
  out.set("pending", Node::integer(in.pending));
  out.set("suspended", Node::boolean(in.suspended));
  out.set("keepMin", Node::boolean(in.keep_min));
  out.set("combination", Node::string(kCombinations[static_cast<std::size_t>(in.combination)]));
  out.set("strategy", Node::string(kStrategies[static_cast<std::size_t>(in.strategy)]));
  out.set("deduction", integer(in.deduction));
  out.set("percentage", Node::string(in.percentage));
  return out;
}

// As a ScaledObject's record has them: what was seen, beside what it is held against.
Node triggers_document(const ExecutionsInput& in) {
  Node out = Node::array();
  for (const BoundRule& rule : in.bound) {
    Node& item = out.items.emplace_back(Node::object());
    item.set("name", Node::string(rule.name));
    item.set("type", Node::string(rule.type));
    item.set("value", rule.error.empty() ? Node::integer(rule.ready + rule.locked) : Node{});
    item.set("target", Node::integer(rule.messages));
    item.set("active", Node::boolean(rule.ready + rule.locked > rule.activation));
    if (!rule.error.empty()) item.set("error", Node::string(rule.error));
  }
  for (const JobTrigger& trigger : in.triggers) {
    Node& item = out.items.emplace_back(Node::object());
    item.set("name", Node::string(trigger.name));
    item.set("type", Node::string(trigger.type));
    item.set("value", trigger.error.empty() ? Node::number(trigger.queue_length) : Node{});
    item.set("target", Node::number(trigger.target));
    item.set("active", Node::boolean(trigger.active));
    if (!trigger.error.empty()) item.set("error", Node::string(trigger.error));
  }
  return out;
}

Node caps_document(const ExecutionsInput& in) {
  const JobBounds bounds = job_bounds(in.min, in.max);
  Node out = Node::object();
  out.set("min", Node::integer(bounds.min));
  out.set("max", Node::integer(bounds.min + bounds.max));
  return out;
}

Node document_of(const LedgerRecord& record, const ExecutionsDecision& decision) {
  Node out = to_document(decision);
  out.set("target", Node::string(record.target.substr(record.target.rfind('/') + 1)));
  out.set("kind", Node::string(record.kind));
  out.set("from", Node::integer(record.from));
  out.set("to", Node::integer(record.to));
  out.set("triggers", triggers_document(decision.input));
  out.set("caps", caps_document(decision.input));
  out.set("limitingRule", Node::string(record.rule));
  Node inputs = inputs_document(decision.input);
  inputs.set("rules", *out.find("rules"));
  out.set("inputs", std::move(inputs));
  return out;
}

// --- reading them back --------------------------------------------------------------------------

void get(const Node& node, std::string_view key, std::string& out) {
  if (const Node* found = node.find(key)) out = found->as_string().value_or("");
}
void get(const Node& node, std::string_view key, bool& out) {
  if (const Node* found = node.find(key)) out = found->as_bool().value_or(out);
}
void get(const Node& node, std::string_view key, std::int64_t& out) {
  if (const Node* found = node.find(key)) out = found->as_int().value_or(out);
}
void get(const Node& node, std::string_view key, double& out) {
  if (const Node* found = node.find(key)) out = found->as_double().value_or(out);
}
void get(const Node& node, std::string_view key, std::optional<std::int64_t>& out) {
  if (const Node* found = node.find(key)) out = found->as_int();
}
template <class Enum, std::size_t N>
void get(const Node& node, std::string_view key, const std::array<std::string_view, N>& names,
         Enum& out) {
  std::string name;
  get(node, key, name);
  const auto found = std::ranges::find(names, name);
  if (found != names.end()) out = static_cast<Enum>(found - names.begin());
}

BoundRule bound_from(const Node& node) {
  BoundRule out;
  get(node, "name", out.name);
  get(node, "type", out.type);
  get(node, "ready", out.ready);
  get(node, "locked", out.locked);
  get(node, "reserved", out.reserved);
  get(node, "backingOff", out.backing_off);
  get(node, "messages", out.messages);
  get(node, "activation", out.activation);
  get(node, "sessions", out.sessions);
  get(node, "receivable", out.receivable);
  get(node, "error", out.error);
  return out;
}

JobTrigger trigger_from(const Node& node) {
  JobTrigger out;
  get(node, "name", out.name);
  get(node, "type", out.type);
  get(node, "queueLength", out.queue_length);
  get(node, "target", out.target);
  get(node, "active", out.active);
  get(node, "error", out.error);
  return out;
}

}  // namespace

LedgerRecord to_record(std::string target, const Decision& decision) {
  return {.target = std::move(target),
          .id = decision.id,
          .at = decision.at,
          .until = decision.until,
          .repeated = decision.repeated,
          .kind = std::string(to_string(decision.kind)),
          .from = decision.from,
          .to = decision.to,
          .rule = std::string(to_string(decision.limiting_rule)),
          .sentence = decision.sentence,
          .document = to_json(to_document(decision))};
}

LedgerRecord to_record(std::string target, const ExecutionsDecision& decision) {
  LedgerRecord out{.target = std::move(target),
                   .id = decision.id,
                   .at = decision.input.at,
                   .until = decision.input.at,
                   .repeated = 0,
                   .kind = std::string(kind_of(decision)),
                   .from = static_cast<int>(decision.input.unfinished),
                   .to = static_cast<int>(decision.input.unfinished) + decision.total(),
                   .rule = std::string(to_string(decision.limit)),
                   .sentence = decision.sentence,
                   .document = {}};
  out.document = to_json(document_of(out, decision));
  return out;
}

bool same_record(const LedgerRecord& last, const LedgerRecord& next) {
  return next.from == next.to && last.to == next.to && last.kind == next.kind &&
         last.rule == next.rule;
}

Result<ExecutionsInput> executions_input_from(const Node& document) {
  std::string at;
  std::string semantics;
  get(document, "at", at);
  get(document, "semantics", semantics);
  ExecutionsInput out;
  TRY(out.at, parse_instant(at));
  out.semantics = semantics == "cloud" ? JobSemantics::Keda : JobSemantics::Bound;
  get(document, "min", out.min);
  get(document, "max", out.max);
  get(document, "unfinished", out.unfinished);
  get(document, "pending", out.pending);
  get(document, "suspended", out.suspended);
  get(document, "keepMin", out.keep_min);
  get(document, "combination", kCombinations, out.combination);
  get(document, "strategy", kStrategies, out.strategy);
  get(document, "deduction", out.deduction);
  get(document, "percentage", out.percentage);
  const Node* rules = document.find("rules");
  if (rules == nullptr) return fail(Code::Internal, "a kept decision cannot be read");
  for (const Node& rule : rules->items) {
    if (out.semantics == JobSemantics::Keda)
      out.triggers.push_back(trigger_from(rule));
    else
      out.bound.push_back(bound_from(rule));
  }
  return out;
}

}  // namespace jobmill::scale
