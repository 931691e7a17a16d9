// SPDX-License-Identifier: Apache-2.0
#include "app/scaled_jobs.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"
#include "scale/auth.h"

namespace jobmill::app {
namespace {

using manifest::Object;
using manifest::ObjectKey;

constexpr std::string_view kKind = "ScaledJob";

// Kinds that a ScaledJob may refer to.
bool is_referred_to(const ObjectKey& key) {
  return key.kind == "Secret" || key.kind == "ConfigMap" || key.kind == "TriggerAuthentication" ||
         key.kind == "ClusterTriggerAuthentication";
}

Node condition(std::string_view type, std::string_view status, std::string_view reason,
               std::string message) {
  Node node = Node::object();
  node.set("type", Node::string(type));
  node.set("status", Node::string(status));
  node.set("reason", Node::string(reason));
  node.set("message", Node::string(message));
  return node;
}

// One trigger as the latest decision saw it.
struct Seen {
  std::string name;
  double value = 0;
  bool active = false;
  std::string error;
};

std::vector<Seen> seen_by(const scale::ExecutionsInput& input) {
  std::vector<Seen> all;
  for (const scale::JobTrigger& trigger : input.triggers)
    all.push_back({trigger.name, trigger.queue_length, trigger.active, trigger.error});
  for (const scale::BoundRule& rule : input.bound) {
    const std::int64_t present = rule.ready + rule.locked;
    all.push_back({rule.name, static_cast<double>(present), present > rule.activation, rule.error});
  }
  return all;
}

Node trigger_document(const Seen& trigger, const std::vector<std::string>& warnings) {
  Node node = Node::object();
  node.set("name", Node::string(trigger.name));
  node.set("active", Node::boolean(trigger.active));
  if (trigger.error.empty())
    node.set("value", Node::number(trigger.value));
  else
    node.set("error", Node::string(trigger.error));
  Node list = Node::array();
  for (const std::string& warning : warnings) list.push(Node::string(warning));
  if (!warnings.empty()) node.set("warnings", std::move(list));
  return node;
}

Node check_failed(const std::string& why) {
  return condition("Ready", "False", "ScaledJobCheckFailed", "nothing starts: " + why);
}

Node ready_condition(const std::string& obstacle, const std::vector<Seen>& seen) {
  if (!obstacle.empty()) return check_failed(obstacle);
  const auto failed =
      std::ranges::count_if(seen, [](const Seen& one) { return !one.error.empty(); });
  if (failed == 0) return condition("Ready", "True", "ScaledJobReady", "its triggers are watched");
  const auto first = std::ranges::find_if(seen, [](const Seen& one) { return !one.error.empty(); });
  const bool all = static_cast<std::size_t>(failed) == seen.size();
  return condition("Ready", all ? "False" : "Unknown", all ? "TriggerError" : "PartialTriggerError",
                   first->name + ": " + first->error);
}

Node active_condition(bool decided, const std::vector<Seen>& seen) {
  if (!decided) return condition("Active", "Unknown", "UnknownState", "not decided yet");
  const bool active = std::ranges::any_of(seen, &Seen::active);
  return active ? condition("Active", "True", "ScalerActive", "a trigger is active")
                : condition("Active", "False", "ScalerNotActive", "no trigger is active");
}

Node paused_condition(bool paused) {
  return paused ? condition("Paused", "True", "ScaledJobPaused", "an annotation pauses it")
                : condition("Paused", "False", "ScaledJobUnpaused", "");
}

std::string authentications(const std::vector<scale::Trigger>& triggers) {
  std::set<std::string> names;
  for (const scale::Trigger& trigger : triggers)
    if (trigger.authentication) names.insert(trigger.authentication->name);
  return fmt::format("{}", fmt::join(names, ","));
}

// By the names that KEDA gives to what its triggers measure.
void add_metrics(Node& node, const std::vector<std::string>& names, const std::vector<Seen>& seen) {
  Node& list = node.set("externalMetricNames", Node::array());
  for (const std::string& name : names) list.push(Node::string(name));
  Node& activity = node.set("triggersActivity", Node::object());
  for (std::size_t i = 0; i < names.size() && i < seen.size(); ++i)
    activity.set(names[i], Node::object()).set("isActive", Node::boolean(seen[i].active));
}

}  // namespace

void ScaledJobs::reconcile(const std::set<Key>& changed) {
  const bool all = std::ranges::any_of(changed, is_referred_to);
  for (const Object* object : catalog_.list(kKind))
    if (changed.contains(object->key) || (all && follows(object->key))) put(*object);
  for (const Key& key : changed)
    if (key.kind == kKind && !knows(key)) remove(key);
}

std::vector<ObjectKey> ScaledJobs::keys() const {
  std::vector<Key> keys;
  for (const Object* object : catalog_.list(kKind)) keys.push_back(object->key);
  return keys;
}

Result<scale::ScaledJobSpec> ScaledJobs::decoded(const Object& object) {
  manifest::Problems problems(object.source);
  scale::ScaledJobSpec spec = scale::decode_scaled_job(object, problems);
  if (!problems.ok()) return fail(Code::InvalidArgument, problems.errors().front().text);
  return spec;
}

std::function<Result<scale::TriggerSpec>(std::size_t)> ScaledJobs::resolver(
    scale::ScaledJobSpec spec) const {
  return [this, spec = std::move(spec)](std::size_t index) -> Result<scale::TriggerSpec> {
    TRY(auto resolved, scale::resolve_trigger(catalog_, spec, index));
    for (const std::string& warning : resolved.warnings)
      log_.warn(warning, {{"scaledjob", spec.key.name}});
    return std::move(resolved.spec);
  };
}

// --- what people see ----------------------------------------------------------------------------

Node ScaledJobs::status(const Key& key) const {
  Node node = Node::object();
  if (!knows(key)) return node;
  const Object& object = *catalog_.find(key);
  const auto spec = decoded(object);
  if (!spec) {
    node.set("conditions", Node::array()).push(check_failed(spec.error().message));
    return node;
  }
  const std::string obstacle = this->obstacle(object);
  node.set("triggersTypes", Node::string(scale::trigger_types(spec->triggers)));
  node.set("authenticationsTypes", Node::string(authentications(spec->triggers)));
  const auto picture = this->picture(key);
  if (!picture && !obstacle.empty())
    node.set("conditions", Node::array()).push(check_failed(obstacle));
  if (!picture) return node;

  std::vector<Seen> seen;
  if (picture->latest != nullptr) seen = seen_by(picture->latest->input);
  Node conditions = Node::array();
  conditions.push(ready_condition(obstacle, seen));
  conditions.push(active_condition(picture->latest != nullptr, seen));
  conditions.push(paused_condition(spec->paused));
  node.set("conditions", std::move(conditions));
  if (picture->semantics)
    node.set("semantics", Node::string(executions::to_string(*picture->semantics)));
  node.set("executions", Node::integer(picture->counts.unfinished));
  node.set("pending", Node::integer(picture->counts.pending));
  if (picture->last_create != nullptr)
    node.set("lastActiveTime", Node::string(format_instant(picture->last_create->input.at)));
  add_metrics(node, picture->metrics, seen);
  Node triggers = Node::array();
  for (std::size_t i = 0; i < seen.size() && i < spec->triggers.size(); ++i) {
    const auto resolved = scale::resolve_trigger(catalog_, *spec, i);
    triggers.push(trigger_document(
        seen[i], resolved ? resolved->warnings : std::vector{resolved.error().message}));
  }
  node.set("triggers", std::move(triggers));
  return node;
}

Node ScaledJobs::explained(const Key& key, const JobPicture& picture, Node document) {
  const std::string decision = picture.latest != nullptr ? picture.latest->id : "";
  document.set("name", Node::string(key.name));
  document.set("revision", Node::string(fmt::format("{}-{}-{}", decision, picture.counts.unfinished,
                                                    picture.counts.pending)));
  return document;
}

}  // namespace jobmill::app
