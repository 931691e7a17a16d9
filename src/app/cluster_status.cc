// SPDX-License-Identifier: Apache-2.0
#include "app/cluster_status.h"

#include <algorithm>
#include <array>

#include "base/duration.h"
#include "base/node_path.h"

namespace jobmill::app {
namespace {

// What we write. Anything else in a status is somebody else's.
constexpr std::array<const char*, 12> kOurs{
    "authenticationsTypes", "conditions",           "externalMetricNames", "health",
    "lastActiveTime",       "originalReplicaCount", "pausedReplicaCount",  "resourceMetricNames",
    "scaleTargetGVKR",      "scaleTargetKind",      "triggersActivity",    "triggersTypes"};
constexpr std::string_view kLastActive = "lastActiveTime";

bool says_the_same(const Node& a, const Node& b) {
  return text_at(a, {"status"}) == text_at(b, {"status"}) &&
         text_at(a, {"reason"}) == text_at(b, {"reason"}) &&
         text_at(a, {"message"}) == text_at(b, {"message"});
}

// A condition that says the same stays as it is.
Node with_times_kept(const Node* present, Node conditions) {
  for (Node& condition : conditions.items)
    if (const Node* known = condition_of(present, text_at(condition, {"type"}));
        known != nullptr && says_the_same(*known, condition))
      condition = *known;
  return conditions;
}

// A map with what is gone from it as null: a merge would keep it.
Node without_the_gone(const Node* present, Node wanted) {
  if (present == nullptr || !present->is_object() || !wanted.is_object()) return wanted;
  for (const Node::Member& member : present->members)
    if (wanted.find(member.key) == nullptr) wanted.set(member.key, Node{});
  return wanted;
}

std::optional<Duration> age_between(const std::string& older, const std::string& newer) {
  const auto from = parse_instant(older);
  const auto to = parse_instant(newer);
  if (!from || !to) return std::nullopt;
  return *to - *from;
}

Node condition(std::string_view type, std::string_view status, std::string_view reason,
               const std::string& message, TimePoint now) {
  Node node = Node::object();
  node.set("type", Node::string(type));
  node.set("status", Node::string(status));
  node.set("reason", Node::string(reason));
  node.set("message", Node::string(message));
  node.set("lastTransitionTime", Node::string(format_instant(now)));
  return node;
}

}  // namespace

const Node* condition_of(const Node* status, std::string_view type) {
  const Node* conditions = status != nullptr ? status->find("conditions") : nullptr;
  if (conditions == nullptr) return nullptr;
  const auto found = std::ranges::find_if(
      conditions->items, [&](const Node& one) { return text_at(one, {"type"}) == type; });
  return found == conditions->items.end() ? nullptr : &*found;
}

StatusPatch status_patch(const Node* present, const Node& wanted) {
  Node patch = Node::object();
  bool active_alone = true;
  for (const char* name : kOurs) {
    const Node* want = wanted.find(name);
    const Node* known = present != nullptr ? present->find(name) : nullptr;
    if (want == nullptr && known == nullptr) continue;
    Node value = want == nullptr ? Node{} : *want;
    if (name == std::string_view("conditions")) value = with_times_kept(present, std::move(value));
    if (known != nullptr && to_json(*known) == to_json(value)) continue;
    patch.set(name, without_the_gone(known, std::move(value)));
    if (name != kLastActive) active_alone = false;
  }
  if (patch.members.empty()) return {};
  if (active_alone && present != nullptr) {
    const auto age = age_between(text_at(*present, {kLastActive}), text_at(wanted, {kLastActive}));
    if (age && *age < kActivityStep) return {.later = kActivityStep - *age};
  }
  return {.patch = std::move(patch)};
}

Node refused_status(std::string_view kind, const std::string& why, TimePoint now) {
  Node status = Node::object();
  Node& conditions = status.set("conditions", Node::array());
  conditions.push(condition("Ready", "False", std::string(kind) + "CheckFailed", why, now));
  conditions.push(condition("Active", "Unknown", "UnknownState", "it is not being scaled", now));
  return status;
}

}  // namespace jobmill::app
