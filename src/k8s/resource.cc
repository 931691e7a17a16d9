// SPDX-License-Identifier: Apache-2.0
#include "k8s/resource.h"

namespace jobmill::k8s {

std::string Resource::api_version() const {
  return group.empty() ? version : group + "/" + version;
}

std::string Resource::path(std::string_view ns, std::string_view name,
                           std::string_view subresource) const {
  std::string path = (group.empty() ? "/api/" : "/apis/") + api_version();
  if (namespaced && !ns.empty()) path.append("/namespaces/").append(ns);
  path.append("/").append(plural);
  if (!name.empty()) path.append("/").append(name);
  if (!subresource.empty()) path.append("/").append(subresource);
  return path;
}

namespace resources {
const Resource kConfigMaps{"", "v1", "configmaps", "ConfigMap", true};
const Resource kSecrets{"", "v1", "secrets", "Secret", true};
const Resource kPods{"", "v1", "pods", "Pod", true};
const Resource kServices{"", "v1", "services", "Service", true};
const Resource kEvents{"", "v1", "events", "Event", true};
const Resource kLimitRanges{"", "v1", "limitranges", "LimitRange", true};
const Resource kNamespaces{"", "v1", "namespaces", "Namespace", false};
const Resource kDeployments{"apps", "v1", "deployments", "Deployment", true};
const Resource kStatefulSets{"apps", "v1", "statefulsets", "StatefulSet", true};
const Resource kReplicaSets{"apps", "v1", "replicasets", "ReplicaSet", true};
const Resource kJobs{"batch", "v1", "jobs", "Job", true};
const Resource kLeases{"coordination.k8s.io", "v1", "leases", "Lease", true};
const Resource kHorizontalPodAutoscalers{"autoscaling", "v2", "horizontalpodautoscalers",
                                         "HorizontalPodAutoscaler", true};
const Resource kCustomResourceDefinitions{"apiextensions.k8s.io", "v1", "customresourcedefinitions",
                                          "CustomResourceDefinition", false};
const Resource kScaledObjects{"keda.sh", "v1alpha1", "scaledobjects", "ScaledObject", true};
const Resource kScaledJobs{"keda.sh", "v1alpha1", "scaledjobs", "ScaledJob", true};
const Resource kTriggerAuthentications{"keda.sh", "v1alpha1", "triggerauthentications",
                                       "TriggerAuthentication", true};
const Resource kClusterTriggerAuthentications{
    "keda.sh", "v1alpha1", "clustertriggerauthentications", "ClusterTriggerAuthentication", false};
}  // namespace resources

}  // namespace jobmill::k8s
