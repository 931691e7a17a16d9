// SPDX-License-Identifier: Apache-2.0
#include "app/cluster_objects.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/node_path.h"
#include "scale/auth.h"
#include "scale/scaled_job.h"
#include "scalers/table.h"

namespace jobmill::app {
namespace {

using manifest::Object;
using manifest::ObjectKey;
using manifest::Problems;

constexpr std::string_view kAutoscaler = "HorizontalPodAutoscaler";
constexpr char kAdopt[] = "jobmill/adopt";
constexpr char kTransfer[] = "scaledobject.keda.sh/transfer-hpa-ownership";
constexpr char kOwnershipCheck[] = "validations.keda.sh/hpa-ownership";

ObjectKey key_of(const Node& object) {
  return {text_at(object, {"kind"}), text_at(object, {"metadata", "namespace"}),
          text_at(object, {"metadata", "name"})};
}

bool is_scaled(std::string_view kind) { return kind == "ScaledObject" || kind == "ScaledJob"; }

bool annotated(const Node& object, const char* name, std::string_view value) {
  return text_at(object, {"metadata", "annotations", name}) == value;
}

// What the API adds for its own purposes, and may be long.
Node without_managed_fields(Node object) {
  if (Node* metadata = object.find("metadata"))
    std::erase_if(metadata->members,
                  [](const Node::Member& member) { return member.key == "managedFields"; });
  return object;
}

// The spec's number, and what people write into the metadata. The status is ours, and labels matter
// where they are handed on to Jobs.
std::string version_of(const Node& object) {
  std::string text = text_at(object, {"metadata", "uid"});
  for (const char* field : {"generation", "deletionTimestamp"})
    text += "\n" + text_at(object, {"metadata", field});
  const auto add = [&](const char* field) {
    if (const Node* found = find_at(object, {"metadata", field})) text += "\n" + to_json(*found);
  };
  add("annotations");
  add("finalizers");
  if (text_at(object, {"kind"}) == "ScaledJob") add("labels");
  return text;
}

Object to_object(Node document, Problems& problems) {
  Object object = manifest::read_object(without_managed_fields(std::move(document)),
                                        manifest::kDefaultNamespace, problems);
  if (const Node* generation = find_at(object.document, {"metadata", "generation"}))
    object.generation = generation->as_int().value_or(1);
  if (const auto created =
          parse_instant(text_at(object.document, {"metadata", "creationTimestamp"})))
    object.created = *created;
  return object;
}

std::string joined(const std::vector<manifest::Remark>& remarks) {
  std::string all;
  for (const manifest::Remark& remark : remarks) all += (all.empty() ? "" : "; ") + remark.text;
  return all;
}

std::vector<std::string> texts(const std::vector<manifest::Remark>& remarks) {
  std::vector<std::string> out;
  for (const manifest::Remark& remark : remarks) out.push_back(remark.text);
  return out;
}

ClusterObjects::Judged wrong(std::string why) {
  return {.verdict = ClusterObjects::Verdict::Wrong, .why = std::move(why)};
}

ClusterObjects::Judged judge_job(const Object& object) {
  Problems problems("");
  const auto spec = scale::decode_scaled_job(object, problems);
  if (!problems.ok()) return wrong(joined(problems.errors()));
  if (const Status known = scale::check_trigger_types(spec.triggers, scalers::scaler_types());
      !known)
    return wrong(known.error().message);
  return {};
}

}  // namespace

// --- what comes in ------------------------------------------------------------------------------

ClusterObjects::Change ClusterObjects::listed(std::string_view kind,
                                              const std::vector<Node>& items) {
  std::set<Key> there;
  for (const Node& item : items) there.insert(key_of(item));
  std::vector<Key> gone;
  const auto note_gone = [&](const auto& known) {
    for (const auto& [key, value] : known)
      if (key.kind == kind && !there.contains(key)) gone.push_back(key);
  };
  note_gone(scaled_);
  note_gone(others_);
  note_gone(autoscalers_);

  Change change;
  std::set<std::string> namespaces;
  for (const Key& key : gone) {
    drop(key, change);
    namespaces.insert(key.ns);
  }
  for (const Node& item : items) {
    take(item, change);
    namespaces.insert(key_of(item).ns);
  }
  if (is_scaled(kind) || kind == kAutoscaler)
    for (const std::string& ns : namespaces) judge(ns, change);
  return change;
}

ClusterObjects::Change ClusterObjects::put(const Node& object) {
  Change change;
  if (take(object, change)) judge(key_of(object).ns, change);
  return change;
}

ClusterObjects::Change ClusterObjects::removed(const Node& object) {
  Change change;
  const Key key = key_of(object);
  drop(key, change);
  if (is_scaled(key.kind) || key.kind == kAutoscaler) judge(key.ns, change);
  return change;
}

bool ClusterObjects::take(const Node& document, Change& change) {
  const Key key = key_of(document);
  Problems problems("");
  if (key.kind == kAutoscaler) {
    Autoscaler seen{.target = {text_at(document, {"spec", "scaleTargetRef", "kind"}), key.ns,
                               text_at(document, {"spec", "scaleTargetRef", "name"})},
                    .owner = {},
                    .unchecked = annotated(document, kOwnershipCheck, "false")};
    if (const Node* owners = find_at(document, {"metadata", "ownerReferences"}))
      for (const Node& owner : owners->items)
        if (text_at(owner, {"kind"}) == "ScaledObject") seen.owner = text_at(owner, {"name"});
    const bool same = autoscalers_.contains(key) && autoscalers_[key] == seen;
    autoscalers_[key] = std::move(seen);
    return !same;
  }
  if (!is_scaled(key.kind)) {
    std::string version = text_at(document, {"metadata", "resourceVersion"});
    auto& known = others_[key];
    if (!version.empty() && known == version) return false;
    known = std::move(version);
    // What is wrong with it speaks where it is used: as a missing value.
    change.put.push_back(to_object(document, problems));
    return false;
  }
  Scaled& scaled = scaled_[key];
  std::string version = version_of(document);
  if (scaled.version == version) {  // only its status, or its labels
    if (const Node* status = document.find("status")) scaled.object.document.set("status", *status);
    for (const char* field : {"labels", "resourceVersion"})
      if (const Node* found = find_at(document, {"metadata", field}))
        scaled.object.document.find("metadata")->set(field, *found);
    return false;
  }
  scaled.version = std::move(version);
  scaled.object = to_object(document, problems);
  if (key.kind == "ScaledObject") {
    scaled.spec = scale::decode_scaled_object(scaled.object, problems);
    scaled.notes = texts(problems.notes());
  }
  scaled.unreadable = joined(problems.errors());
  scaled.changed = true;
  change.judged.insert(key);
  return true;
}

void ClusterObjects::drop(const Key& key, Change& change) {
  autoscalers_.erase(key);
  if (others_.erase(key) > 0) change.gone.push_back(key);
  const auto it = scaled_.find(key);
  if (it == scaled_.end()) return;
  if (it->second.fed) change.gone.push_back(key);
  change.judged.insert(key);
  scaled_.erase(it);
}

// --- judgement ----------------------------------------------------------------------------------

// Of one namespace: what one object is allowed depends on the others, those that are older first.
void ClusterObjects::judge(const std::string& ns, Change& change) {
  std::vector<std::pair<const Key, Scaled>*> here;
  for (auto& entry : scaled_)
    if (entry.first.ns == ns) here.push_back(&entry);
  std::ranges::stable_sort(here, {}, [](const auto* one) { return one->second.object.created; });

  std::vector<scale::ScaledObjectSpec> others;
  for (auto* entry : here) {
    auto& [key, scaled] = *entry;
    const Judged before = std::exchange(scaled.judged, judge_one(scaled, others));
    if (before != scaled.judged) change.judged.insert(key);
    const bool good = scaled.judged.verdict == Verdict::Good;
    if (good && scaled.spec) others.push_back(*scaled.spec);
    if (good && (!scaled.fed || scaled.changed)) change.put.push_back(scaled.object);
    if (!good && scaled.fed) change.gone.push_back(key);
    scaled.fed = good;
    scaled.changed = false;
  }
}

ClusterObjects::Judged ClusterObjects::judge_one(
    const Scaled& scaled, const std::vector<scale::ScaledObjectSpec>& others) const {
  const Object& object = scaled.object;
  if (find_at(object.document, {"metadata", "deletionTimestamp"}) != nullptr)
    return {.verdict = Verdict::Ends};
  if (!scaled.unreadable.empty()) return wrong(scaled.unreadable);
  if (object.key.kind == "ScaledJob") return judge_job(object);
  if (const Status good = scale::check_scaled_object(*scaled.spec, others, scalers::scaler_types());
      !good)
    return wrong(good.error().message);
  Judged judged = judge_target(object, *scaled.spec);
  if (judged.verdict == Verdict::Good) judged.warnings = scaled.notes;
  return judged;
}

// Two who set the number of the same replicas undo each other's work.
ClusterObjects::Judged ClusterObjects::judge_target(const Object& object,
                                                    const scale::ScaledObjectSpec& spec) const {
  for (const auto& [key, autoscaler] : autoscalers_) {
    if (autoscaler.target != spec.target_key()) continue;
    if (autoscaler.owner == object.key.name) {
      if (adopted_autoscaler(object.key)) continue;
      return {.verdict = Verdict::Others,
              .why = fmt::format("an installed KEDA scales it by the HorizontalPodAutoscaler {}; "
                                 "the annotation {}: \"true\" takes it over",
                                 key.name, kAdopt)};
    }
    if (autoscaler.unchecked) continue;
    const auto transfer = object.annotations.find(kTransfer);
    const bool transferred = transfer != object.annotations.end() && transfer->second == "true";
    if (transferred && spec.hpa_name == key.name) continue;
    return wrong(fmt::format(
        "the HorizontalPodAutoscaler {} scales {} already{}", key.name,
        manifest::to_string(spec.target_key()),
        transferred ? "; to take it over, name it in horizontalPodAutoscalerConfig.name"
                    : "; delete it, or take it over by the annotation transfer-hpa-ownership"));
  }
  return {};
}

std::optional<ClusterObjects::Key> ClusterObjects::adopted_autoscaler(const Key& scaled) const {
  const auto it = scaled_.find(scaled);
  if (it == scaled_.end() || !it->second.spec) return std::nullopt;
  const Object& object = it->second.object;
  const scale::ScaledObjectSpec& spec = *it->second.spec;
  const auto told = [&](const char* annotation) {
    const auto found = object.annotations.find(annotation);
    return found != object.annotations.end() && found->second == "true";
  };
  for (const auto& [key, autoscaler] : autoscalers_) {
    if (autoscaler.target != spec.target_key()) continue;
    if (autoscaler.owner == scaled.name && told(kAdopt)) return key;
    if (autoscaler.owner.empty() && told(kTransfer) && spec.hpa_name == key.name) return key;
  }
  return std::nullopt;
}

// --- as it is -----------------------------------------------------------------------------------

const ClusterObjects::Judged* ClusterObjects::judged(const Key& key) const {
  const auto it = scaled_.find(key);
  return it == scaled_.end() ? nullptr : &it->second.judged;
}

const Node* ClusterObjects::document(const Key& key) const {
  const auto it = scaled_.find(key);
  return it == scaled_.end() ? nullptr : &it->second.object.document;
}

const scale::ScaledObjectSpec* ClusterObjects::spec(const Key& key) const {
  const auto it = scaled_.find(key);
  return it == scaled_.end() || !it->second.spec ? nullptr : &*it->second.spec;
}

void ClusterObjects::set_status(const Key& key, Node status) {
  const auto it = scaled_.find(key);
  if (it != scaled_.end()) it->second.object.document.set("status", std::move(status));
}

std::vector<ClusterObjects::Key> ClusterObjects::scaled() const {
  std::vector<Key> keys;
  for (const auto& [key, scaled] : scaled_) keys.push_back(key);
  return keys;
}

}  // namespace jobmill::app
