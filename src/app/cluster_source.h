// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "k8s/client.h"
#include "manifest/label_selector.h"
#include "scalers/cluster_pods.h"

namespace jobmill::app {

// Pods of a namespace that somebody watches anyway; none: nobody does, or not well.
using WatchedPods = std::function<std::optional<std::vector<scalers::ClusterPod>>(
    std::string_view ns, const manifest::LabelSelector& selector)>;

// The pods of a cluster, for triggers that look at them. Where they are watched they are taken from
// there; else each question is asked of the API server when it comes, as what they use always is.
// Nothing is kept but the label selectors of scale targets, for ten minutes. To be used on the
// client's thread, where it answers, perhaps at once; client and clock outlive it.
scalers::ClusterSource cluster_source(k8s::Client& client, const Clock& clock,
                                      WatchedPods watched = {});

}  // namespace jobmill::app
