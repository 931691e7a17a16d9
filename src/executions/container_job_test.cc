// SPDX-License-Identifier: Apache-2.0
#include "executions/container_job.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>

namespace jobmill::executions {
namespace {

using namespace std::chrono_literals;
using manifest::Problems;

const JobKey kKey{"rg", "job-python"};

constexpr std::string_view kFull = R"(name: job-python
type: Microsoft.App/jobs
location: local
tags: {team: orders, tier: 2}
identity:
  type: UserAssigned
  userAssignedIdentities: {"/Subscriptions/S/identities/A": {}}
properties:
  environmentId: /subscriptions/s/environments/e
  workloadProfileName: Consumption
  configuration:
    triggerType: Event
    replicaTimeout: 300
    replicaRetryLimit: 10
    eventTriggerConfig:
      replicaCompletionCount: 2
      parallelism: 3
      scale:
        pollingInterval: 15
        minExecutions: 1
        maxExecutions: 7
        rules:
        - name: queue-rule
          type: Azure-ServiceBus
          metadata: {queueName: queue-messages, namespace: ns, messageCount: 1}
          auth: [{secretRef: connection-string, triggerParameter: connection}]
    secrets:
    - {name: connection-string, value: "Endpoint=sb://x/;SharedAccessKey=a="}
    - {name: from-vault, keyVaultUrl: "https://v/secrets/s", identity: system}
    registries: [{server: r.azurecr.io, identity: "/identities/a"}]
    identitySettings: [{identity: "/identities/a", lifecycle: All}]
  template:
    containers:
    - name: job-python
      image: r.azurecr.io/job-python:1.0.0
      command: [python]
      args: [processor.py]
      env: [{name: A, value: b}, {name: N, value: 5}, {name: C, secretRef: from-vault}]
      resources: {cpu: 0.25, memory: 0.5Gi}
      volumeMounts: []
      probes: []
    initContainers: [{name: before, image: "busybox:1", resources: {cpu: "1", memory: 1Gi}}]
    volumes: []
  jobmill:
    runner: process
    workdir: /srv/app
    semantics: bound
    supervisorLocks: false
    stopGrace: 5
    retryBackoff: "2,60"
    stalledAfter: 90
    history: "1000,P30D"
    pendingLimit: 4
    suspended: true
)";

Node yaml(std::string_view text) { return parse_yaml(text)->at(0); }

ContainerJob decoded(const Node& resource) {
  Problems problems("job.yaml");
  ContainerJob job = decode_job(kKey, resource, problems);
  for (const auto& error : problems.errors()) FAIL(error.where, ": ", error.text);
  return job;
}

// The errors of the full example with a piece of its text replaced, one a line.
std::string errors_with(std::string_view piece, std::string_view other) {
  std::string text(kFull);
  const std::size_t at = text.find(piece);
  REQUIRE(at != text.npos);
  text.replace(at, piece.size(), other);
  Problems problems("job.yaml");
  (void)decode_job(kKey, yaml(text), problems);  // only the problems are looked at
  std::string all;
  for (const auto& error : problems.errors())
    all += (all.empty() ? "" : "\n") + error.where + ": " + error.text;
  return all;
}

}  // namespace

TEST_CASE("container job: everything of a resource is read") {
  const ContainerJob job = decoded(yaml(kFull));
  CHECK(job.key == kKey);
  CHECK(job.trigger == TriggerType::Event);
  CHECK(job.replica_timeout == 300s);
  CHECK(job.retry_limit == 10);
  CHECK(job.completions == 2);
  CHECK(job.parallelism == 3);
  CHECK(job.polling_interval == 15s);
  CHECK(job.min_executions == 1);
  CHECK(job.max_executions == 7);
  REQUIRE(job.rules.size() == 1);
  CHECK(job.rules[0].name == "queue-rule");
  CHECK(job.rules[0].type == "azure-servicebus");
  CHECK(job.rules[0].metadata.at("messageCount") == "1");
  CHECK(job.rules[0].auth.at(0).secret == "connection-string");
  CHECK(job.rules[0].auth.at(0).parameter == "connection");
  REQUIRE(job.pod.containers.size() == 1);
  const Container& main = job.pod.containers[0];
  CHECK(main.image == "r.azurecr.io/job-python:1.0.0");
  CHECK(main.command == std::vector<std::string>{"python"});
  CHECK(main.args == std::vector<std::string>{"processor.py"});
  CHECK(main.env.at(1).value == "5");
  CHECK(main.env.at(2).secret == "from-vault");
  CHECK(main.cpu_milli == 250);
  CHECK(main.memory_bytes == std::int64_t{512} << 20);
  CHECK(job.pod.init_containers.at(0).cpu_milli == 1000);
  CHECK_FALSE(job.identity.system);
  CHECK(job.identity.user == std::vector<std::string>{"/subscriptions/s/identities/a"});
  CHECK(job.options.runner == RunnerKind::Process);
  CHECK(job.options.workdir == "/srv/app");
  CHECK(job.options.semantics == Semantics::Bound);
  CHECK_FALSE(job.options.supervisor_locks);
  CHECK(job.options.stop_grace == 5s);
  CHECK(job.options.backoff.first == 2s);
  CHECK(job.options.backoff.longest == 60s);
  CHECK(job.options.stalled_after == 90s);
  CHECK(job.options.history.keep == 1000);
  CHECK(job.options.history.age == std::chrono::hours(24 * 30));
  CHECK(job.options.pending_limit == 4);
  CHECK(job.options.suspended);
}

TEST_CASE("container job: what is not said has the usual value") {
  const ContainerJob job = decoded(yaml(R"(
properties:
  configuration: {replicaTimeout: 60}
  template: {containers: [{name: main, image: "app:1"}]}
)"));
  CHECK(job.trigger == TriggerType::Manual);
  CHECK(job.retry_limit == 0);
  CHECK(job.completions == 1);
  CHECK(job.parallelism == 1);
  CHECK(job.polling_interval == 30s);
  CHECK(job.min_executions == 0);
  CHECK(job.max_executions == 100);
  CHECK_FALSE(job.identity.any());
  CHECK(job.options.runner == RunnerKind::Auto);
  CHECK_FALSE(job.options.semantics);
  CHECK(job.options.supervisor_locks);
  CHECK(job.options.stop_grace == 30s);
  CHECK(job.options.backoff.first == 10s);
  CHECK(job.options.backoff.longest == 360s);
  CHECK_FALSE(job.options.history.keep);
  CHECK(job.options.history.age == std::chrono::hours(24 * 7));
}

TEST_CASE("container job: values of secrets are taken out of the document") {
  const ContainerJob job = decoded(yaml(kFull));
  REQUIRE(job.secrets.size() == 1);
  CHECK(job.secrets.at("connection-string").reveal() == "Endpoint=sb://x/;SharedAccessKey=a=");
  const std::string document = to_json(job.document);
  CHECK(document.find("SharedAccessKey") == std::string::npos);
  CHECK(document.find(R"({"name":"connection-string"})") != std::string::npos);
  CHECK(document.find("https://v/secrets/s") != std::string::npos);
}

TEST_CASE("container job: export and import give the same job and the same document") {
  const ContainerJob first = decoded(yaml(kFull));
  for (const std::string& text : {to_yaml(first.document), to_json(first.document)}) {
    const ContainerJob second = decoded(yaml(text));
    CHECK(to_json(second.document) == to_json(first.document));
    CHECK(to_json(to_document(second.pod)) == to_json(to_document(first.pod)));
    CHECK(second.rules.size() == first.rules.size());
    CHECK(second.options.history.keep == first.options.history.keep);
    CHECK(second.secrets.empty());  // they are not exported
  }
}

TEST_CASE("container job: what a server wrote into a document stays there") {
  Node resource = yaml(kFull);
  resource.set("id", Node::string("/subscriptions/s/jobs/job-python"));
  resource.find("identity")->set("principalId", Node::string("p"));
  resource.find("properties")->set("provisioningState", Node::string("Succeeded"));
  const ContainerJob job = decoded(resource);
  CHECK(job.document.find("id")->text == "/subscriptions/s/jobs/job-python");
  CHECK(job.document.find("identity")->find("principalId")->text == "p");
  CHECK(job.document.find("properties")->find("provisioningState")->text == "Succeeded");
}

TEST_CASE("container job: the name is that of the path") {
  Node resource = yaml(kFull);
  resource.set("name", Node::string("other"));
  CHECK(decoded(resource).document.find("name")->text == "job-python");
}

TEST_CASE("container job: snake case, misplaced members and older names are understood") {
  const Node tidy = tidy_resource(yaml(R"(
id: /subscriptions/s/x
system_data: {}
location: local
tags: {my_tag: a_b}
managed_environment_id: /environments/e
workload_profile_name: Consumption
provisioning_state: Succeeded
running_status: Ready
outboundIPAddresses: [1.2.3.4]
event_stream_endpoint: https://x
identity:
  type: UserAssigned
  principal_id: p
  user_assigned_identities: {"/identities/my_id": {client_id: c, principal_id: p}}
configuration:
  trigger_type: event
  replica_timeout: 30
  event_trigger_config:
    replica_completion_count: 1
    scale:
      polling_interval: 5
      rules: [{name: r, type: cron, metadata: {desired_replicas: "1"}}]
template:
  containers: [{name: main, image: "app:1", env: [{name: my_var, secret_ref: my_secret}]}]
)"));
  CHECK(to_json(tidy) ==
        R"({"location":"local","tags":{"my_tag":"a_b"},)"
        R"("identity":{"type":"UserAssigned","userAssignedIdentities":{"/identities/my_id":{}}},)"
        R"("properties":{"workloadProfileName":"Consumption",)"
        R"("configuration":{"triggerType":"event","replicaTimeout":30,)"
        R"("eventTriggerConfig":{"replicaCompletionCount":1,"scale":{"pollingInterval":5,)"
        R"("rules":[{"name":"r","type":"cron","metadata":{"desired_replicas":"1"}}]}}},)"
        R"("template":{"containers":[{"name":"main","image":"app:1",)"
        R"("env":[{"name":"my_var","secretRef":"my_secret"}]}]},)"
        R"("environmentId":"/environments/e"}})");
  CHECK(to_json(tidy_resource(tidy)) == to_json(tidy));
}

TEST_CASE("container job: a member that stands in both places is not lost silently") {
  Problems problems("job.yaml");
  (void)decode_job(kKey, yaml(R"(
template: {}
properties:
  configuration: {replicaTimeout: 60}
  template: {containers: [{name: main, image: "app:1"}]}
)"),
                   problems);  // only the problems are looked at
  REQUIRE(problems.errors().size() == 1);
  CHECK(problems.errors()[0].where == "job.yaml:2");
  CHECK(problems.errors()[0].text.starts_with("template: unknown field"));
}

TEST_CASE("container job: mistakes are told with line, path and nearest known name") {
  struct Case {
    const char* piece;
    const char* other;
    const char* error;
  };
  const std::vector<Case> cases{
      {"replicaTimeout: 300", "replicaTimeOut: 300", "job.yaml:13: properties.configuration."},
      {"replicaTimeout: 300", "replicaTimeOut: 300", "did you mean replicaTimeout?"},
      {"replicaTimeout: 300", "replicaTimeOut: 300", "replicaTimeout: required, and missing"},
      {"replicaTimeout: 300", "replicaTimeout: 0",
       "job.yaml:13: properties.configuration.replicaTimeout: must be from 1"},
      {"replicaRetryLimit: 10", "replicaRetryLimit: -1", "replicaRetryLimit: must be from 0"},
      {"replicaRetryLimit: 10", "replicaRetryLimit: ten", "expected an integer, found"},
      {"parallelism: 3", "parallelism: 0", "parallelism: must be from 1"},
      {"maxExecutions: 7", "maxExecutions: 0", "maxExecutions: must be from 1"},
      {"triggerType: Event", "triggerType: Timer", "expected one of Manual, Schedule, Event"},
      {"triggerType: Event", "triggerType: Schedule",
       "scheduleTriggerConfig: required with triggerType Schedule"},
      {"type: Microsoft.App/jobs", "type: Microsoft.App/containerApps",
       "job.yaml:2: type: Containerapp job type must be \"Microsoft.App/jobs\""},
      {"type: UserAssigned", "type: Somebody", "identity.type: expected None"},
      {"secretRef: connection-string", "secretRef: absent",
       "Secret 'absent' referenced by scale rule queue-rule does not exist in job job-python"},
      {"secretRef: from-vault", "secretRef: absent",
       "Secret 'absent' referenced by environment variable C does not exist in job job-python"},
      {"identity: \"/identities/a\"}]", "passwordSecretRef: absent}]",
       "Secret 'absent' referenced by registry r.azurecr.io does not exist in job job-python"},
      {"name: from-vault", "name: connection-string",
       "Duplicate secret \"connection-string\" found, secret names must be unique."},
      {"{name: N, value: 5}", "{name: A, value: 5}", "Duplicate environment variable A found"},
      {"{name: before,", "{name: job-python,", "Duplicate container \"job-python\" found"},
      {"image: r.azurecr.io/job-python:1.0.0", "imag: x", "image: required, and missing"},
      {"image: r.azurecr.io/job-python:1.0.0", "imag: x", "did you mean image?"},
      {"memory: 0.5Gi", "memory: lots", "resources.memory: "},
      {"cpu: 0.25", "cpu: 0", "resources.cpu: must be more than 0"},
      {"stopGrace: 5", "stopGrace: -1", "jobmill.stopGrace: expected seconds"},
      {"retryBackoff: \"2,60\"", "retryBackoff: \"60,2\"", "jobmill.retryBackoff: expected none"},
      {"history: \"1000,P30D\"", "history: some", "jobmill.history: expected all or a number"},
      {"semantics: bound", "semantics: both", "jobmill.semantics: expected one of bound, cloud"},
      {"value: \"Endpoint", "keyVaultUrl: u, value: \"Endpoint", "not together with keyVaultUrl"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.other);
    const std::string errors = errors_with(one.piece, one.other);
    CAPTURE(errors);
    CHECK(errors.find(one.error) != std::string::npos);
  }
  CHECK(errors_with("parallelism: 3", "parallel: 3").find('\n') == std::string::npos);  // told once
  CHECK(errors_with("command: [python]", "comand: [python]").find('\n') == std::string::npos);
}

TEST_CASE("container job: rules have different names") {
  const std::string errors =
      errors_with("        rules:", "        rules:\n        - {name: queue-rule, type: cron}");
  CHECK(errors.find("Duplicate scale rule \"queue-rule\" found") != std::string::npos);
}

TEST_CASE("container job: anything but an object is an error, and nothing falls over") {
  for (const char* text : {"[]", "5", "text", "{properties: 5}", "{properties: {template: []}}"}) {
    CAPTURE(text);
    Problems problems("job.yaml");
    (void)decode_job(kKey, yaml(text), problems);  // only the problems are looked at
    CHECK_FALSE(problems.ok());
  }
}

TEST_CASE("container job: a schedule has five fields that cron understands") {
  const auto errors = [](const char* cron) {
    Problems problems("job.yaml");
    const Node resource = yaml(
        "properties: {configuration: {triggerType: schedule, replicaTimeout: 1, "
        "scheduleTriggerConfig: {cronExpression: \"" +
        std::string(cron) + "\", parallelism: 2}}, template: {containers: [{name: m, image: i}]}}");
    const ContainerJob job = decode_job(kKey, resource, problems);
    if (problems.ok()) CHECK(job.cron == cron);
    if (problems.ok()) CHECK(job.parallelism == 2);
    return problems.errors().size();
  };
  CHECK(errors("*/5 * * * *") == 0);
  CHECK(errors("0 8 * * 1-5") == 0);
  CHECK(errors("0 0 8 * * 1-5") == 1);
  CHECK(errors("@daily") == 1);
  CHECK(errors("61 * * * *") == 1);
  CHECK(errors("") == 1);
}

TEST_CASE("container job: a schedule beside another trigger") {
  const auto decoded = [](std::string_view type, std::string_view schedule, Problems& problems) {
    std::string text(kFull);
    text.replace(text.find("triggerType: Event"), 18, "triggerType: " + std::string(type));
    text.replace(text.find("  jobmill:\n"), 11,
                 "  jobmill:\n    schedule: \"" + std::string(schedule) + "\"\n");
    return decode_job(kKey, yaml(text), problems);
  };
  Problems good("job.yaml");
  const ContainerJob job = decoded("Event", "*/5 * * * *", good);
  CHECK(good.ok());
  CHECK(job.cron == "*/5 * * * *");
  CHECK(job.rules.size() == 1);
  Problems wrong("job.yaml");
  CHECK(decoded("Manual", "every day", wrong).cron == "every day");
  REQUIRE(wrong.errors().size() == 1);
  CHECK(wrong.errors()[0].text ==
        "properties.jobmill.schedule: expected five fields (minute hour day month weekday), found "
        "\"every day\"");
}

TEST_CASE("container job: configurations of other trigger types are noted, and checked") {
  std::string text(kFull);
  text.replace(text.find("triggerType: Event"), 18, "triggerType: Manual");
  Problems problems("job.yaml");
  const ContainerJob job = decode_job(kKey, yaml(text), problems);
  CHECK(problems.ok());
  CHECK(job.rules.empty());
  CHECK(job.parallelism == 1);
  REQUIRE(problems.notes().size() == 1);
  CHECK(problems.notes()[0].text ==
        "properties.configuration.eventTriggerConfig: no effect with triggerType Manual");
}

TEST_CASE("container job: forms of the history, the back-off and the identity") {
  const auto options = [](const char* text) {
    const Node resource = yaml(
        "properties: {configuration: {replicaTimeout: 1}, template: {containers: [{name: m, "
        "image: i}]}, jobmill: {" +
        std::string(text) + "}}");
    return decoded(resource).options;
  };
  CHECK(options("history: 50").history.keep == 50);
  CHECK(options("history: 50").history.age > std::chrono::hours(24 * 365 * 50));
  CHECK_FALSE(options("history: all").history.keep);
  CHECK(options("history: 'all,PT1H'").history.age == 1h);
  CHECK(options("retryBackoff: none").backoff.longest == 0s);
  CHECK(options("retryBackoff: 5").backoff.first == 5s);
  CHECK(options("retryBackoff: 5").backoff.longest == 360s);
  CHECK(options("retryBackoff: 1000").backoff.longest == 1000s);

  const auto identity = [](const char* text) {
    const Node resource =
        yaml("{identity: " + std::string(text) +
             ", properties: {configuration: {replicaTimeout: 1}, template: {containers: [{name: m, "
             "image: i}]}}}");
    return decoded(resource).identity;
  };
  CHECK_FALSE(identity("{type: None}").any());
  CHECK(identity("{type: SystemAssigned}").system);
  const AssignedIdentities both =
      identity("{type: 'SystemAssigned,UserAssigned', userAssignedIdentities: {/A: {}, /B: {}}}");
  CHECK(both.system);
  CHECK(both.user == std::vector<std::string>{"/a", "/b"});
}

TEST_CASE("container job: a change is merged member by member, but for the scale") {
  const Node before = decoded(yaml(kFull)).document;
  const Node after = merge_resource(before, yaml(R"(
tags: {team: null, tier: "3"}
configuration:
  replica_retry_limit: 0
  event_trigger_config:
    parallelism: 9
    scale: {maxExecutions: 2}
template:
  containers: [{name: only, image: "x:1"}]
)"));
  CHECK(to_json(*after.find("tags")) == R"({"team":"orders","tier":"3"})");
  const Node& configuration = *after.find("properties")->find("configuration");
  CHECK(configuration.find("replicaRetryLimit")->text == "0");
  CHECK(configuration.find("replicaTimeout")->text == "300");
  const Node& event = *configuration.find("eventTriggerConfig");
  CHECK(event.find("parallelism")->text == "9");
  CHECK(event.find("replicaCompletionCount")->text == "2");
  CHECK(to_json(*event.find("scale")) == R"({"maxExecutions":2})");
  const Node& pod = *after.find("properties")->find("template");
  CHECK(pod.find("containers")->items.size() == 1);
  CHECK(pod.find("initContainers") != nullptr);
  CHECK(decoded(after).max_executions == 2);
}

TEST_CASE("container job: the template of a start") {
  Problems problems("body");
  const Template pod = decode_template(
      yaml("{containers: [{name: m, image: i, env: [{name: A, value: b}]}]}"), problems);
  CHECK(problems.ok());
  CHECK(to_json(to_document(pod)) ==
        R"({"containers":[{"name":"m","image":"i","env":[{"name":"A","value":"b"}]}]})");
  for (const char* text : {"{}", "{containers: [{name: m}]}", "{container: []}", "5"}) {
    CAPTURE(text);
    Problems wrong("body");
    (void)decode_template(yaml(text), wrong);  // only the problems are looked at
    CHECK_FALSE(wrong.ok());
  }
}

TEST_CASE("container job: names of resource groups, which name folders too") {
  for (const char* name : {"default", "rg-containerapp-keda-16", "a.b_(c)", "1"})
    CHECK(is_group_name(name));
  for (const char* name : {"", "..", "a.", "a/b", "../x", "a b", "a\\b"})
    CHECK_FALSE(is_group_name(name));
  Problems problems("job.yaml");
  (void)decode_job({"../../x", "job"}, yaml(kFull), problems);  // only the problems are looked at
  REQUIRE(problems.errors().size() == 1);
  CHECK(problems.errors()[0].text.starts_with("id: '../../x' is no name of a resource group"));
}

TEST_CASE("container job: names of jobs") {
  for (const char* name : {"a", "job-python", "A1", "a-1-b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"})
    CHECK(is_job_name(name));
  for (const char* name :
       {"", "1a", "-a", "a-", "a--b", "a_b", "a.b", "ä", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"})
    CHECK_FALSE(is_job_name(name));
  Problems problems("job.yaml");
  (void)decode_job({"rg", "no--name"}, yaml(kFull), problems);  // only the problems are looked at
  REQUIRE(problems.errors().size() == 1);
  CHECK(problems.errors()[0].text.starts_with("name: Invalid ContainerAppJob name no--name."));
}

}  // namespace jobmill::executions
