// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace jobmill::k8s {

// A kind of object as paths of the API name it.
struct Resource {
  std::string group;    // "apps"; empty: the core group
  std::string version;  // "v1"
  std::string plural;   // "deployments"
  std::string kind;     // "Deployment"
  bool namespaced = true;

  std::string api_version() const;  // "apps/v1", "v1"
  // "/apis/apps/v1/namespaces/default/deployments/web/scale". Without a name: the collection;
  // without a namespace: of all namespaces.
  std::string path(std::string_view ns, std::string_view name = {},
                   std::string_view subresource = {}) const;
  auto operator<=>(const Resource&) const = default;
};

// Those that we use ourselves.
namespace resources {
extern const Resource kConfigMaps, kSecrets, kPods, kServices, kEvents, kLimitRanges, kNamespaces;
extern const Resource kDeployments, kStatefulSets, kReplicaSets, kJobs, kLeases;
extern const Resource kHorizontalPodAutoscalers;  // autoscaling/v2
extern const Resource kCustomResourceDefinitions;
extern const Resource kScaledObjects, kScaledJobs;  // keda.sh/v1alpha1
extern const Resource kTriggerAuthentications, kClusterTriggerAuthentications;
}  // namespace resources

}  // namespace jobmill::k8s
