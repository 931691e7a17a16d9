// SPDX-License-Identifier: Apache-2.0
#include "scalers/kubernetes_workload.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "scalers/table.h"

namespace jobmill::scalers {
namespace {

using Phase = ClusterPod::Phase;

ClusterPod pod(std::string node, Phase phase = Phase::Running) {
  ClusterPod pod;
  pod.node = std::move(node);
  pod.phase = phase;
  return pod;
}

scale::TriggerSpec spec_with(const std::string& name, const std::string& value) {
  scale::TriggerSpec spec;
  spec.type = "kubernetes-workload";
  spec.ns = "shop";
  spec.metadata = {{"podSelector", "app in (web, api)"}, {"value", "2"}};
  spec.metadata[name] = value;
  return spec;
}

// A cluster that answers when the test says so.
struct World {
  ManualClock clock;
  std::string asked;
  ClusterSource::Done answer;
  std::optional<Result<scale::Sample>> seen;
  std::unique_ptr<scale::Scaler> scaler;

  explicit World(const std::string& name = "groupByNode", const std::string& value = "false") {
    auto made = make_scaler(spec_with(name, value), context());
    REQUIRE_MESSAGE(made, (made ? "" : made.error().message));
    scaler = *std::move(made);
  }

  ScalerContext context() {
    return {.fetch = {},
            .jobs = {},
            .cluster = {.pods =
                            [this](std::string_view ns, std::string_view selector,
                                   ClusterSource::Done done) {
                              asked = std::string(ns) + ": " + std::string(selector);
                              answer = std::move(done);
                            },
                        .usage = {}},
            .run_after = {},
            .clock = clock};
  }

  void read() {
    seen.reset();
    scaler->read([this](Result<scale::Sample> sample) { seen = std::move(sample); });
  }

  scale::Sample count(std::vector<ClusterPod> pods) {
    read();
    answer(std::move(pods));
    REQUIRE(seen);
    REQUIRE(*seen);
    return **seen;
  }
};

}  // namespace

TEST_CASE("kubernetes-workload: pods of the namespace that have not ended are counted") {
  World world;
  CHECK(world.scaler->metric().name == "s0-workload-shop");
  CHECK(world.count({pod("a"), pod("a"), pod("", Phase::Pending), pod("b", Phase::Ended)}).value ==
        3);
  CHECK(world.asked == "shop: app in (web, api)");
}

TEST_CASE("kubernetes-workload: or the nodes that they are on") {
  World world("groupByNode", "true");
  CHECK(world.count({pod("a"), pod("a"), pod("", Phase::Pending), pod("b", Phase::Ended)}).value ==
        1);
  CHECK(world.count({pod("a"), pod("b"), pod("a")}).value == 2);
}

TEST_CASE("kubernetes-workload: active means more than activationValue") {
  World world("activationValue", "1");
  CHECK_FALSE(world.count({pod("a")}).active);
  CHECK(world.count({pod("a"), pod("a")}).active);
}

TEST_CASE("kubernetes-workload: what the cluster does not tell is an error") {
  World world;
  world.read();
  world.answer(fail(Code::PermissionDenied, "no right to list pods"));
  REQUIRE(world.seen);
  REQUIRE_FALSE(*world.seen);
  CHECK(world.seen->error().message == "no right to list pods");
}

TEST_CASE("kubernetes-workload: a scaler that is gone takes no answer") {
  World world;
  world.read();
  world.scaler.reset();
  world.answer(std::vector<ClusterPod>{pod("a")});
  CHECK_FALSE(world.seen);
}

}  // namespace jobmill::scalers
