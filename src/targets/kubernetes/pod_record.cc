// SPDX-License-Identifier: Apache-2.0
#include "targets/kubernetes/pod_record.h"

#include <charconv>

#include <fmt/format.h>

#include "base/duration.h"

namespace jobmill::targets {
namespace {

constexpr char kCost[] = "controller.kubernetes.io/pod-deletion-cost";
constexpr char kSafeToEvict[] = "cluster-autoscaler.kubernetes.io/safe-to-evict";

const Node kNothing;

const Node& at(const Node& node, std::string_view key) {
  const Node* found = node.find(key);
  return found != nullptr ? *found : kNothing;
}

bool is_true(const Node& node) { return node.as_bool().value_or(false); }

std::optional<int> whole(const std::string& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

PodMarks read_marks(const Node& annotations) {
  PodMarks marks;
  marks.deletion_cost = whole(at(annotations, kCost).text);
  const std::string& safe = at(annotations, kSafeToEvict).text;
  if (!safe.empty()) marks.safe_to_evict = safe == "true";
  return marks;
}

const Node& controller(const Node& metadata) {
  for (const Node& owner : at(metadata, "ownerReferences").items)
    if (is_true(at(owner, "controller"))) return owner;
  return kNothing;
}

bool is_ready(const Node& status) {
  for (const Node& condition : at(status, "conditions").items)
    if (at(condition, "type").text == "Ready") return at(condition, "status").text == "True";
  return false;
}

void read_containers(const Node& pod, PodRecord& record) {
  const auto& containers = at(at(pod, "spec"), "containers").items;
  int ready = 0;
  for (const Node& one : at(at(pod, "status"), "containerStatuses").items) {
    record.view.restarts += static_cast<int>(at(one, "restartCount").as_int().value_or(0));
    ready += is_true(at(one, "ready")) ? 1 : 0;
    const Node& waiting = at(at(one, "state"), "waiting");
    if (!waiting.is_object()) continue;
    if (!at(waiting, "reason").text.empty()) record.status = at(waiting, "reason").text;
    record.detail = at(waiting, "message").text;
  }
  record.ready = fmt::format("{}/{}", ready, containers.size());
}

}  // namespace

PodRecord read_pod_record(const Node& document) {
  const Node& metadata = at(document, "metadata");
  const Node& status = at(document, "status");
  const std::string& phase = at(status, "phase").text;
  PodRecord record;
  record.ns = at(metadata, "namespace").text;
  record.owner_kind = at(controller(metadata), "kind").text;
  record.status = at(status, "reason").text.empty() ? phase : at(status, "reason").text;
  record.detail = at(status, "message").text;
  for (const Node::Member& label : at(metadata, "labels").members)
    record.labels[label.key] = label.value.text;

  PodView& view = record.view;
  view.name = at(metadata, "name").text;
  view.uid = at(metadata, "uid").text;
  view.owner = at(controller(metadata), "uid").text;
  if (phase == "Succeeded" || phase == "Failed")
    view.phase = PodView::Phase::Ended;
  else
    view.phase =
        phase.empty() || phase == "Pending" ? PodView::Phase::Pending : PodView::Phase::Running;
  view.assigned = !at(at(document, "spec"), "nodeName").text.empty();
  view.ready = view.phase == PodView::Phase::Running && is_ready(status);
  view.deleting = !at(metadata, "deletionTimestamp").text.empty();
  if (const auto created = parse_instant(at(metadata, "creationTimestamp").text))
    view.created = *created;
  view.marks = read_marks(at(metadata, "annotations"));
  read_containers(document, record);
  if (view.deleting) record.status = "Terminating";
  return record;
}

Node marks_patch(const PodMarks& marks) {
  Node patch = Node::object();
  Node& annotations = patch.set("metadata", Node::object()).set("annotations", Node::object());
  if (marks.deletion_cost)
    annotations.set(kCost, Node::string(std::to_string(*marks.deletion_cost)));
  if (marks.safe_to_evict)
    annotations.set(kSafeToEvict, Node::string(*marks.safe_to_evict ? "true" : "false"));
  return patch;
}

}  // namespace jobmill::targets
