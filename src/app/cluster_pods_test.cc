// SPDX-License-Identifier: Apache-2.0
#include "app/cluster_pods.h"

#include <doctest/doctest.h>

#include "base/duration.h"

namespace jobmill::app {
namespace {

using scalers::ClusterPod;
using Phase = ClusterPod::Phase;

Node parsed(std::string_view text) {
  auto node = parse_json(text);
  REQUIRE_MESSAGE(node, (node ? "" : node.error().message));
  return *std::move(node);
}

constexpr char kPods[] = R"({"items": [
  {"metadata": {"name": "web-1"},
   "spec": {"nodeName": "a", "containers": [
              {"name": "web", "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}}},
              {"name": "bare"}],
            "initContainers": [
              {"name": "proxy", "restartPolicy": "Always",
               "resources": {"requests": {"cpu": "1"}}},
              {"name": "setup", "resources": {"requests": {"cpu": "4"}}}]},
   "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z", "conditions": [
     {"type": "Initialized", "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"},
     {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"}]}},
  {"metadata": {"name": "web-2", "deletionTimestamp": "2026-01-01T00:00:00Z"},
   "spec": {"resources": {"requests": {"cpu": "2"}}, "containers": []},
   "status": {"phase": "Pending"}},
  {"metadata": {"name": "web-3"}, "status": {"phase": "Failed"}}]})";

}  // namespace

TEST_CASE("cluster pods: what a trigger looks at") {
  const auto pods = read_cluster_pods(parsed(kPods));
  REQUIRE(pods.size() == 3);
  const ClusterPod& web = pods[0];
  CHECK(web.name == "web-1");
  CHECK(web.node == "a");
  CHECK(web.phase == Phase::Running);
  CHECK(web.ready);
  CHECK_FALSE(web.deleting);
  CHECK(web.started == *parse_instant("2026-01-01T00:00:00Z"));
  CHECK(web.ready_since == *parse_instant("2026-01-01T00:00:05Z"));
  CHECK_FALSE(web.measured);
  REQUIRE(web.containers.size() == 3);
  CHECK(web.containers[0].requested ==
        ClusterPod::Amounts{{"cpu", 250}, {"memory", 64LL * 1024 * 1024 * 1000}});
  CHECK(web.containers[1].requested.empty());
  CHECK(web.containers[2].name == "proxy");  // it stays; the other one is over

  CHECK(pods[1].deleting);
  CHECK(pods[1].phase == Phase::Pending);
  CHECK_FALSE(pods[1].ready);
  CHECK(pods[1].requested == ClusterPod::Amounts{{"cpu", 2000}});
  CHECK(pods[2].phase == Phase::Ended);
  CHECK(read_cluster_pods(parsed("{}")).empty());
}

TEST_CASE("cluster pods: and what they use") {
  auto pods = read_cluster_pods(parsed(kPods));
  add_usage(pods, parsed(R"({"items": [
    {"metadata": {"name": "web-1"}, "timestamp": "2026-01-01T00:10:00Z", "window": "15.5s",
     "containers": [{"name": "web", "usage": {"cpu": "120000001n", "memory": "1Ki"}},
                    {"name": "stranger", "usage": {"cpu": "9"}}]},
    {"metadata": {"name": "web-9"}, "containers": []}]})"));
  REQUIRE(pods[0].measured);
  CHECK(pods[0].measured->at == *parse_instant("2026-01-01T00:10:00Z"));
  CHECK(pods[0].measured->window == std::chrono::milliseconds(15'500));
  CHECK(pods[0].containers[0].used == ClusterPod::Amounts{{"cpu", 121}, {"memory", 1'024'000}});
  CHECK(pods[0].containers[1].used.empty());
  CHECK_FALSE(pods[1].measured);
}

}  // namespace jobmill::app
