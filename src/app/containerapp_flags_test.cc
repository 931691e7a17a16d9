// SPDX-License-Identifier: Apache-2.0
#include "app/containerapp_flags.h"

#include <doctest/doctest.h>

#include <ostream>

#include <fmt/core.h>

#include "app/command_rig.h"

namespace jobmill::app {
namespace {

using Words = std::vector<std::string>;

constexpr char kEnvironmentId[] =
    "/subscriptions/sub/resourceGroups/rg/providers/Microsoft.App/managedEnvironments/env";
constexpr char kIdentityId[] =
    "/subscriptions/sub/resourceGroups/rg/providers/Microsoft.ManagedIdentity/"
    "userAssignedIdentities/me";

Arguments arguments_of(std::string_view path, const Words& words) {
  const CommandTrial trial = try_command(path, words);
  REQUIRE(trial.exit == 0);
  return trial.arguments;
}

Result<Node> find_environment(const std::string& id) {
  if (id != kEnvironmentId) return fail(Code::NotFound, id);
  return parse_json(R"({"location": "here"})");
}

Result<JobDraft> created(const Words& words) {
  return new_job(arguments_of("containerapp job create", words), {"sub", "rg"}, find_environment);
}

// A job that is complete, with more flags.
Words with(Words more) {
  Words words{
      "-n", "job", "--environment", "env", "--replica-timeout", "300", "--replica-retry-limit",
      "1"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

JobDraft good(const Result<JobDraft>& draft) {
  REQUIRE_MESSAGE(draft, (draft ? "" : draft.error().message));
  return *draft;
}

struct Refusal {
  int exit;
  std::string text;
  bool operator==(const Refusal&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Refusal& refusal) {
  return out << refusal.exit << " " << refusal.text;
}

Refusal refusal(const Result<JobDraft>& draft) {
  return draft ? Refusal{0, ""} : Refusal{exit_of(draft.error()), draft.error().message};
}

std::string part(const Node& job, std::initializer_list<std::string_view> path) {
  const Node* found = find_at(job, path);
  return found == nullptr ? "-" : to_json(*found);
}

const Node& container(const Node& job) {
  return find_at(job, {"properties", "template", "containers"})->items.front();
}

const Node& only_rule(const Node& job) {
  const Node* rules =
      find_at(job, {"properties", "configuration", "eventTriggerConfig", "scale", "rules"});
  REQUIRE(rules != nullptr);
  REQUIRE(rules->items.size() == 1);
  return rules->items.front();
}

// --- create ------------------------------------------------------------------------------------

TEST_CASE("containerapp create: the defaults of a manual job") {
  const JobDraft draft = good(created(with({})));
  CHECK(to_json(draft.resource) ==
        std::string(R"({"name":"job","location":"here","properties":{"environmentId":")") +
            kEnvironmentId +
            R"(","configuration":{"triggerType":"Manual","replicaTimeout":300,)"
            R"("replicaRetryLimit":1,"manualTriggerConfig":{"replicaCompletionCount":1,)"
            R"("parallelism":1}},"template":{"containers":[{"name":"job",)"
            R"("image":"mcr.microsoft.com/k8se/quickstart:latest"}]}},"tags":{}})");
  CHECK(draft.notes.empty());
}

TEST_CASE("containerapp create: the defaults of an event job") {
  const Node job = good(created(with({"--trigger-type", "event"}))).resource;
  CHECK(part(job, {"properties", "configuration", "triggerType"}) == R"("Event")");
  CHECK(part(job, {"properties", "configuration", "eventTriggerConfig"}) ==
        R"({"replicaCompletionCount":1,"parallelism":1,"scale":{"pollingInterval":30,)"
        R"("minExecutions":0,"maxExecutions":100}})");
}

TEST_CASE("containerapp create: every flag of the walkthrough, as typed") {
  const JobDraft draft =
      good(created({"--name",
                    "job-python",
                    "--resource-group",
                    "rg",
                    "--environment",
                    kEnvironmentId,
                    "--trigger-type",
                    "Event",
                    "--replica-timeout",
                    "86400",
                    "--replica-retry-limit",
                    "1",
                    "--replica-completion-count",
                    "1",
                    "--parallelism",
                    "1",
                    "--image",
                    "acr.azurecr.io/job-python:1.0.0",
                    "--registry-identity",
                    kIdentityId,
                    "--registry-server",
                    "acr.azurecr.io",
                    "--cpu",
                    "0.25",
                    "--memory",
                    "0.5",
                    "--min-executions",
                    "0",
                    "--max-executions",
                    "1",
                    "--secrets",
                    "service-bus-connection-string=Endpoint=sb://ns.servicebus.windows.net/;Key=a=",
                    "--scale-rule-name",
                    "azure-servicebus-queue-rule",
                    "--scale-rule-type",
                    "azure-servicebus",
                    "--scale-rule-auth",
                    "connection=service-bus-connection-string",
                    "--scale-rule-metadata",
                    "queueName=queue-messages",
                    "namespace=ns",
                    "messageCount=1",
                    "--env-vars",
                    "SERVICEBUS_FQDN=ns.servicebus.windows.net",
                    "SERVICEBUS_QUEUE_NAME=queue-messages"}));
  CHECK(draft.notes.empty());
  const Node& job = draft.resource;
  CHECK(part(job, {"identity"}) ==
        fmt::format(R"({{"type":"UserAssigned","userAssignedIdentities":{{"{}":{{}}}}}})",
                    kIdentityId));
  CHECK(part(job, {"properties", "configuration", "registries"}) ==
        fmt::format(R"([{{"server":"acr.azurecr.io","identity":"{}"}}])", kIdentityId));
  CHECK(part(job, {"properties", "configuration", "secrets"}) ==
        R"([{"name":"service-bus-connection-string",)"
        R"("value":"Endpoint=sb://ns.servicebus.windows.net/;Key=a="}])");
  CHECK(to_json(only_rule(job)) ==
        R"({"name":"azure-servicebus-queue-rule","type":"azure-servicebus","metadata":)"
        R"({"queueName":"queue-messages","namespace":"ns","messageCount":"1"},"auth":)"
        R"([{"triggerParameter":"connection","secretRef":"service-bus-connection-string"}]})");
  CHECK(to_json(container(job)) ==
        R"({"name":"job-python","image":"acr.azurecr.io/job-python:1.0.0","resources":)"
        R"({"cpu":0.25,"memory":"0.5Gi"},"env":[{"name":"SERVICEBUS_FQDN","value":)"
        R"("ns.servicebus.windows.net"},{"name":"SERVICEBUS_QUEUE_NAME","value":)"
        R"("queue-messages"}]})");
}

TEST_CASE("containerapp create: short names of flags") {
  const Node job = good(created({"-n",
                                 "job",
                                 "-g",
                                 "rg",
                                 "--environment",
                                 "env",
                                 "--replica-timeout",
                                 "5",
                                 "--replica-retry-limit",
                                 "0",
                                 "--trigger-type",
                                 "Event",
                                 "--rcc",
                                 "3",
                                 "--srn",
                                 "r",
                                 "--srt",
                                 "Kafka",
                                 "--srm",
                                 "a=b",
                                 "c=d",
                                 "--sra",
                                 "p=s",
                                 "-s",
                                 "s=v",
                                 "-w",
                                 "Consumption"}))
                       .resource;
  CHECK(part(job, {"properties", "configuration", "eventTriggerConfig",
                   "replicaCompletionCount"}) == "3");
  CHECK(to_json(only_rule(job)) == R"({"name":"r","type":"kafka","metadata":{"a":"b","c":"d"},)"
                                   R"("auth":[{"triggerParameter":"p","secretRef":"s"}]})");
  CHECK(part(job, {"properties", "configuration", "secrets"}) == R"([{"name":"s","value":"v"}])");
  CHECK(part(job, {"properties", "workloadProfileName"}) == R"("Consumption")");
}

TEST_CASE("containerapp create: schedules") {
  const Node job = good(created(with({"--trigger-type", "SCHEDULE", "--cron-expression",
                                      "*/5 * * * *", "--parallelism", "2"})))
                       .resource;
  CHECK(part(job, {"properties", "configuration", "scheduleTriggerConfig"}) ==
        R"({"replicaCompletionCount":1,"parallelism":2,"cronExpression":"*/5 * * * *"})");
  CHECK(refusal(created(with({"--trigger-type", "Schedule"}))) ==
        Refusal{1, "Usage error: --cron-expression is required with --trigger-type Schedule"});
}

TEST_CASE("containerapp create: names") {
  const auto named = [](const char* name) {
    return refusal(created({"-n", name, "--environment", "env", "--replica-timeout", "1",
                            "--replica-retry-limit", "0"}));
  };
  for (const char* fine : {"a", "Job-1", "abcdefghijklmnopqrstuvwxyz012345"})
    CHECK(named(fine) == Refusal{0, ""});
  for (const char* wrong : {"1a", "a-", "a--b", "a_b", "abcdefghijklmnopqrstuvwxyz0123456"})
    CHECK(
        named(wrong) ==
        Refusal{1, fmt::format("Invalid ContainerAppJob name {}. A name must consist of lower case "
                               "alphanumeric characters or '-', start with a letter, end with an "
                               "alphanumeric character, cannot have '--', and must be less than 32 "
                               "characters.",
                               wrong)});
}

TEST_CASE("containerapp create: what is required, in az's order") {
  CHECK(refusal(created({"-n", "a--b", "--registry-identity", "x"}))
            .text.starts_with("Invalid ContainerAppJob name"));
  CHECK(refusal(created({"-n", "job", "--registry-identity", "x"})).text ==
        "--registry-identity must be an identity resource ID or 'system'");
  CHECK(refusal(created({"-n", "job"})) ==
        Refusal{1, "Usage error: --replica-timeout is required"});
  CHECK(refusal(created({"-n", "job", "--replica-timeout", "1"})) ==
        Refusal{1, "Usage error: --replica-retry-limit is required"});
  CHECK(refusal(created({"-n", "job", "--replica-timeout", "1", "--replica-retry-limit", "0"})) ==
        Refusal{1, "Usage error: --environment is required if not using --yaml"});
  CHECK(refusal(created({"-n", "job", "--replica-timeout", "1", "--replica-retry-limit", "0",
                         "--environment", "other", "--env-vars", "bad"})) ==
        Refusal{1,
                "The environment '/subscriptions/sub/resourceGroups/rg/providers/Microsoft.App/"
                "managedEnvironments/other' does not exist. Specify a valid environment"});
}

TEST_CASE("containerapp create: values that cannot be") {
  struct Case {
    Words words;
    Refusal refusal;
  };
  const std::string env =
      "Environment variables must be in the format \"<key>=<value> <key>=secretref:<value> ...\".";
  const std::string secret =
      "Secrets must be in format \"<key>=<value> <key>=<value> ...\" or "
      "\"<key>=<keyvaultref:keyvaulturl,identityref:indentityId> ...\".";
  const std::string metadata = "Metadata must be in format \"<key>=<value> <key>=<value> ...\".";
  const std::string auth =
      "Auth parameters must be in format \"<triggerParameter>=<secretRef> "
      "<triggerParameter>=<secretRef> ...\".";
  const std::string together =
      "Usage error: --registry-server, --registry-password and --registry-username are required "
      "together if not using Azure Container Registry";
  const Words event{"--trigger-type", "Event", "--srn", "r", "--srt", "t"};
  const auto rule = [&](Words more) {
    Words words = event;
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  const std::vector<Case> cases{
      {{"--cpu", "much"}, {1, "Usage error: --cpu must be a number eg. \"0.5\""}},
      {{"--memory", "lots"}, {1, "Usage error: --memory must be a number ending with \"Gi\""}},
      {{"--memory", "512Mi"}, {1, "Usage error: --memory must be a number ending with \"Gi\""}},
      {{"--parallelism", "two"}, {2, "argument --parallelism: invalid int value: 'two'"}},
      {{"--parallelism", "0"}, {1, "Usage error: --parallelism must be at least 1"}},
      {{"--rcc", "0"}, {1, "Usage error: --replica-completion-count must be at least 1"}},
      {{"--replica-timeout", "0"}, {1, "Usage error: --replica-timeout must be at least 1"}},
      {{"--replica-retry-limit=-1"}, {1, "Usage error: --replica-retry-limit must be at least 0"}},
      {{"--trigger-type", "Never"},
       {2,
        "argument --trigger-type: 'Never' is not a valid value. Allowed values: 'Manual', "
        "'Schedule', 'Event'."}},
      {{"--env-vars", "A"}, {1, env}},
      {{"--env-vars", "A=1", "A=2"},
       {1, "Duplicate environment variable A found, environment variable names must be unique."}},
      {{"--secrets", "a"}, {1, secret}},
      {{"--secrets", "a=1", "a=2"},
       {1, "Duplicate secret \"a\" found, secret names must be unique."}},
      {{"--secrets", "a=keyvaultref:https://v"}, {1, "Identityref is missing. " + secret}},
      {{"--secrets", "a=identityref:system"}, {1, "Keyvaultref is missing. " + secret}},
      {{"--registry-server", "docker.io"}, {1, together}},
      {{"--registry-username", "me"}, {1, together}},
      {{"--registry-server", "docker.io", "--registry-username", "me"}, {1, together}},
      {{"--registry-server", "docker.io", "--registry-username", "me", "--registry-password",
        "secretref:none"},
       {1,
        "Registry password secret with name 'none' does not exist. Add the secret using "
        "--secrets"}},
      {{"--registry-server", "a.azurecr.io", "--registry-identity", "system", "--registry-username",
        "me"},
       {1, "Cannot provide both registry identity and username/password"}},
      {{"--registry-server", "docker.io", "--registry-identity", "system"},
       {1,
        "--registry-identity: expected an ACR registry (*.azurecr.io / *.azurecr.cn / "
        "*.azurecr.us) for --registry-server"}},
      {{"--registry-identity", "system", "--no-wait"},
       {1, "--no-wait is not supported with system registry identity"}},
      {rule({"--srm", "a"}), {1, metadata}},
      {rule({"--srm", "a=1", "a=2"}),
       {1, "Duplicate metadata \"a\" found, metadata keys must be unique."}},
      {rule({"--sra", "a"}), {1, auth}},
      {rule({"--sra", "a=1", "a=2"}),
       {1, "Duplicate trigger parameter \"a\" found, trigger paramaters must be unique."}},
      {{"--trigger-type", "Event", "--srn", "r"},
       {1, "Usage error: --scale-rule-type is required with --scale-rule-name"}},
      {{"--trigger-type", "Event", "--trigger", "- a"},
       {1, "--trigger: expected a rule: {name, type, metadata, auth}"}},
      {{"--runner", "magic"},
       {2,
        "argument --runner: 'magic' is not a valid value. Allowed values: 'auto', 'process', "
        "'oci', 'kubernetes'."}},
  };
  for (const Case& one : cases) {
    CAPTURE(one.words);
    CHECK(refusal(created(with(one.words))) == one.refusal);
  }
}

TEST_CASE("containerapp create: memory has a unit, with and without being told") {
  for (const char* text : {"0.5", "0.5Gi", "0.5 "})
    CHECK(part(container(good(created(with({"--memory", text}))).resource),
               {"resources", "memory"}) == R"("0.5Gi")");
}

TEST_CASE("containerapp create: lists of words, and what clears them") {
  const Node full =
      good(created(with({"--command", "python", "x.py", "--args", "a b", "[c,d]"}))).resource;
  CHECK(part(container(full), {"command"}) == R"(["python","x.py"])");
  const Node none = good(created(with({"--command", "", "--args", ""}))).resource;
  CHECK(part(container(none), {"command"}) == "[]");
  CHECK(part(container(none), {"args"}) == "[]");
  CHECK(part(container(good(created(with({}))).resource), {"command"}) == "-");
}

TEST_CASE("containerapp create: variables may be secrets, by their beginning only") {
  const JobDraft draft =
      good(created(with({"--env-vars", "A=secretref:s", "B=x=y", "C=a secretref:b"})));
  CHECK(part(container(draft.resource), {"env"}) ==
        R"([{"name":"A","secretRef":"s"},{"name":"B","value":"x=y"},)"
        R"({"name":"C","value":"a secretref:b"}])");
  CHECK(draft.notes ==
        Words{"C: secretref: in the middle of a value is text; a reference begins with it."});
  CHECK(part(container(good(created(with({"--env-vars"}))).resource), {"env"}) == "-");
}

TEST_CASE("containerapp create: secrets of a key vault") {
  CHECK(part(good(created(
                      with({"--secrets", "a=keyvaultref:https://v/secrets/x,identityref:system"})))
                 .resource,
             {"properties", "configuration", "secrets"}) ==
        R"([{"name":"a","keyVaultUrl":"https://v/secrets/x","identity":"system"}])");
}

TEST_CASE("containerapp create: registries and the password's secret") {
  const Node job =
      good(created(with({"--registry-server", "r.example.org:5000", "--registry-username", "Me.Too",
                         "--registry-password", "pass"})))
          .resource;
  CHECK(part(job, {"properties", "configuration", "registries"}) ==
        R"([{"server":"r.example.org:5000","username":"Me.Too",)"
        R"("passwordSecretRef":"rexampleorg-5000-me-too"}])");
  CHECK(part(job, {"properties", "configuration", "secrets"}) ==
        R"([{"name":"rexampleorg-5000-me-too","value":"pass"}])");

  const Node named =
      good(created(with({"--secrets", "Pass=x", "--registry-server", "docker.io",
                         "--registry-username", "me", "--registry-password", "secretref:pass"})))
          .resource;
  CHECK(part(named, {"properties", "configuration", "registries"}) ==
        R"([{"server":"docker.io","username":"me","passwordSecretRef":"pass"}])");

  const Node azure = good(created(with({"--registry-server", "a.AzureCR.io"}))).resource;
  CHECK(part(azure, {"properties", "configuration", "registries"}) ==
        R"([{"server":"a.AzureCR.io"}])");
}

TEST_CASE("containerapp create: identities by name and id, each once") {
  const JobDraft draft =
      good(created(with({"--system-assigned", "--user-assigned", "me",
                         "/SUBSCRIPTIONS/sub/resourceGroups/rg/providers/Microsoft.ManagedIdentity/"
                         "userAssignedIdentities/me"})));
  CHECK(part(draft.resource, {"identity"}) ==
        fmt::format(R"({{"type":"SystemAssigned, UserAssigned","userAssignedIdentities":)"
                    R"({{"{}":{{}}}}}})",
                    kIdentityId));
  CHECK(draft.notes == Words{"At least one identity was passed twice."});
  CHECK(part(good(created(
                      with({"--registry-identity", "System", "--registry-server", "a.azurecr.us"})))
                 .resource,
             {"identity"}) == R"({"type":"SystemAssigned"})");
  CHECK(part(good(created(with({}))).resource, {"identity"}) == "-");
}

TEST_CASE("containerapp create: flags without effect are named, and taken") {
  const Words notes =
      good(created(with({"--cron-expression", "* * * * *", "--max-executions", "3", "--srn", "x"})))
          .notes;
  CHECK(notes == Words{"--cron-expression has no effect with the trigger type Manual.",
                       "--max-executions has no effect with the trigger type Manual.",
                       "--scale-rule-name has no effect with the trigger type Manual."});
  CHECK(good(created(with({"--trigger-type", "Event", "--srt", "kafka"}))).notes ==
        Words{"--scale-rule-type has no effect without --scale-rule-name."});
}

TEST_CASE("containerapp create: what is jobmill's own") {
  const Node job =
      good(created(with({"--runner",        "Process", "--workdir",          "/srv/app",
                         "--semantics",     "cloud",   "--supervisor-locks", "off",
                         "--stop-grace",    "5",       "--retry-backoff",    "NONE",
                         "--stalled-after", "60",      "--history",          "100,P1D",
                         "--pending-limit", "2",       "--schedule",         "0 6 * * *"})))
          .resource;
  CHECK(part(job, {"properties", "jobmill"}) ==
        R"({"runner":"process","semantics":"cloud","supervisorLocks":false,"workdir":"/srv/app",)"
        R"("stopGrace":5,"stalledAfter":60,"pendingLimit":2,"retryBackoff":"none",)"
        R"("schedule":"0 6 * * *","history":"100,P1D"})");
}

TEST_CASE("containerapp create: several rules") {
  const Node job = good(created(with({"--trigger-type", "Event", "--srn", "one", "--srt", "kafka",
                                      "--trigger", R"({"name": "two", "type": "cron"})",
                                      "--trigger", "name: three\ntype: redis"})))
                       .resource;
  CHECK(part(job, {"properties", "configuration", "eventTriggerConfig", "scale", "rules"}) ==
        R"([{"name":"one","type":"kafka","metadata":{},"auth":[]},{"name":"two","type":"cron"},)"
        R"({"name":"three","type":"redis"}])");
}

// --- update ------------------------------------------------------------------------------------

constexpr char kEventJob[] = R"({
  "name": "job", "tags": {"a": "1"},
  "properties": {
    "configuration": {
      "triggerType": "Event", "replicaTimeout": 300, "replicaRetryLimit": 2,
      "secrets": [{"name": "s"}],
      "eventTriggerConfig": {"replicaCompletionCount": 1, "parallelism": 1, "scale": {
        "pollingInterval": 30, "minExecutions": 0, "maxExecutions": 1,
        "rules": [{"name": "r", "type": "kafka", "metadata": {"x": "1", "y": "2"}}]}}},
    "template": {"containers": [{"name": "job", "image": "i:1",
      "resources": {"cpu": 0.25, "memory": "0.5Gi"},
      "env": [{"name": "A", "value": "1"}, {"name": "B", "secretRef": "s"}]}]}}})";

Result<JobDraft> updated(Words words, std::string_view job = kEventJob) {
  words.insert(words.begin(), {"-n", "job"});
  auto document = parse_json(job);
  REQUIRE(document);
  return changed_job(arguments_of("containerapp job update", words), *std::move(document));
}

std::string env_after(const Words& words) {
  return part(container(good(updated(words)).resource), {"env"});
}

TEST_CASE("containerapp update: what no flag names stays") {
  const auto before = parse_json(kEventJob);
  CHECK(to_json(good(updated({})).resource) == to_json(*before));
}

TEST_CASE("containerapp update: numbers, also an explicit 0") {
  const Node job = good(updated({"--replica-retry-limit", "0", "--replica-timeout", "5", "--rcc",
                                 "4", "--polling-interval", "7", "--max-executions", "9"}))
                       .resource;
  CHECK(part(job, {"properties", "configuration", "replicaRetryLimit"}) == "0");
  CHECK(part(job, {"properties", "configuration", "replicaTimeout"}) == "5");
  CHECK(part(job, {"properties", "configuration", "eventTriggerConfig",
                   "replicaCompletionCount"}) == "4");
  CHECK(part(job, {"properties", "configuration", "eventTriggerConfig", "scale",
                   "maxExecutions"}) == "9");
  CHECK(refusal(updated({"--replica-timeout", "0"})) ==
        Refusal{1, "Usage error: --replica-timeout must be at least 1"});
}

TEST_CASE("containerapp update: a rule of the same name is replaced, another one appended") {
  const Node replaced = good(updated({"--srn", "R", "--srt", "redis", "--srm", "z=3"})).resource;
  CHECK(to_json(only_rule(replaced)) ==
        R"({"name":"R","type":"redis","metadata":{"z":"3"},"auth":[]})");
  const Node two = good(updated({"--srn", "other", "--srt", "redis"})).resource;
  CHECK(find_at(two, {"properties", "configuration", "eventTriggerConfig", "scale", "rules"})
            ->items.size() == 2);
}

TEST_CASE("containerapp update: only the trigger's own configuration changes") {
  constexpr char kManual[] = R"({"properties": {"configuration": {"triggerType": "Manual",
      "replicaTimeout": 1, "manualTriggerConfig": {"parallelism": 1}}}})";
  const JobDraft draft = good(updated({"--parallelism", "3", "--max-executions", "5"}, kManual));
  CHECK(part(draft.resource, {"properties", "configuration"}) ==
        R"({"triggerType":"Manual","replicaTimeout":1,"manualTriggerConfig":{"parallelism":3}})");
  CHECK(draft.notes == Words{"--max-executions has no effect with the trigger type Manual."});
}

TEST_CASE("containerapp update: schedules, of the trigger and beside another one") {
  constexpr char kScheduled[] = R"({"properties": {"configuration": {"triggerType": "Schedule",
      "replicaTimeout": 1, "scheduleTriggerConfig": {"cronExpression": "0 6 * * *"}}}})";
  const Node moved = good(updated({"--cron-expression", "0 7 * * *"}, kScheduled)).resource;
  CHECK(part(moved, {"properties", "configuration", "scheduleTriggerConfig", "cronExpression"}) ==
        R"("0 7 * * *")");
  CHECK(part(moved, {"properties", "jobmill"}) == "-");
  CHECK(good(updated({"--cron-expression", "0 7 * * *"})).notes ==
        Words{"--cron-expression has no effect with the trigger type Event."});

  const Node both = good(updated({"--schedule", "0 8 * * *"})).resource;
  CHECK(part(both, {"properties", "jobmill"}) == R"({"schedule":"0 8 * * *"})");
  CHECK(part(both, {"properties", "configuration", "triggerType"}) == R"("Event")");
}

TEST_CASE("containerapp update: variables are set, replaced and removed, in any case") {
  CHECK(env_after({"--set-env-vars", "a=9", "C=3"}) ==
        R"([{"name":"a","value":"9"},{"name":"B","secretRef":"s"},{"name":"C","value":"3"}])");
  CHECK(env_after({"--replace-env-vars", "Z=1"}) == R"([{"name":"Z","value":"1"}])");
  CHECK(env_after({"--remove-env-vars", "b"}) == R"([{"name":"A","value":"1"}])");
  CHECK(env_after({"--remove-all-env-vars"}) == "[]");
  CHECK(env_after({"--set-env-vars", "C=3", "--remove-env-vars", "C", "A"}) ==
        R"([{"name":"B","secretRef":"s"}])");
  CHECK(good(updated({"--remove-env-vars", "Q"})).notes ==
        Words{"Environment variable Q does not exist."});
}

TEST_CASE("containerapp update: containers") {
  const Node job = good(updated({"--image", "i:2", "--cpu", "1", "--command", "run"})).resource;
  CHECK(to_json(container(job))
            .starts_with(R"({"name":"job","image":"i:2","resources":{"cpu":1,"memory":"0.5Gi"})"));
  CHECK(part(container(job), {"command"}) == R"(["run"])");

  CHECK(refusal(updated({"--container-name", "new"})) ==
        Refusal{1, "Usage error: --image is required when adding a new container"});
  const Node two = good(updated({"--container-name", "new", "--image", "j:1"})).resource;
  CHECK(find_at(two, {"properties", "template", "containers"})->items.size() == 2);
  CHECK(
      refusal(updated({"--image", "i:3"}, to_json(two))) ==
      Refusal{1, "Usage error: --container-name is required when adding or updating a container"});
  CHECK(refusal(updated({"--image", "i:3", "--container-name", "NEW"}, to_json(two))).exit == 0);
}

TEST_CASE("containerapp update: labels are added to those that are there") {
  const Node job = good(updated({"--tags", "b=2", "-w", "Big"})).resource;
  CHECK(part(job, {"tags"}) == R"({"a":"1","b":"2"})");
  CHECK(part(job, {"properties", "workloadProfileName"}) == R"("Big")");
}

// --- start -------------------------------------------------------------------------------------

Result<Node> started(Words words) {
  words.insert(words.begin(), {"-n", "job"});
  std::vector<std::string> notes;
  return start_template(arguments_of("containerapp job start", words), *parse_json(kEventJob),
                        notes);
}

TEST_CASE("containerapp start: without flags the job's own template runs") {
  CHECK(started({})->is_null());
}

TEST_CASE("containerapp start: flags change the template for this time") {
  const auto pod = started({"--env-vars", "A=2", "--args", "x"});
  REQUIRE(pod);
  CHECK(to_json(pod->find("containers")->items.front()) ==
        R"({"name":"job","image":"i:1","resources":{"cpu":0.25,"memory":"0.5Gi"},"env":)"
        R"([{"name":"A","value":"2"},{"name":"B","secretRef":"s"}],"args":["x"]})");
  CHECK(started({"--container-name", "other"}).error().message ==
        "Usage error: --image is required when adding a new container");
}

}  // namespace
}  // namespace jobmill::app
