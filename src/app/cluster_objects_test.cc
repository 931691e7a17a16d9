// SPDX-License-Identifier: Apache-2.0
#include "app/cluster_objects.h"

#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/node_path.h"

namespace jobmill::app {
namespace {

using Verdict = ClusterObjects::Verdict;
using Key = ClusterObjects::Key;

Node parsed(const std::string& text) {
  auto node = parse_json(text);
  REQUIRE(static_cast<bool>(node));
  return *std::move(node);
}

struct Made {
  std::string name = "scaling";
  std::string target = "worker";
  int generation = 1;
  std::string created = "2026-01-01T00:00:00Z";
  std::string annotations = "{}";
  std::string extra{};   // of metadata
  std::string limits{};  // of spec
  std::string status = "{}";
};

Node scaled_object(const Made& made = {}) {
  return parsed(fmt::format(
      R"({{"apiVersion":"keda.sh/v1alpha1","kind":"ScaledObject","metadata":{{"name":"{}","namespace":"shop",
      "generation":{},"creationTimestamp":"{}","annotations":{}{}}},"spec":{{"scaleTargetRef":{{"name":"{}"}}{},
      "triggers":[{{"type":"cron","metadata":{{"timezone":"UTC","start":"0 8 * * *","end":"0 9 * * *","desiredReplicas":"2"}}}}]}},
      "status":{}}})",
      made.name, made.generation, made.created, made.annotations, made.extra, made.target,
      made.limits, made.status));
}

Node autoscaler(const std::string& name, const std::string& target, const std::string& owner) {
  return parsed(fmt::format(
      R"({{"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{{"name":"{}","namespace":"shop",
      "ownerReferences":[{}]}},"spec":{{"scaleTargetRef":{{"kind":"Deployment","name":"{}"}}}}}})",
      name, owner.empty() ? "" : fmt::format(R"({{"kind":"ScaledObject","name":"{}"}})", owner),
      target));
}

Key key(const std::string& name) { return {"ScaledObject", "shop", name}; }

}  // namespace

TEST_CASE("cluster objects: a good one is fed once for each version, not for its status") {
  ClusterObjects objects;
  auto change = objects.listed("ScaledObject", {scaled_object()});
  REQUIRE(change.put.size() == 1);
  CHECK(change.put.front().key == key("scaling"));
  CHECK(change.judged == std::set{key("scaling")});
  CHECK(objects.judged(key("scaling"))->verdict == Verdict::Good);

  change = objects.put(scaled_object({.status = R"({"lastActiveTime":"2026-01-02T00:00:00Z"})"}));
  CHECK(change.put.empty());
  CHECK(change.judged.empty());
  CHECK(objects.document(key("scaling"))->find("status")->find("lastActiveTime") != nullptr);

  change = objects.put(scaled_object({.generation = 2}));
  REQUIRE(change.put.size() == 1);
  CHECK(change.put.front().generation == 2);
  change = objects.put(
      scaled_object({.generation = 2, .annotations = R"({"autoscaling.keda.sh/paused":"true"})"}));
  CHECK(change.put.size() == 1);

  change = objects.listed("ScaledObject", {});
  CHECK(change.gone == std::vector{key("scaling")});
  CHECK(objects.judged(key("scaling")) == nullptr);
}

TEST_CASE(
    "cluster objects: labels of a ScaledObject are kept, and mean nothing to those who use it") {
  ClusterObjects objects;
  objects.listed("ScaledObject", {scaled_object()});
  const auto change = objects.put(scaled_object({.extra = R"(,"labels":{"team":"mail"})"}));
  CHECK(change.put.empty());
  CHECK(change.judged.empty());
  CHECK(text_at(*objects.document(key("scaling")), {"metadata", "labels", "team"}) == "mail");
}

TEST_CASE("cluster objects: of two for one target the older one has it") {
  ClusterObjects objects;
  objects.put(scaled_object({.name = "second", .created = "2026-01-02T00:00:00Z"}));
  auto change = objects.put(scaled_object({.name = "first"}));
  CHECK(change.gone == std::vector{key("second")});
  REQUIRE(change.put.size() == 1);
  CHECK(change.put.front().key == key("first"));
  CHECK(objects.judged(key("second"))->verdict == Verdict::Wrong);
  CHECK(objects.judged(key("second"))->why ==
        "ScaledObject/first scales Deployment/worker already");

  change = objects.removed(scaled_object({.name = "first"}));
  REQUIRE(change.put.size() == 1);
  CHECK(change.put.front().key == key("second"));
  CHECK(objects.judged(key("second"))->verdict == Verdict::Good);
}

TEST_CASE("cluster objects: what is wrong with one is said, and it is not fed") {
  ClusterObjects objects;
  auto change =
      objects.put(scaled_object({.limits = R"(,"minReplicaCount":5,"maxReplicaCount":3)"}));
  CHECK(change.put.empty());
  CHECK(change.gone.empty());
  CHECK(objects.judged(key("scaling"))->verdict == Verdict::Wrong);
  CHECK(objects.judged(key("scaling"))->why.find("5") != std::string::npos);
  change = objects.put(scaled_object({.generation = 2}));
  CHECK(change.put.size() == 1);
}

TEST_CASE("cluster objects: what an installed KEDA scales is left alone until we are told") {
  ClusterObjects objects;
  objects.put(scaled_object());
  auto change = objects.put(autoscaler("keda-hpa-scaling", "worker", "scaling"));
  CHECK(change.gone == std::vector{key("scaling")});
  CHECK(objects.judged(key("scaling"))->verdict == Verdict::Others);

  change = objects.put(scaled_object({.annotations = R"({"jobmill/adopt":"true"})"}));
  CHECK(change.put.size() == 1);
  CHECK(objects.adopted_autoscaler(key("scaling")) ==
        Key{"HorizontalPodAutoscaler", "shop", "keda-hpa-scaling"});
}

TEST_CASE("cluster objects: a stranger's autoscaler of the same target is in the way") {
  ClusterObjects objects;
  objects.put(autoscaler("mine", "worker", ""));
  CHECK(objects.put(scaled_object()).put.empty());
  CHECK(objects.judged(key("scaling"))->why.find("mine") != std::string::npos);

  constexpr char kTransfer[] = R"({"scaledobject.keda.sh/transfer-hpa-ownership":"true"})";
  CHECK(objects.put(scaled_object({.annotations = kTransfer})).put.empty());
  CHECK(objects.judged(key("scaling"))->why.find("name it") != std::string::npos);
  CHECK(objects
            .put(scaled_object(
                {.generation = 2,
                 .annotations = kTransfer,
                 .limits = R"(,"advanced":{"horizontalPodAutoscalerConfig":{"name":"mine"}})"}))
            .put.size() == 1);
  CHECK(objects.adopted_autoscaler(key("scaling")) ==
        Key{"HorizontalPodAutoscaler", "shop", "mine"});

  ClusterObjects other;
  other.put(autoscaler("mine", "another", ""));
  CHECK(other.put(scaled_object()).put.size() == 1);
}

TEST_CASE("cluster objects: one that is being deleted is no longer used") {
  ClusterObjects objects;
  objects.put(scaled_object());
  const auto change =
      objects.put(scaled_object({.extra = R"(,"deletionTimestamp":"2026-01-03T00:00:00Z")"}));
  CHECK(change.gone == std::vector{key("scaling")});
  CHECK(objects.judged(key("scaling"))->verdict == Verdict::Ends);
}

TEST_CASE("cluster objects: the version of the last change is known, also of a status") {
  ClusterObjects objects;
  objects.put(scaled_object({.extra = R"(,"resourceVersion":"7")"}));
  CHECK(objects.put(scaled_object({.extra = R"(,"resourceVersion":"8")"})).put.empty());
  CHECK(text_at(*objects.document(key("scaling")), {"metadata", "resourceVersion"}) == "8");
}

TEST_CASE("cluster objects: secrets are fed when they change, and gone when they are not listed") {
  const auto secret = [](int version) {
    return parsed(fmt::format(
        R"({{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"login","namespace":"shop","resourceVersion":"{}"}},"data":{{"a":"Yg=="}}}})",
        version));
  };
  ClusterObjects objects;
  CHECK(objects.listed("Secret", {secret(1)}).put.size() == 1);
  CHECK(objects.listed("Secret", {secret(1)}).put.empty());
  CHECK(objects.put(secret(2)).put.size() == 1);
  CHECK(objects.listed("Secret", {}).gone == std::vector{Key{"Secret", "shop", "login"}});
}

}  // namespace jobmill::app
