// SPDX-License-Identifier: Apache-2.0
#include "targets/kubernetes/job_object.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/document.h"
#include "manifest/object.h"

namespace jobmill::targets {
namespace {

using Result = scale::FinishedJob::Result;

Node yaml(const std::string& text) {
  auto documents = parse_yaml(text);
  REQUIRE(documents);
  REQUIRE(documents->size() == 1);
  return std::move(documents->front());
}

manifest::Object scaled_job(const std::string& text) {
  manifest::Problems problems("test");
  manifest::Object object = manifest::read_object(yaml(text), "default", problems);
  REQUIRE(problems.ok());
  object.generation = 7;
  return object;
}

const std::string kScaledJob = R"(
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata:
  name: mail
  namespace: shop
  uid: u-1234
  labels: {team: green, secret: x, app.kubernetes.io/version: v9}
  annotations: {note: hello, scaledjob.keda.sh/job-excluded-labels: "secret, other"}
spec:
  jobTargetRef:
    parallelism: 2
    ttlSecondsAfterFinished: 5
    template:
      metadata: {labels: {app: mail}}
      spec:
        volumes: [{name: data, emptyDir: {}}]
        containers: [{name: main, image: i, command: [run]}]
  triggers: [{type: cron, metadata: {}}]
)";

TEST_CASE("scaled job of a cluster: its Job is the jobTargetRef, with labels of both") {
  CHECK(to_json(make_job(scaled_job(kScaledJob), "1.2")) == to_json(yaml(R"(
apiVersion: batch/v1
kind: Job
metadata:
  generateName: mail-
  namespace: shop
  labels:
    app.kubernetes.io/name: mail
    app.kubernetes.io/version: v9
    app.kubernetes.io/part-of: mail
    app.kubernetes.io/managed-by: keda-operator
    team: green
    scaledjob.keda.sh/name: mail
  annotations:
    note: hello
    scaledjob.keda.sh/job-excluded-labels: "secret, other"
    scaledjob.keda.sh/generation: "7"
  ownerReferences:
  - {apiVersion: keda.sh/v1alpha1, kind: ScaledJob, name: mail, uid: u-1234, controller: true, blockOwnerDeletion: true}
spec:
  parallelism: 2
  ttlSecondsAfterFinished: 5
  template:
    metadata: {labels: {app: mail, scaledjob.keda.sh/name: mail}}
    spec:
      volumes: [{name: data, emptyDir: {}}]
      containers: [{name: main, image: i, command: [run]}]
      restartPolicy: OnFailure
)")));
}

TEST_CASE("scaled job of a cluster: a restart policy that is written stays") {
  const Node job = make_job(scaled_job(R"(
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata: {name: mail, uid: u}
spec: {jobTargetRef: {template: {spec: {restartPolicy: Never, containers: []}}}, triggers: []}
)"),
                            "1");
  CHECK(job.find("spec")->find("template")->find("spec")->find("restartPolicy")->text == "Never");
}

TEST_CASE("job of a cluster: what it says of its end") {
  struct Case {
    std::string status;
    Result result;
    std::string ended_at;
  };
  const std::vector<Case> cases{
      {"{}", Result::Running, "t0"},
      {"{active: 1}", Result::Running, "t0"},
      {"{conditions: [{type: SuccessCriteriaMet, status: 'True', lastTransitionTime: t1}]}",
       Result::Running, "t0"},
      {"{conditions: [{type: Complete, status: 'False'}]}", Result::Running, "t0"},
      {"{completionTime: t2, conditions: [{type: Complete, status: 'True', lastTransitionTime: "
       "t3}]}",
       Result::Complete, "t2"},
      {"{conditions: [{type: Failed, status: 'True', lastTransitionTime: t3}]}", Result::Failed,
       "t3"},
      {"{conditions: [{type: Suspended, status: 'True'}, {type: Failed, status: 'True'}]}",
       Result::Failed, "t0"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.status);
    const JobState state = read_job(
        yaml("metadata: {name: a, namespace: n, creationTimestamp: t0}\nstatus: " + one.status));
    CHECK(state.result == one.result);
    CHECK(state.ended_at == one.ended_at);
  }
}

TEST_CASE("job of a cluster: whose it is, and of which generation") {
  const JobState state = read_job(yaml(R"(
metadata:
  name: mail-x
  namespace: shop
  labels: {scaledjob.keda.sh/name: mail}
  annotations: {scaledjob.keda.sh/generation: "12"}
  deletionTimestamp: t
)"));
  CHECK(state.ns == "shop");
  CHECK(state.name == "mail-x");
  CHECK(state.scaled_job == "mail");
  CHECK(state.generation == 12);
  CHECK(state.leaving);
  CHECK_FALSE(read_job(yaml("metadata: {name: a}")).generation);
  const std::string odd = "metadata: {name: a, annotations: {scaledjob.keda.sh/generation: 1x}}";
  CHECK_FALSE(read_job(yaml(odd)).generation);
}

TEST_CASE("pod of a job: by either label, with the conditions that are true") {
  const PodState pod = read_pod(yaml(R"(
metadata: {name: p, namespace: n, labels: {batch.kubernetes.io/job-name: mail-x}}
status:
  phase: Running
  conditions: [{type: PodScheduled, status: "True"}, {type: Ready, status: "False"}]
)"));
  CHECK(pod.job == "mail-x");
  CHECK(pod.pod.phase == "Running");
  CHECK(pod.pod.conditions == std::vector<std::string>{"PodScheduled"});
  CHECK(read_pod(yaml("metadata: {name: p, labels: {job-name: old}}")).job == "old");
}

}  // namespace
}  // namespace jobmill::targets
