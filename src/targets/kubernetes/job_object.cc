// SPDX-License-Identifier: Apache-2.0
#include "targets/kubernetes/job_object.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <set>
#include <utility>

#include "base/node_path.h"

namespace jobmill::targets {
namespace {

using Result = scale::FinishedJob::Result;

constexpr std::string_view kGeneration = "scaledjob.keda.sh/generation";
constexpr std::string_view kExcludedLabels = "scaledjob.keda.sh/job-excluded-labels";
// The second one is what Jobs had before Kubernetes 1.27, and still have.
constexpr std::string_view kJobName = "batch.kubernetes.io/job-name";
constexpr std::string_view kOldJobName = "job-name";

// The member, made where it is missing.
Node& object_at(Node& node, std::string_view key) {
  Node* found = node.find(key);
  if (found == nullptr || !found->is_object()) found = &node.set(std::string(key), Node::object());
  return *found;
}

std::set<std::string, std::less<>> excluded_labels(const manifest::Object& scaled_job) {
  std::set<std::string, std::less<>> names;
  const auto list = scaled_job.annotations.find(kExcludedLabels);
  std::string_view rest = list != scaled_job.annotations.end() ? list->second : std::string_view();
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    std::string_view name = rest.substr(0, comma);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    names.emplace(name);
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
  }
  return names;
}

Node labels_of(const manifest::Object& scaled_job, std::string_view version) {
  const std::string& name = scaled_job.key.name;
  Node labels = Node::object();
  labels.set("app.kubernetes.io/name", Node::string(name));
  labels.set("app.kubernetes.io/version", Node::string(version));
  labels.set("app.kubernetes.io/part-of", Node::string(name));
  labels.set("app.kubernetes.io/managed-by", Node::string("keda-operator"));
  const auto excluded = excluded_labels(scaled_job);
  for (const auto& [key, value] : scaled_job.labels)
    if (!excluded.contains(key)) labels.set(key, Node::string(value));
  labels.set(std::string(kScaledJobLabel), Node::string(name));  // by which it is counted
  return labels;
}

Node annotations_of(const manifest::Object& scaled_job) {
  Node annotations = Node::object();
  for (const auto& [key, value] : scaled_job.annotations) annotations.set(key, Node::string(value));
  annotations.set(std::string(kGeneration), Node::string(std::to_string(scaled_job.generation)));
  return annotations;
}

Node owner_of(const manifest::Object& scaled_job) {
  Node owner = Node::object();
  owner.set("apiVersion", Node::string(scaled_job.api_version));
  owner.set("kind", Node::string(scaled_job.key.kind));
  owner.set("name", Node::string(scaled_job.key.name));
  owner.set("uid", Node::string(text_at(scaled_job.document, {"metadata", "uid"})));
  owner.set("controller", Node::boolean(true));
  owner.set("blockOwnerDeletion", Node::boolean(true));
  return owner;
}

Node metadata_of(const manifest::Object& scaled_job, std::string_view version) {
  Node metadata = Node::object();
  metadata.set("generateName", Node::string(scaled_job.key.name + "-"));
  metadata.set("namespace", Node::string(scaled_job.key.ns));
  metadata.set("labels", labels_of(scaled_job, version));
  metadata.set("annotations", annotations_of(scaled_job));
  metadata.set("ownerReferences", Node::array()).push(owner_of(scaled_job));
  return metadata;
}

Node spec_of(const manifest::Object& scaled_job) {
  const Node* written = find_at(scaled_job.document, {"spec", "jobTargetRef"});
  Node spec = written != nullptr ? *written : Node::object();
  Node& pod = object_at(spec, "template");
  object_at(object_at(pod, "metadata"), "labels")
      .set(std::string(kScaledJobLabel), Node::string(scaled_job.key.name));
  Node& pod_spec = object_at(pod, "spec");
  const Node* policy = pod_spec.find("restartPolicy");
  if (policy == nullptr || !policy->is_string() || policy->text.empty())
    pod_spec.set("restartPolicy", Node::string("OnFailure"));
  return spec;
}

bool is_true(const Node& condition) { return text_at(condition, {"status"}) == "True"; }

const Node* condition_of(const Node& object, std::string_view type) {
  const Node* conditions = find_at(object, {"status", "conditions"});
  if (conditions == nullptr) return nullptr;
  const auto found = std::ranges::find_if(conditions->items, [&](const Node& condition) {
    return is_true(condition) && text_at(condition, {"type"}) == type;
  });
  return found != conditions->items.end() ? &*found : nullptr;
}

std::optional<std::int64_t> number(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// A Job that failed has no completion time; its condition tells when.
void read_end(const Node& job, JobState& state) {
  state.ended_at = text_at(job, {"metadata", "creationTimestamp"});
  const Node* complete = condition_of(job, "Complete");
  const Node* failed = condition_of(job, "Failed");
  if (complete == nullptr && failed == nullptr) return;
  state.result = complete != nullptr ? Result::Complete : Result::Failed;
  std::string at = text_at(job, {"status", "completionTime"});
  if (at.empty()) at = text_at(complete != nullptr ? *complete : *failed, {"lastTransitionTime"});
  if (!at.empty()) state.ended_at = std::move(at);
}

}  // namespace

Node make_job(const manifest::Object& scaled_job, std::string_view version) {
  Node job = Node::object();
  job.set("apiVersion", Node::string("batch/v1"));
  job.set("kind", Node::string("Job"));
  job.set("metadata", metadata_of(scaled_job, version));
  job.set("spec", spec_of(scaled_job));
  return job;
}

JobState read_job(const Node& job) {
  JobState state;
  state.ns = text_at(job, {"metadata", "namespace"});
  state.name = text_at(job, {"metadata", "name"});
  state.scaled_job = text_at(job, {"metadata", "labels", kScaledJobLabel});
  state.generation = number(text_at(job, {"metadata", "annotations", kGeneration}));
  state.leaving = find_at(job, {"metadata", "deletionTimestamp"}) != nullptr;
  read_end(job, state);
  return state;
}

PodState read_pod(const Node& pod) {
  PodState state;
  state.ns = text_at(pod, {"metadata", "namespace"});
  state.name = text_at(pod, {"metadata", "name"});
  state.job = text_at(pod, {"metadata", "labels", kJobName});
  if (state.job.empty()) state.job = text_at(pod, {"metadata", "labels", kOldJobName});
  state.pod.phase = text_at(pod, {"status", "phase"});
  if (const Node* conditions = find_at(pod, {"status", "conditions"}))
    for (const Node& condition : conditions->items)
      if (is_true(condition)) state.pod.conditions.push_back(text_at(condition, {"type"}));
  return state;
}

}  // namespace jobmill::targets
