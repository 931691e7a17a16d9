// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "scale/scaler.h"
#include "scalers/cluster_pods.h"
#include "scalers/parameters.h"

namespace jobmill::scalers {

struct ScalerContext;

// The trigger `kubernetes-workload`: how many pods of the namespace match a selector.
// docs/triggers/kubernetes-workload.md is its page.

struct WorkloadTrigger {
  scale::MetricSpec metric;
  std::string ns;
  std::string selector;
  double activation = 0;
  bool by_node = false;  // counts the nodes that have such pods
};

std::span<const Parameter> kubernetes_workload_parameters();
WorkloadTrigger decode_kubernetes_workload(Parameters& parameters);
Result<WorkloadTrigger> parse_kubernetes_workload(const scale::TriggerSpec& spec);

scale::Sample count_workload(const WorkloadTrigger& trigger, const std::vector<ClusterPod>& pods);

Result<std::unique_ptr<scale::Scaler>> make_kubernetes_workload(const scale::TriggerSpec& spec,
                                                                const ScalerContext& context);

}  // namespace jobmill::scalers
