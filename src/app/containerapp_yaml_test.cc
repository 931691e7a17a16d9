// SPDX-License-Identifier: Apache-2.0
#include "app/containerapp_yaml.h"

#include <doctest/doctest.h>

namespace jobmill::app {
namespace {

constexpr char kEnvironmentId[] =
    "/subscriptions/sub/resourceGroups/rg/providers/Microsoft.App/managedEnvironments/env";

constexpr char kJob[] = R"(name: job
location: here
properties:
  environmentId: /subscriptions/sub/resourceGroups/rg/providers/Microsoft.App/managedEnvironments/env
  configuration:
    triggerType: Manual
    replicaTimeout: 300
  template:
    containers:
    - name: main
      image: i:1
  jobmill:
    semantics: cloud
)";

Result<Node> find_environment(const std::string& id) {
  if (id != kEnvironmentId) return fail(Code::NotFound, id);
  return parse_json(R"({"location": "there"})");
}

JobFile read(std::string_view text, const std::string& name = "job") {
  auto file = read_job_file("f.yaml", text, name);
  REQUIRE_MESSAGE(file, (file ? "" : file.error().message));
  return *std::move(file);
}

Status completed(JobFile& file, const std::string& environment) {
  return complete_environment(file, environment, {"sub", "rg"}, find_environment);
}

TEST_CASE("containerapp yaml: what is no job is refused in az's words") {
  CHECK(read_job_file("f.yaml", "a: [", "job")
            .error()
            .message.starts_with("Error parsing f.yaml (line "));
  for (const char* text : {"", "- a", "text"})
    CHECK(read_job_file("f.yaml", text, "job").error().message ==
          "Invalid YAML provided. Please see https://aka.ms/azure-container-apps-yaml for a valid "
          "containerapps YAML spec.");
  CHECK(read_job_file("f.yaml", "type: Microsoft.App/containerApps", "job").error().message ==
        "Containerapp job type must be \"Microsoft.App/jobs\"");
}

TEST_CASE("containerapp yaml: the name of the file wins, and that is said") {
  CHECK(read("a: b").name == "job");
  CHECK(read(kJob).notes.empty());
  const JobFile other = read(kJob, "flag");
  CHECK(other.name == "job");
  CHECK(other.notes ==
        std::vector<std::string>{
            "The job name provided in the --yaml file \"job\" does not match the one provided in "
            "the --name flag \"flag\". The one provided in the --yaml file will be used."});
}

TEST_CASE("containerapp yaml: the environment of the file, or else that of the flag") {
  JobFile file = read(kJob);
  CHECK(completed(file, "ignored"));
  CHECK(text_at(file.resource, {"location"}) == "here");

  JobFile bare = read("configuration: {}");
  CHECK(completed(bare, "").error().message ==
        "Invalid environmentId specified. Environment not found");
  CHECK(completed(bare, "env"));
  CHECK(text_at(bare.resource, {"properties", "environmentId"}) == kEnvironmentId);
  CHECK(text_at(bare.resource, {"location"}) == "there");

  JobFile unknown = read("configuration: {}");
  CHECK(completed(unknown, "nowhere").error().message ==
        "The environment 'nowhere' in resource group 'rg' was not found");
  JobFile wrong = read("managedEnvironmentId: env");
  CHECK(completed(wrong, "env").error().message ==
        "Invalid environmentId specified. Environment not found");
}

TEST_CASE("containerapp yaml: every mistake has its line, its path and the nearest known key") {
  const JobFile good = read(kJob);
  CHECK(check_job(good, good.resource));
  const JobFile bad = read(
      "configuration:\n  replicaTimeout: 1\n  replicaRetryLimt: 2\n"
      "template:\n  containers:\n  - name: a\n");
  const Status wrong = check_job(bad, bad.resource);
  REQUIRE_FALSE(wrong);
  const std::string& text = wrong.error().message;
  CAPTURE(text);
  CHECK(text.find("f.yaml:3: configuration.replicaRetryLimt") != std::string::npos);
  CHECK(text.find("did you mean replicaRetryLimit?") != std::string::npos);
  CHECK(text.find("\nf.yaml:6: template.containers[0].image") != std::string::npos);
}

TEST_CASE("containerapp yaml: a mistake is named as the file has it, not as ARM would") {
  const JobFile bad = read(
      "properties:\n"
      "  configuration:\n    trigger_type: Manual\n    replica_timeout: soon\n"
      "    manual_trigger_config: {replica_completion_count: 0}\n"
      "template:\n  init_containers:\n  - {name: a, image: i, working_dir: /}\n"
      "  containers:\n  - {name: b, image: i, env: [{name: A, secret_ref: 1}]}\n");
  const Status wrong = check_job(bad, bad.resource);
  REQUIRE_FALSE(wrong);
  const std::string& text = wrong.error().message;
  CAPTURE(text);
  for (const char* place : {"f.yaml:4: properties.configuration.replica_timeout: ",
                            "f.yaml:5: properties.configuration.manual_trigger_config."
                            "replica_completion_count: ",
                            "f.yaml:8: template.init_containers[0].working_dir: ",
                            "f.yaml:10: template.containers[0].env[0].secret_ref: "})
    CHECK(text.find(place) != std::string::npos);
  const auto pod = read_template_file("f.yaml", "init_containers:\n- {name: a, image: 1}\n");
  REQUIRE_FALSE(pod);
  CHECK(pod.error().message.starts_with("f.yaml:2: init_containers[0].image: "));
}

TEST_CASE("containerapp yaml: a template alone, or within a job") {
  const auto alone = read_template_file("f.yaml", "containers:\n- {name: a, image: b}\n");
  REQUIRE(alone);
  CHECK(to_json(*alone) == R"({"containers":[{"name":"a","image":"b"}]})");
  const auto within = read_template_file("f.yaml", kJob);
  REQUIRE(within);
  CHECK(to_json(*within) == R"({"containers":[{"name":"main","image":"i:1"}]})");
  CHECK_FALSE(read_template_file("f.yaml", "containers:\n- {nam: a}\n"));
}

TEST_CASE("containerapp yaml: a job that was exported is the job that it was") {
  const Node job = read(kJob).resource;
  Node shown = job;
  shown.set("id", Node::string("/x"));
  shown.find("properties")->set("provisioningState", Node::string("Succeeded"));
  const Node file = exported_job(shown, false);
  CHECK(to_json(file) == to_json(job));
  CHECK(to_json(read(to_yaml(file)).resource) == to_json(job));
  CHECK(find_at(exported_job(shown, true), {"properties", "jobmill"}) == nullptr);
}

}  // namespace
}  // namespace jobmill::app
