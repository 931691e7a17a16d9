// SPDX-License-Identifier: Apache-2.0
#include "app/cluster_pods.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/duration.h"
#include "base/node_path.h"
#include "manifest/quantity.h"

namespace jobmill::app {
namespace {

using scalers::ClusterPod;

TimePoint instant_at(const Node& node, std::initializer_list<std::string_view> path) {
  const auto instant = parse_instant(text_at(node, path));
  return instant ? *instant : TimePoint();
}

template <class Visit>
void each(const Node* list, Visit visit) {
  if (list != nullptr)
    for (const Node& item : list->items) visit(item);
}

ClusterPod::Amounts amounts_of(const Node* resources) {
  ClusterPod::Amounts out;
  if (resources == nullptr) return out;
  for (const char* resource : {"cpu", "memory"})
    if (const Node* found = resources->find(resource))
      if (const auto quantity = manifest::Quantity::parse(found->text))
        out[resource] = quantity->milli();
  return out;
}

ClusterPod::Phase phase_of(const Node& pod) {
  const std::string phase = text_at(pod, {"status", "phase"});
  if (phase == "Succeeded" || phase == "Failed") return ClusterPod::Phase::Ended;
  return phase == "Running" ? ClusterPod::Phase::Running : ClusterPod::Phase::Pending;
}

void read_readiness(const Node& pod, ClusterPod& out) {
  each(find_at(pod, {"status", "conditions"}), [&](const Node& condition) {
    if (text_at(condition, {"type"}) != "Ready") return;
    out.ready = text_at(condition, {"status"}) == "True";
    out.ready_since = instant_at(condition, {"lastTransitionTime"});
  });
}

// With the init containers that go on beside the others.
void read_containers(const Node& pod, ClusterPod& out) {
  const auto add = [&](const Node& container) {
    out.containers.push_back(
        {.name = text_at(container, {"name"}),
         .requested = amounts_of(find_at(container, {"resources", "requests"}))});
  };
  each(find_at(pod, {"spec", "containers"}), add);
  each(find_at(pod, {"spec", "initContainers"}), [&](const Node& container) {
    if (text_at(container, {"restartPolicy"}) == "Always") add(container);
  });
}

}  // namespace

ClusterPod read_cluster_pod(const Node& pod) {
  ClusterPod out;
  out.name = text_at(pod, {"metadata", "name"});
  out.node = text_at(pod, {"spec", "nodeName"});
  out.phase = phase_of(pod);
  out.deleting = find_at(pod, {"metadata", "deletionTimestamp"}) != nullptr;
  out.started = instant_at(pod, {"status", "startTime"});
  out.requested = amounts_of(find_at(pod, {"spec", "resources", "requests"}));
  read_readiness(pod, out);
  read_containers(pod, out);
  return out;
}

std::vector<ClusterPod> read_cluster_pods(const Node& list) {
  std::vector<ClusterPod> pods;
  each(list.find("items"), [&](const Node& pod) { pods.push_back(read_cluster_pod(pod)); });
  return pods;
}

void add_usage(std::vector<ClusterPod>& pods, const Node& metrics) {
  each(metrics.find("items"), [&](const Node& item) {
    const auto pod =
        std::ranges::find(pods, text_at(item, {"metadata", "name"}), &ClusterPod::name);
    if (pod == pods.end()) return;
    const auto window = parse_go_duration(text_at(item, {"window"}));
    pod->measured = ClusterPod::Measured{.at = instant_at(item, {"timestamp"}),
                                         .window = window ? *window : Duration()};
    each(item.find("containers"), [&](const Node& container) {
      const auto its = std::ranges::find(pod->containers, text_at(container, {"name"}),
                                         &ClusterPod::Container::name);
      if (its != pod->containers.end()) its->used = amounts_of(container.find("usage"));
    });
  });
}

}  // namespace jobmill::app
