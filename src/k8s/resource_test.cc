// SPDX-License-Identifier: Apache-2.0
#include "k8s/resource.h"

#include <doctest/doctest.h>

namespace jobmill::k8s {

TEST_CASE("resource: paths of the API") {
  using namespace resources;
  CHECK(kPods.path("default") == "/api/v1/namespaces/default/pods");
  CHECK(kPods.path("") == "/api/v1/pods");
  CHECK(kDeployments.path("default", "web", "scale") ==
        "/apis/apps/v1/namespaces/default/deployments/web/scale");
  CHECK(kClusterTriggerAuthentications.path("ignored", "login") ==
        "/apis/keda.sh/v1alpha1/clustertriggerauthentications/login");
  CHECK(kScaledObjects.api_version() == "keda.sh/v1alpha1");
  CHECK(kPods.api_version() == "v1");
}

}  // namespace jobmill::k8s
