// SPDX-License-Identifier: Apache-2.0
#include "targets/kubernetes/job_runner.h"

#include <doctest/doctest.h>

#include <csignal>
#include <deque>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "conformance/runner.h"
#include "fake_job_cluster.h"
#include "temporary_folder.h"

namespace jobmill::targets {
namespace {

using executions::RunContainer;
using executions::RunReplica;
using testing::FakeJobCluster;
using Names = std::vector<std::string>;

Node yaml(const std::string& text) {
  auto documents = parse_yaml(text);
  REQUIRE(documents);
  return std::move(documents->front());
}

Node job() { return yaml("metadata: {name: r1, uid: u}"); }

Node pod(const std::string& status) {
  return yaml("metadata: {name: r1-p, labels: {jobmill/replica: r1}}\nstatus: " + status);
}

Node running_pod() {
  return pod("{phase: Running, containerStatuses: [{name: main, state: {running: {}}}]}");
}

Node ended_pod(int code, const std::string& reason = "Error") {
  return pod("{phase: " + std::string(code == 0 ? "Succeeded" : "Failed") +
             ", containerStatuses: [{name: main, state: {terminated: {exitCode: " +
             std::to_string(code) + ", reason: " + reason + "}}}]}");
}

// Of the same execution, by an earlier server.
Node old_job() { return yaml("metadata: {name: old, labels: {jobmill/execution: mail-abc}}"); }

Node old_pod(const std::string& state, const std::string& phase = "Running") {
  return yaml("metadata: {name: old-p, labels: {jobmill/replica: old}}\nstatus: {phase: " + phase +
              ", containerStatuses: [{name: main, state: " + state + "}]}");
}

// A runner and its cluster; nothing happens but by the test's hand.
class Rig {
 public:
  explicit Rig(bool clean = true) {
    auto cluster = std::make_unique<FakeJobCluster>();
    kube = cluster.get();
    runner = std::make_unique<JobRunner>(
        told.events(),
        JobRunner::World{
            .cluster = std::move(cluster),
            .log = log,
            .now = [this] { return clock.now(); },
            .post = [this](std::function<void()> work) { posted.push_back(std::move(work)); },
            .run_after = [this](Duration,
                                std::function<void()> work) { timers.push_back(std::move(work)); },
            .jobs = {.ns = "shop", .server = "s1", .address = {}}});
    settle();
    if (!clean) return;
    kube->jobs.listed({});
    kube->pods.listed({});
  }

  RunReplica replica() const {
    return {.job = "mail",
            .execution = "mail-abc",
            .replica = "r1",
            .main = {.name = "main",
                     .image = "i",
                     .command = {},
                     .environment = {{"KEY", "password"}},
                     .workdir = "",
                     .cpu_milli = {},
                     .memory_bytes = {}},
            .init = {},
            .beside = {},
            .local_names = {},
            .masked = {},
            .log = folder.path() + "/logs/r1.log",
            .runner = executions::RunnerKind::Kubernetes};
  }

  // Up to a pod that runs.
  void bring_up() {
    runner->start(replica());
    auto asked = kube->take();
    REQUIRE(asked.size() == 1);
    asked[0].done(job());
    kube->jobs.put(job());
    kube->pods.put(running_pod());
    settle();
    REQUIRE(kube->followed.size() == 1);
  }

  void settle() {
    while (!posted.empty()) {
      const auto work = std::move(posted.front());
      posted.pop_front();
      work();
    }
  }
  void let_time_pass() {
    for (const auto& timer : std::exchange(timers, {})) timer();
    settle();
  }
  std::string log_text() const {
    std::ifstream file(folder.path() + "/logs/r1.log");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  testing::TemporaryFolder folder;
  ManualClock clock;
  Log log{clock, {.level = LogLevel::Off}};
  std::deque<std::function<void()>> posted;
  std::vector<std::function<void()>> timers;
  executions::Told told;
  FakeJobCluster* kube = nullptr;
  std::unique_ptr<JobRunner> runner;
};

}  // namespace

TEST_CASE("job runner: a replica is a Job, with its log and its end") {
  Rig rig;
  CHECK(rig.kube->watched == "shop?jobmill/server=s1");
  rig.bring_up();
  CHECK(rig.told.started.contains("r1"));
  CHECK(rig.kube->followed[0].pod == "r1-p");
  CHECK(rig.kube->followed[0].container == "main");
  rig.kube->followed[0].piece("hel");
  rig.kube->followed[0].piece("lo\nlast");
  rig.kube->pods.put(ended_pod(3));
  rig.settle();
  CHECK(rig.told.ended.empty());  // there may be more to read

  rig.kube->followed[0].ended({});
  rig.settle();
  REQUIRE(rig.told.ended.contains("r1"));
  CHECK(rig.told.ended["r1"].exit_code == 3);
  CHECK(rig.log_text().find("stdout hello\n") != std::string::npos);
  CHECK(rig.log_text().find("stdout last\n") != std::string::npos);
  CHECK(rig.kube->take_names() == Names{"remove job r1"});
  rig.let_time_pass();
  CHECK(rig.told.times["r1"] == 2);
}

TEST_CASE("job runner: a log that was read before its end was told keeps nobody waiting") {
  Rig rig;
  rig.bring_up();
  rig.kube->followed[0].piece("all\n");
  rig.kube->followed[0].ended({});
  rig.kube->pods.put(ended_pod(0, "Completed"));
  rig.settle();
  REQUIRE(rig.told.ended.contains("r1"));
  CHECK(rig.told.ended["r1"].exit_code == 0);
  CHECK_FALSE(rig.told.ended["r1"].out_of_memory);
}

TEST_CASE("job runner: a log whose connection broke is read on where it was") {
  Rig rig;
  rig.bring_up();
  rig.kube->followed[0].piece("one\ntw");
  rig.kube->followed[0].ended(fail(Code::Unavailable, "broken"));
  rig.let_time_pass();
  REQUIRE(rig.kube->followed.size() == 2);
  CHECK(rig.kube->followed[0].handle.expired());
  rig.kube->followed[1].piece("one");
  rig.kube->followed[1].piece("\ntwo\nthree\n");
  rig.kube->pods.put(ended_pod(0));
  rig.kube->followed[1].ended({});
  rig.settle();
  const std::string text = rig.log_text();
  CHECK(text.find("stdout one\n") == text.rfind("stdout one\n"));
  CHECK(text.find("stdout two\n") != std::string::npos);
  CHECK(text.find("stdout three\n") != std::string::npos);
}

TEST_CASE("job runner: a log that cannot be read does not keep the end back for ever") {
  Rig rig;
  rig.bring_up();
  rig.kube->pods.put(ended_pod(137, "OOMKilled"));
  rig.settle();
  CHECK(rig.told.ended.empty());
  rig.let_time_pass();
  REQUIRE(rig.told.ended.contains("r1"));
  CHECK(rig.told.ended["r1"].out_of_memory);
}

TEST_CASE("job runner: what cannot start says why") {
  SUBCASE("its Job is refused") {
    Rig rig;
    rig.runner->start(rig.replica());
    rig.kube->take()[0].done(fail(Code::PermissionDenied, "may not create jobs"));
    rig.settle();
    CHECK(rig.told.failed["r1"] == "StartError: may not create jobs");
  }
  SUBCASE("its image is not there") {
    Rig rig;
    rig.runner->start(rig.replica());
    rig.kube->take()[0].done(job());
    rig.kube->pods.put(
        pod("{phase: Pending, containerStatuses: [{name: main, state: {waiting: "
            "{reason: ImagePullBackOff}}}]}"));
    rig.settle();
    CHECK(rig.told.failed["r1"] == "ImageNotRunnable: ImagePullBackOff");
    CHECK(rig.kube->take_names() == Names{"remove job r1"});
    CHECK(rig.told.times["r1"] == 1);
  }
  SUBCASE("no pod is made") {
    Rig rig;
    rig.runner->start(rig.replica());
    rig.kube->take()[0].done(job());
    rig.kube->jobs.put(
        yaml("metadata: {name: r1}\nstatus: {conditions: [{type: Failed, status: "
             "'True', reason: Odd}]}"));
    rig.settle();
    CHECK(rig.told.failed["r1"] == "StartError: Odd");
  }
}

TEST_CASE("job runner: what is secret is there before the Job, and goes with it") {
  Rig rig;
  RunReplica replica = rig.replica();
  replica.masked = {Secret("password")};
  rig.runner->start(std::move(replica));
  auto asked = rig.kube->take();
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].what == "create secrets");
  asked[0].done(Node());
  asked = rig.kube->take();
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].what == "create jobs");
  asked[0].done(job());
  asked = rig.kube->take();
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].what == "patch secrets");
  CHECK(asked[0].name == "r1");
}

TEST_CASE("job runner: to stop is to delete the Job, to kill leaves its pod no grace") {
  Rig rig;
  rig.bring_up();
  rig.runner->stop("r1", false);
  CHECK(rig.kube->take_names() == Names{"remove job r1"});
  rig.kube->jobs.removed(job());
  rig.settle();
  CHECK(rig.told.ended.empty());  // its pod makes use of its grace
  rig.runner->stop("r1", true);
  CHECK(rig.kube->take_names() == Names{"remove job r1", "kill pod r1-p"});
  rig.kube->followed[0].ended({});
  rig.kube->pods.removed(running_pod());
  rig.settle();
  REQUIRE(rig.told.ended.contains("r1"));
  CHECK(rig.told.ended["r1"].signal == SIGKILL);
}

TEST_CASE("job runner: one that is stopped while its Job is being made ends without a pod") {
  Rig rig;
  rig.runner->start(rig.replica());
  rig.runner->stop("r1", false);
  auto asked = rig.kube->take();
  REQUIRE(asked.size() == 1);
  asked[0].done(job());
  CHECK(rig.kube->take_names() == Names{"remove job r1"});
  rig.kube->jobs.removed(job());
  rig.settle();
  CHECK(rig.told.ended["r1"].signal == SIGTERM);
  CHECK(rig.told.times["r1"] == 1);
}

TEST_CASE("job runner: a pod or a Job that somebody else deletes is an end") {
  SUBCASE("the pod") {
    Rig rig;
    rig.bring_up();
    rig.kube->pods.removed(running_pod());
    rig.kube->followed[0].ended({});
    rig.settle();
    CHECK(rig.told.ended["r1"].signal == SIGKILL);
  }
  SUBCASE("the Job, before it had a pod, while the watch was away") {
    Rig rig;
    rig.runner->start(rig.replica());
    rig.kube->take()[0].done(job());
    rig.kube->jobs.listed({});
    rig.settle();
    CHECK(rig.told.ended["r1"].detail == "its Job was deleted");
  }
}

TEST_CASE("job runner: nothing starts before it is known what an earlier server left") {
  Rig rig(false);
  rig.runner->start(rig.replica());
  rig.kube->jobs.listed({});
  CHECK(rig.kube->asked.empty());
  rig.kube->pods.listed({});
  CHECK(rig.kube->take_names() == Names{"create jobs"});
}

TEST_CASE("job runner: what an earlier server left goes on, with all that it wrote") {
  for (const bool pods_first : {false, true}) {
    CAPTURE(pods_first);
    Rig rig(false);
    rig.runner->start(rig.replica());
    if (pods_first) rig.kube->pods.listed({old_pod("{running: {}}")});
    rig.kube->jobs.listed({old_job()});
    if (!pods_first) rig.kube->pods.listed({old_pod("{running: {}}")});
    rig.settle();
    CHECK(rig.kube->asked.empty());
    CHECK(rig.told.started.contains("r1"));
    REQUIRE(rig.kube->followed.size() == 1);
    CHECK(rig.kube->followed[0].pod == "old-p");
    rig.kube->followed[0].piece("from the beginning\n");
    rig.kube->pods.put(old_pod("{terminated: {exitCode: 0}}", "Succeeded"));
    rig.kube->followed[0].ended({});
    rig.settle();
    REQUIRE(rig.told.ended.contains("r1"));
    CHECK(rig.told.ended["r1"].exit_code == 0);
    CHECK(rig.log_text().find("from the beginning") != std::string::npos);
    CHECK(rig.kube->take_names() == Names{"remove job old"});
  }
}

TEST_CASE("job runner: what ended while no server was there has its end told") {
  Rig rig(false);
  rig.kube->jobs.listed({old_job()});
  rig.kube->pods.listed({old_pod("{terminated: {exitCode: 4, reason: Error}}", "Failed")});
  rig.runner->start(rig.replica());
  REQUIRE(rig.kube->followed.size() == 1);
  rig.kube->followed[0].ended({});
  rig.settle();
  CHECK(rig.told.ended["r1"].exit_code == 4);
}

TEST_CASE("job runner: one that went on is stopped by its own name") {
  Rig rig(false);
  rig.kube->jobs.listed({old_job()});
  rig.kube->pods.listed({old_pod("{running: {}}")});
  rig.runner->start(rig.replica());
  rig.runner->stop("r1", true);
  CHECK(rig.kube->take_names() == Names{"remove job old", "kill pod old-p"});
}

TEST_CASE("job runner: what no execution wants is deleted") {
  Rig rig(false);
  rig.kube->jobs.listed({old_job()});
  rig.kube->pods.listed({});
  CHECK(rig.kube->asked.empty());
  rig.let_time_pass();
  CHECK(rig.kube->take_names() == Names{"remove job old"});
}

TEST_CASE("job runner: a server that ends leaves its replicas to the next one") {
  Rig rig;
  rig.bring_up();
  rig.runner->leave();
  rig.runner->stop("r1", false);
  rig.settle();
  CHECK(rig.told.ended.contains("r1"));
  CHECK(rig.kube->asked.empty());
}

TEST_CASE("job runner: one that waits for that can be stopped") {
  Rig rig(false);
  rig.runner->start(rig.replica());
  rig.runner->stop("r1", false);
  rig.settle();
  CHECK(rig.told.ended["r1"].signal == SIGTERM);
  rig.kube->jobs.listed({});
  rig.kube->pods.listed({});
  CHECK(rig.kube->take_names().empty());
}

TEST_CASE("job runner: what comes after it is gone reaches nobody") {
  Rig rig;
  rig.runner->start(rig.replica());
  auto asked = rig.kube->take();
  rig.runner.reset();
  asked[0].done(job());
  rig.settle();
  rig.let_time_pass();
  CHECK(rig.told.times.empty());
}

}  // namespace jobmill::targets
