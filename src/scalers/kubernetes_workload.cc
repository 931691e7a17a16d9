// SPDX-License-Identifier: Apache-2.0
#include "scalers/kubernetes_workload.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/core.h>

#include "manifest/label_selector.h"
#include "scalers/table.h"

namespace jobmill::scalers {
namespace {

constexpr std::array kParameters{
    Parameter{.names = "podSelector", .required = true},
    Parameter{.names = "value", .type = ParameterType::Number, .fallback = "0"},
    Parameter{.names = "activationValue", .type = ParameterType::Number, .fallback = "0"},
    Parameter{.names = "groupByNode", .type = ParameterType::Boolean, .fallback = "false"},
};

std::size_t nodes_of(const std::vector<ClusterPod>& pods) {
  std::set<std::string_view> nodes;
  for (const ClusterPod& pod : pods)
    if (pod.phase != ClusterPod::Phase::Ended && !pod.node.empty()) nodes.insert(pod.node);
  return nodes.size();
}

}  // namespace

std::span<const Parameter> kubernetes_workload_parameters() { return kParameters; }

WorkloadTrigger decode_kubernetes_workload(Parameters& parameters) {
  WorkloadTrigger trigger;
  trigger.ns = parameters.spec().ns;
  trigger.selector = parameters.text("podSelector");
  if (!trigger.selector.empty())
    if (const auto good = manifest::LabelSelector::parse(trigger.selector); !good)
      parameters.complain(Flaw::Syntax, "podSelector: " + good.error().message);
  const auto target = parameters.number("value");
  if (target && *target <= 0 && !parameters.spec().feeds_formula)
    parameters.complain(Flaw::Range, "value must be greater than 0");
  trigger.activation = parameters.number("activationValue").value_or(0);
  trigger.by_node = parameters.boolean("groupByNode");
  trigger.metric = parameters.metric(fmt::format("workload-{}", trigger.ns), target.value_or(0));
  return trigger;
}

Result<WorkloadTrigger> parse_kubernetes_workload(const scale::TriggerSpec& spec) {
  Parameters parameters(spec, kParameters);
  WorkloadTrigger trigger = decode_kubernetes_workload(parameters);
  TRY_VOID(parameters.status());
  return trigger;
}

// Pods that are being deleted count for as long as they are there: they still take their place.
scale::Sample count_workload(const WorkloadTrigger& trigger, const std::vector<ClusterPod>& pods) {
  const auto pods_there = static_cast<std::size_t>(std::ranges::count_if(
      pods, [](const ClusterPod& pod) { return pod.phase != ClusterPod::Phase::Ended; }));
  const auto count = static_cast<double>(trigger.by_node ? nodes_of(pods) : pods_there);
  return {.value = count, .active = count > trigger.activation};
}

Result<std::unique_ptr<scale::Scaler>> make_kubernetes_workload(const scale::TriggerSpec& spec,
                                                                const ScalerContext& context) {
  TRY(WorkloadTrigger trigger, parse_kubernetes_workload(spec));
  if (!context.cluster.pods) return needs_cluster(spec.type);
  auto ask = [pods = context.cluster.pods, ns = trigger.ns, selector = trigger.selector](
                 ClusterSource::Done done) { pods(ns, selector, std::move(done)); };
  const scale::MetricSpec metric = trigger.metric;
  auto look = [trigger = std::move(trigger)](const std::vector<ClusterPod>& pods) {
    return Result<scale::Sample>(count_workload(trigger, pods));
  };
  return make_pods_scaler(metric, std::move(ask), std::move(look));
}

}  // namespace jobmill::scalers
