// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "manifest/quantity.h"
#include "scale/scaler.h"
#include "scalers/cluster_pods.h"
#include "scalers/parameters.h"

namespace jobmill::scalers {

struct ScalerContext;

// The triggers `cpu` and `memory`: what the target's own pods use, as the resource metrics of a
// HorizontalPodAutoscaler have it. docs/triggers/cpu.md and docs/triggers/memory.md are their
// pages.

struct ResourceTrigger {
  scale::MetricSpec metric;
  std::string resource;          // "cpu" or "memory"
  std::string container;         // empty: the pod as a whole
  int utilization = 0;           // per cent of what is requested; 0: `average` counts
  manifest::Quantity average{};  // of each pod
  scale::ScaleTargetRef target{};
  std::string ns{};
};

std::span<const Parameter> resource_parameters();
ResourceTrigger decode_resource(Parameters& parameters);
Result<ResourceTrigger> parse_resource(const scale::TriggerSpec& spec);

// The number that, held against the trigger's target and multiplied by the ready pods, gives what
// the HorizontalPodAutoscaler would ask for: per cent of the requests, or what a pod uses. Like
// it, this looks at ready pods that are neither ended nor being deleted, and is careful with
// those whose use is unknown: they count as using nothing where the others ask for more, and as
// using all of it where the others ask for less; where that would turn the direction, the size is
// to stay. The size stays as well while no pod has been ready for long enough to be measured.
//
// An error: a pod has no request, or pods have not been measured for five minutes.
Result<double> resource_value(const ResourceTrigger& trigger, const std::vector<ClusterPod>& pods,
                              TimePoint now);

Result<std::unique_ptr<scale::Scaler>> make_resource(const scale::TriggerSpec& spec,
                                                     const ScalerContext& context);

}  // namespace jobmill::scalers
