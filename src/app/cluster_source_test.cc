// SPDX-License-Identifier: Apache-2.0
#include "app/cluster_source.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "kubernetes_rig.h"

namespace jobmill::app {
namespace {

using namespace std::chrono_literals;
using jobmill::testing::FakeApiServer;
using jobmill::testing::json;
using jobmill::testing::QueueWorld;
using scalers::ClusterPod;
using scalers::ClusterSource;
using Pods = Result<std::vector<ClusterPod>>;

constexpr char kScale[] = "/apis/apps/v1/namespaces/shop/deployments/web/scale";
constexpr char kMetrics[] = "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods";

// A cluster with one Deployment, one pod and its metrics.
struct Rig {
  Rig() {
    queue.call([&] {
      client.emplace(k8s::Config{.server = server.url()}, http, queue.world(),
                     k8s::Client::Limits{});
      source = cluster_source(*client, queue.clock);
      return true;
    });
  }
  ~Rig() {
    queue.call([&] {
      source = {};
      client.reset();
      return true;
    });
  }

  void answer(const http::Request& request, const http::Responder& to) {
    if (request.path == "/apis/apps/v1")
      return to.send(json(R"({"resources":[
          {"name":"deployments","kind":"Deployment","namespaced":true,"verbs":["get"]}]})"));
    if (request.path == kScale) return to.send(json(scale));
    const auto selector = request.parameter("labelSelector");
    if (selector != "app=web")
      return to.send(json(R"({"kind":"Status","message":"which pods?"})", 400));
    if (request.path == kMetrics) return to.send(json(metrics, metrics_status));
    to.send(json(R"({"items":[{"metadata":{"name":"web-1"},"status":{"phase":"Running"},
        "spec":{"nodeName":"a","containers":[{"name":"web"}]}}]})"));
  }

  template <class Ask>
  Pods ask(Ask ask) {
    std::promise<Pods> promise;
    queue.post([&] { ask([&](Pods pods) { promise.set_value(std::move(pods)); }); });
    auto future = promise.get_future();
    REQUIRE(future.wait_for(60s) == std::future_status::ready);
    return future.get();
  }

  Pods usage() {
    scale::ScaleTargetRef target;
    target.name = "web";
    return ask([&](ClusterSource::Done done) { source.usage("shop", target, std::move(done)); });
  }

  int scales_read() {
    const auto seen = server.seen();
    return static_cast<int>(std::ranges::count(seen, std::string("GET ") + kScale));
  }

  std::string scale = R"({"spec":{"replicas":1},"status":{"selector":"app=web"}})";
  std::string metrics = R"({"items":[{"metadata":{"name":"web-1"},"window":"15s",
      "timestamp":"2026-01-01T00:00:00Z",
      "containers":[{"name":"web","usage":{"cpu":"100m"}}]}]})";
  int metrics_status = 200;  // these are set before the first question
  FakeApiServer server{[this](const auto& request, const auto& to) { answer(request, to); }};
  http::Client http;
  QueueWorld queue;
  std::optional<k8s::Client> client;
  ClusterSource source;
};

}  // namespace

TEST_CASE("cluster source: pods by their labels") {
  Rig rig;
  const Pods pods = rig.ask(
      [&](ClusterSource::Done done) { rig.source.pods("shop", "app=web", std::move(done)); });
  REQUIRE(pods);
  REQUIRE(pods->size() == 1);
  CHECK(pods->front().node == "a");
  CHECK_FALSE(pods->front().measured);
}

TEST_CASE("cluster source: pods that are watched are not asked for") {
  Rig rig;
  std::string asked;
  bool known = true;
  rig.queue.call([&] {
    rig.source = cluster_source(*rig.client, rig.queue.clock,
                                [&](std::string_view ns, const manifest::LabelSelector& selector) {
                                  asked = std::string(ns);
                                  const bool one = selector.matches({{"app", "web"}});
                                  std::vector<ClusterPod> pods(one ? 1 : 0);
                                  return known ? std::optional(pods) : std::nullopt;
                                });
    return true;
  });
  const auto list = [&](ClusterSource::Done done) {
    rig.source.pods("shop", "app=web", std::move(done));
  };
  const Pods pods = rig.ask(list);
  REQUIRE(pods);
  CHECK(pods->size() == 1);
  CHECK(asked == "shop");
  CHECK(rig.server.seen().empty());

  known = false;  // the watch is ill
  REQUIRE(rig.ask(list));
  CHECK(rig.server.seen().size() == 1);
}

TEST_CASE("cluster source: the pods of a target, and what they use") {
  Rig rig;
  const Pods pods = rig.usage();
  REQUIRE_MESSAGE(pods, (pods ? "" : pods.error().message));
  REQUIRE(pods->size() == 1);
  CHECK(pods->front().measured);
  CHECK(pods->front().containers.front().used == ClusterPod::Amounts{{"cpu", 100}});
}

TEST_CASE("cluster source: a target's selector is kept for ten minutes") {
  Rig rig;
  REQUIRE(rig.usage());
  REQUIRE(rig.usage());
  CHECK(rig.scales_read() == 1);
  rig.queue.advance(10min);
  REQUIRE(rig.usage());
  CHECK(rig.scales_read() == 2);
}

TEST_CASE("cluster source: a cluster without metrics says what to install") {
  Rig rig;
  rig.metrics_status = 404;
  rig.metrics = "404 page not found";
  const Pods pods = rig.usage();
  REQUIRE_FALSE(pods);
  CHECK(pods.error().message.find("install metrics-server") != std::string::npos);
}

TEST_CASE("cluster source: a right that is missing is named") {
  Rig rig;
  rig.metrics_status = 403;
  rig.metrics = R"({"kind":"Status","reason":"Forbidden","message":"pods is forbidden: User )"
                R"(\"jobmill\" cannot list resource \"pods\" in API group \"metrics.k8s.io\""})";
  const Pods pods = rig.usage();
  REQUIRE_FALSE(pods);
  CHECK(pods.error().code == Code::PermissionDenied);
  CHECK(pods.error().message.find("metrics.k8s.io") != std::string::npos);
}

TEST_CASE("cluster source: a target without a selector has no pods that one could know") {
  Rig rig;
  rig.scale = R"({"spec":{"replicas":1},"status":{}})";
  const Pods pods = rig.usage();
  REQUIRE_FALSE(pods);
  CHECK(pods.error().message.find("Deployment web") != std::string::npos);
}

}  // namespace jobmill::app
