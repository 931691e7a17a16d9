// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "base/document.h"
#include "scalers/cluster_pods.h"

namespace jobmill::app {

// A Pod, or a PodList, of the API server, as triggers see it.
scalers::ClusterPod read_cluster_pod(const Node& pod);
std::vector<scalers::ClusterPod> read_cluster_pods(const Node& list);

// Adds what a PodMetricsList of metrics.k8s.io says: its pods are matched by their names. Those
// that it does not name stay without.
void add_usage(std::vector<scalers::ClusterPod>& pods, const Node& metrics);

}  // namespace jobmill::app
