// SPDX-License-Identifier: Apache-2.0
#include "targets/kubernetes/replica_job.h"

#include <doctest/doctest.h>

#include <csignal>
#include <string>
#include <vector>

#include "base/document.h"

namespace jobmill::targets {
namespace {

using executions::ReplicaEnd;
using executions::RunContainer;
using executions::RunReplica;
using Names = std::vector<std::string>;

Node yaml(const std::string& text) {
  auto documents = parse_yaml(text);
  REQUIRE(documents);
  REQUIRE(documents->size() == 1);
  return std::move(documents->front());
}

RunContainer container(const std::string& name) {
  return {.name = name,
          .image = "r.io/" + name + ":1",
          .command = {},
          .environment = {},
          .workdir = "",
          .cpu_milli = {},
          .memory_bytes = {}};
}

RunReplica replica() {
  return {.job = "mail",
          .execution = "mail-abc",
          .replica = "mail-abc-x",
          .main = container("main"),
          .init = {},
          .beside = {},
          .local_names = {},
          .masked = {},
          .log = "",
          .runner = executions::RunnerKind::Kubernetes};
}

const ReplicaJobOptions kOptions{.ns = "shop", .server = "s1", .address = {}};

TEST_CASE("replica as a Job: one pod, once, with labels by which it is found") {
  RunReplica plain = replica();
  plain.main.command = {"run", "$(HOME)"};
  plain.main.args = {"a"};
  plain.main.environment = {{"PRICE", "5 $"}};
  plain.main.workdir = "/work";
  plain.main.cpu_milli = 250;
  plain.main.memory_bytes = 1024;
  plain.timeout = std::chrono::seconds(300);
  plain.grace = std::chrono::seconds(10);
  const ReplicaJob made = make_replica_job(plain, kOptions);
  CHECK_FALSE(made.secret);
  const std::string labels =
      "{app.kubernetes.io/managed-by: jobmill, jobmill/job: mail, jobmill/execution: mail-abc, "
      "jobmill/replica: mail-abc-x, jobmill/server: s1}";
  CHECK(to_json(made.job) == to_json(yaml(R"(
apiVersion: batch/v1
kind: Job
metadata: {name: mail-abc-x, namespace: shop, labels: )" +
                                          labels + R"(}
spec:
  parallelism: 1
  completions: 1
  backoffLimit: 0
  template:
    metadata: {labels: )" + labels + R"(}
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 10
      activeDeadlineSeconds: 370
      containers:
      - name: main
        image: r.io/main:1
        command: [run, '$$(HOME)']
        args: [a]
        workingDir: /work
        env: [{name: PRICE, value: 5 $$}]
        resources: {requests: {cpu: 250m, memory: "1024"}, limits: {cpu: 250m, memory: "1024"}}
)")));
}

TEST_CASE("replica as a Job: containers before and beside the main one") {
  RunReplica three = replica();
  three.init = {container("first")};
  three.beside = {container("side")};
  const Node job = make_replica_job(three, kOptions).job;
  CHECK(execution_of(job) == "mail-abc");
  const Node& pod = *job.find("spec")->find("template")->find("spec");
  const auto& before = pod.find("initContainers")->items;
  REQUIRE(before.size() == 2);
  CHECK(before[0].find("name")->text == "first");
  CHECK(before[0].find("restartPolicy") == nullptr);
  CHECK(before[1].find("name")->text == "side");
  CHECK(before[1].find("restartPolicy")->text == "Always");
  CHECK(pod.find("containers")->items.size() == 1);
  CHECK(pod.find("activeDeadlineSeconds") == nullptr);
}

TEST_CASE("replica as a Job: local names lead to the server, if its address is known") {
  RunReplica named = replica();
  named.local_names = {"ns.servicebus.windows.net"};
  const auto aliases = [&](const std::string& address) {
    const Node job =
        make_replica_job(named, {.ns = "shop", .server = "s1", .address = address}).job;
    const Node* found = job.find("spec")->find("template")->find("spec")->find("hostAliases");
    return found != nullptr ? to_json(*found) : "";
  };
  CHECK(aliases("").empty());
  CHECK(aliases("10.0.0.7") == R"([{"ip":"10.0.0.7","hostnames":["ns.servicebus.windows.net"]}])");
}

TEST_CASE("replica as a Job: what is secret stands in a Secret, as it is") {
  RunReplica secret = replica();
  secret.main.environment = {{"KEY", "Endpoint=sb://x;Key=p$w"}, {"PLAIN", "x"}};
  secret.masked = {Secret("p$w"), Secret("")};
  const ReplicaJob made = make_replica_job(secret, kOptions);
  REQUIRE(made.secret);
  CHECK(made.secret->find("kind")->text == "Secret");
  CHECK(made.secret->find("metadata")->find("name")->text == "mail-abc-x");
  CHECK(to_json(*made.secret->find("data")) ==
        R"({"main.KEY":"RW5kcG9pbnQ9c2I6Ly94O0tleT1wJHc="})");
  CHECK(to_json(made.job).find("p$") == std::string::npos);
  const Node& main =
      made.job.find("spec")->find("template")->find("spec")->find("containers")->items[0];
  CHECK(to_json(*main.find("env")) ==
        R"([{"name":"KEY","valueFrom":{"secretKeyRef":{"name":"mail-abc-x","key":"main.KEY"}}},)"
        R"({"name":"PLAIN","value":"x"}])");
  CHECK(to_json(owned_by_job(yaml("metadata: {name: j, uid: u}"))) ==
        R"({"metadata":{"ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"j",)"
        R"("uid":"u"}]}})");
}

TEST_CASE("pod of a replica: whether it came up, and what it waits for") {
  struct Case {
    std::string status;
    Names begun;
    Names over;
    std::string obstacle;
  };
  const std::vector<Case> cases{
      {"{phase: Pending}", {}, {}, ""},
      {"{phase: Pending, containerStatuses: [{name: main, state: {waiting: {reason: "
       "ContainerCreating}}}]}",
       {},
       {},
       ""},
      {"{phase: Pending, containerStatuses: [{name: main, state: {waiting: {reason: "
       "ErrImagePull, message: slow}}}]}",
       {},
       {},
       ""},
      {"{phase: Pending, containerStatuses: [{name: main, state: {waiting: {reason: "
       "ImagePullBackOff, message: no such image}}}]}",
       {},
       {},
       "ImageNotRunnable: ImagePullBackOff: no such image"},
      {"{phase: Pending, containerStatuses: [{name: main, state: {waiting: {reason: "
       "CreateContainerConfigError}}}]}",
       {},
       {},
       "StartError: CreateContainerConfigError"},
      {"{phase: Pending, initContainerStatuses: [{name: first, state: {running: {}}}]}",
       {"first"},
       {},
       ""},
      {"{phase: Running, initContainerStatuses: [{name: first, state: {terminated: {exitCode: "
       "0}}}], containerStatuses: [{name: main, state: {running: {}}}]}",
       {"first", "main"},
       {"first"},
       ""},
  };
  for (const Case& one : cases) {
    CAPTURE(one.status);
    const ReplicaPod pod = read_replica_pod(
        yaml("metadata: {name: p, labels: {jobmill/replica: r}}\nstatus: " + one.status));
    CHECK(pod.name == "p");
    CHECK(pod.replica == "r");
    CHECK(pod.begun == one.begun);
    CHECK(pod.over == one.over);
    CHECK(pod.obstacle == one.obstacle);
    CHECK_FALSE(pod.end);
  }
}

TEST_CASE("pod of a replica: how it ended") {
  struct Case {
    std::string status;
    ReplicaEnd end;
  };
  const std::string main = "containerStatuses: [{name: main, state: {terminated: ";
  const std::vector<Case> cases{
      {"{phase: Succeeded, " + main + "{exitCode: 0, reason: Completed}}}]}", {}},
      {"{phase: Failed, " + main + "{exitCode: 3, reason: Error}}}]}",
       {.exit_code = 3, .detail = "Error"}},
      {"{phase: Failed, " + main + "{exitCode: 137, reason: OOMKilled}}}]}",
       {.exit_code = 137, .out_of_memory = true, .detail = "OOMKilled"}},
      {"{phase: Failed, " + main + "{exitCode: 137, signal: 9, message: m}}}]}",
       {.exit_code = 137, .signal = SIGKILL, .detail = "m"}},
      {"{phase: Failed, reason: Evicted, message: disk}",
       {.signal = SIGKILL, .detail = "Evicted: disk"}},
      {"{phase: Failed, initContainerStatuses: [{name: first, state: {terminated: {exitCode: 0}}}, "
       "{name: second, state: {terminated: {exitCode: 2, reason: Error}}}]}",
       {.exit_code = 2, .detail = "init container 'second' failed; Error"}},
  };
  for (const Case& one : cases) {
    CAPTURE(one.status);
    const ReplicaPod pod = read_replica_pod(yaml("metadata: {name: p}\nstatus: " + one.status));
    REQUIRE(pod.end);
    CHECK(pod.end->exit_code == one.end.exit_code);
    CHECK(pod.end->signal == one.end.signal);
    CHECK(pod.end->out_of_memory == one.end.out_of_memory);
    CHECK(pod.end->detail == one.end.detail);
  }
}

TEST_CASE("job of a replica: a failure without a pod") {
  CHECK(failure_of_job(yaml("status: {}")).empty());
  CHECK(failure_of_job(yaml("status: {conditions: [{type: Complete, status: 'True'}]}")).empty());
  CHECK(failure_of_job(yaml("status: {conditions: [{type: Failed, status: 'True', reason: "
                            "DeadlineExceeded, message: late}]}")) ==
        "StartError: DeadlineExceeded: late");
}

}  // namespace
}  // namespace jobmill::targets
