// SPDX-License-Identifier: Apache-2.0
#include "app/apply_plan.h"

#include <doctest/doctest.h>

namespace jobmill::app {

TEST_CASE("apply plan: only Deployments scale on this machine") {
  const std::vector<api::ManifestFile> files{
      {"m.yaml",
       "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: a}\nspec:\n"
       "  scaleTargetRef: {name: a, kind: StatefulSet}\n"
       "  triggers: [{type: jobs, metadata: {value: '1'}}]\n"}};
  const ApplyPlan plan = plan_apply(files, "default", {}, {});
  REQUIRE(plan.errors.size() == 1);
  CHECK(plan.errors.front().where == "m.yaml:5");
  CHECK(plan.errors.front().text ==
        "apps/v1 StatefulSet: on this machine Deployments of apps/v1 scale; others in a cluster "
        "(--target kubernetes)");
}

TEST_CASE("apply plan: triggers that look at a cluster's pods are refused on this machine") {
  const std::vector<api::ManifestFile> files{
      {"m.yaml",
       "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: a}\nspec:\n"
       "  scaleTargetRef: {name: a}\n"
       "  triggers:\n  - {type: cpu, metricType: Utilization, metadata: {value: '50'}}\n"}};
  const ApplyPlan plan = plan_apply(files, "default", {}, {});
  REQUIRE(plan.errors.size() == 1);
  CHECK(plan.errors.front().where == "m.yaml:7");
  CHECK(plan.errors.front().text.find("cpu") != std::string::npos);
  CHECK(plan.errors.front().text.find("--target kubernetes") != std::string::npos);
}

}  // namespace jobmill::app
