// SPDX-License-Identifier: Apache-2.0
#include "targets/kubernetes/pod_record.h"

#include <doctest/doctest.h>

#include "base/duration.h"

namespace jobmill::targets {
namespace {

PodRecord read(std::string_view json) {
  const auto node = parse_json(json);
  REQUIRE(node);
  return read_pod_record(*node);
}

}  // namespace

TEST_CASE("pod record: a ready pod of a ReplicaSet") {
  const PodRecord pod = read(R"({
    "metadata": {"name": "web-7d4-x2", "namespace": "shop", "uid": "u1", "labels": {"app": "web"},
      "creationTimestamp": "2026-01-01T00:00:00Z",
      "annotations": {"controller.kubernetes.io/pod-deletion-cost": "-1000",
                      "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
      "ownerReferences": [{"kind": "Other", "uid": "o"},
                          {"kind": "ReplicaSet", "uid": "rs1", "controller": true}]},
    "spec": {"nodeName": "n1", "containers": [{"name": "a"}, {"name": "b"}]},
    "status": {"phase": "Running", "conditions": [{"type": "PodScheduled", "status": "True"},
                                                  {"type": "Ready", "status": "True"}],
      "containerStatuses": [{"ready": true, "restartCount": 2}, {"ready": true, "restartCount": 1}]}})");
  CHECK(pod.ns == "shop");
  CHECK(pod.labels == manifest::Texts{{"app", "web"}});
  CHECK(pod.owner_kind == "ReplicaSet");
  CHECK(pod.ready == "2/2");
  CHECK(pod.status == "Running");
  CHECK(pod.view.name == "web-7d4-x2");
  CHECK(pod.view.owner == "rs1");
  CHECK(pod.view.phase == PodView::Phase::Running);
  CHECK(pod.view.assigned);
  CHECK(pod.view.ready);
  CHECK_FALSE(pod.view.deleting);
  CHECK(pod.view.restarts == 3);
  CHECK(format_instant(pod.view.created).starts_with("2026-01-01T00:00:00"));
  CHECK(pod.view.marks == PodMarks{.deletion_cost = -1000, .safe_to_evict = false});
}

TEST_CASE("pod record: what a pod waits for, and its end") {
  const PodRecord waits =
      read(R"({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a"}]},
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}],
      "containerStatuses": [{"restartCount": 4, "state": {"waiting":
        {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}}]}})");
  CHECK(waits.status == "CrashLoopBackOff");
  CHECK(waits.detail == "back-off 40s");
  CHECK(waits.ready == "0/1");
  CHECK_FALSE(waits.view.ready);

  const PodRecord evicted =
      read(R"({"metadata": {"name": "a"}, "status": {"phase": "Failed", "reason": "Evicted"}})");
  CHECK(evicted.view.phase == PodView::Phase::Ended);
  CHECK(evicted.status == "Evicted");

  const PodRecord fresh = read(R"({"metadata": {"name": "a"}, "spec": {}})");
  CHECK(fresh.view.phase == PodView::Phase::Pending);
  CHECK_FALSE(fresh.view.assigned);

  const PodRecord ends = read(R"({"metadata": {"name": "a",
    "deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Running"}})");
  CHECK(ends.view.deleting);
  CHECK(ends.status == "Terminating");
}

TEST_CASE("pod record: marks are written as annotations") {
  CHECK(to_json(marks_patch({.deletion_cost = 1000, .safe_to_evict = false})) ==
        R"({"metadata":{"annotations":{"controller.kubernetes.io/pod-deletion-cost":"1000",)"
        R"("cluster-autoscaler.kubernetes.io/safe-to-evict":"false"}}})");
}

}  // namespace jobmill::targets
