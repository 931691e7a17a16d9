// SPDX-License-Identifier: Apache-2.0
#include "app/replica_plan.h"

#include <doctest/doctest.h>

namespace jobmill::app {
namespace {

using executions::RunnerKind;
using executions::RunReplica;

using Words = std::vector<std::string>;

// A job of one container, and what it would be started with.
struct Plan {
  executions::ContainerJob job;
  LocalImages images;
  ReplicaFacts facts{.data = "/data", .inherited = {{"PATH", "/bin"}}, .names = {"shop.example"}};

  Plan() {
    job.key = {"default", "mail"};
    job.pod.containers.push_back({.name = "main",
                                  .image = "r.io/job:1",
                                  .command = {},
                                  .args = {},
                                  .env = {{.name = "A", .value = "1", .secret = ""}},
                                  .cpu_milli = {},
                                  .memory_bytes = {}});
  }
  executions::Container& main() { return job.pod.containers.front(); }
  Result<RunReplica> made() const {
    executions::Execution execution;
    execution.name = "mail-abc1234";
    execution.started = job;
    executions::Replica replica;
    replica.name = "mail-abc1234-x";
    return plan_replica(job, execution, replica, images, facts, "", TimePoint());
  }
  std::string refusal() const {
    const auto plan = made();
    REQUIRE_FALSE(plan);
    return plan.error().message;
  }
};

}  // namespace

TEST_CASE("replica plan: who runs it says the job, then the image's entry, then what is known") {
  Plan plan;
  CHECK(plan.refusal().starts_with("ImageNotRunnable: no entry for image 'r.io/job:1'"));
  plan.facts.container_images = true;
  CHECK(plan.made()->runner == RunnerKind::Oci);
  plan.main().command = {"/run"};
  CHECK(plan.made()->runner == RunnerKind::Process);
  plan.images.add({.pattern = "r.io/*", .command = {"/mapped"}, .runner = RunnerKind::Oci});
  CHECK(plan.made()->runner == RunnerKind::Oci);
  plan.job.options.runner = RunnerKind::Process;
  CHECK(plan.made()->runner == RunnerKind::Process);
  plan.job.options.runner = RunnerKind::Kubernetes;
  CHECK(plan.refusal().find("use --runner process or --runner oci") != std::string::npos);
  plan.facts.cluster = true;
  CHECK(plan.made()->runner == RunnerKind::Kubernetes);
}

TEST_CASE("replica plan: an entry that leaves it open is a container when it has the image") {
  Plan plan;
  plan.images.add({.pattern = "r.io/job:1", .command = {"/mapped"}});
  CHECK(plan.made()->runner == RunnerKind::Process);
  Plan other;
  other.images.add({.pattern = "r.io/*", .command = {}, .archive = "/images/job.tar"});
  const auto made = other.made();
  CHECK(made->runner == RunnerKind::Oci);
  CHECK(made->main.archive == "/images/job.tar");
}

TEST_CASE("replica plan: a cluster has the images itself, and files of its own") {
  Plan plan;
  plan.facts.cluster = true;
  plan.facts.own_authority = true;
  plan.images.add({.pattern = "r.io/job:1", .command = {"/mapped"}, .env = {{"MAPPED", "1"}}});
  plan.main().args = {"fast"};
  const auto made = plan.made();
  REQUIRE(made);
  CHECK(made->runner == RunnerKind::Kubernetes);
  CHECK(made->main.command.empty());
  CHECK(made->main.args == std::vector<std::string>{"fast"});
  CHECK_FALSE(made->main.environment.contains("PATH"));
  CHECK_FALSE(made->main.environment.contains("MAPPED"));
  CHECK_FALSE(made->main.environment.contains("SSL_CERT_FILE"));
  CHECK(made->main.environment.contains("JOBMILL_EXECUTION"));
}

TEST_CASE("replica plan: a container inherits nothing, and its arguments stay apart") {
  Plan plan;
  plan.job.options.runner = RunnerKind::Oci;
  plan.facts.own_authority = true;
  plan.main().args = {"fast"};
  const auto made = plan.made();
  REQUIRE(made);
  CHECK(made->main.command.empty());
  CHECK(made->main.args == Words{"fast"});
  CHECK(made->main.environment.at("A") == "1");
  CHECK_FALSE(made->main.environment.contains("PATH"));
  CHECK(made->main.environment.at("SSL_CERT_FILE") == "/data/tls/bundle.pem");
  CHECK(made->main.files == Words{"/data/tls/bundle.pem", "/data/tls/ca.pem", "/data/python"});
  CHECK(made->local_names == Words{"shop.example"});
}

TEST_CASE("replica plan: a process inherits, and its arguments follow its command") {
  Plan plan;
  plan.images.add({.pattern = "r.io/job", .command = {"/mapped"}, .workdir = "/src"});
  plan.main().args = {"fast"};
  const auto made = plan.made();
  REQUIRE(made);
  CHECK(made->main.command == Words{"/mapped", "fast"});
  CHECK(made->main.args.empty());
  CHECK(made->main.workdir == "/src");
  CHECK(made->main.environment.at("PATH") == "/bin");
  CHECK(made->main.files.empty());
  CHECK(made->local_names.empty());  // no variable has the name
}

}  // namespace jobmill::app
