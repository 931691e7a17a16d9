// SPDX-License-Identifier: Apache-2.0
#include "app/scaled_job.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "app/apply_plan.h"
#include "manifest/reader.h"

using namespace jobmill;
using namespace jobmill::app;
using executions::EnvVar;
using executions::JobKey;
using executions::Semantics;
using manifest::Catalog;
using manifest::Object;
using manifest::Texts;

namespace {

constexpr std::string_view kObjects = R"(
apiVersion: v1
kind: Secret
metadata: {name: bus}
stringData: {connection: "Endpoint=sb://x", password: s3cret-word}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {price: "$(NAME) $5"}
)";

Catalog catalog_of(std::string_view text) {
  manifest::Manifests manifests;
  read_manifests(text, "m.yaml", manifest::kDefaultNamespace, manifests);
  for (const auto& error : manifests.errors) FAIL(error.where << ": " << error.text);
  Catalog catalog;
  for (Object& object : manifests.objects) catalog.put(std::move(object), {});
  return catalog;
}

// `container`: members of the container "main"; `spec`: lines of the spec.
std::string scaled_job(const std::string& container, const std::string& spec = "",
                       const std::string& annotations = "") {
  return "apiVersion: keda.sh/v1alpha1\nkind: ScaledJob\nmetadata: {name: sj, annotations: {" +
         annotations +
         "}}\nspec:\n  jobTargetRef: {template: {spec: {containers: [{name: main, image: i" +
         container +
         "}]}}}\n  triggers: [{type: azure-servicebus, metadata: {queueName: orders}}]\n" + spec;
}

ConvertedScaledJob converted(const std::string& manifest, std::string_view others = kObjects) {
  const Catalog catalog = catalog_of(std::string(others) + "---\n" + manifest);
  const Object& object = *catalog.list("ScaledJob").at(0);
  manifest::Problems problems("m.yaml");
  const auto spec = scale::decode_scaled_job(object, problems);
  for (const auto& error : problems.errors()) FAIL(error.where << ": " << error.text);
  return to_container_job(spec, object, catalog);
}

const EnvVar* variable(const ConvertedScaledJob& made, std::string_view name) {
  const auto& env = made.job.pod.containers.front().env;
  const auto it = std::ranges::find(env, name, &EnvVar::name);
  return it != env.end() ? &*it : nullptr;
}

}  // namespace

TEST_CASE("scaled job: becomes a job of its name in a group of its namespace") {
  const ConvertedScaledJob made = converted(R"(
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata: {name: sj, namespace: shop}
spec:
  jobTargetRef:
    parallelism: 2
    completions: 3
    activeDeadlineSeconds: 60
    template:
      spec:
        terminationGracePeriodSeconds: 5
        initContainers: [{name: first, image: f}]
        containers:
        - {name: main, image: m, command: [run], args: [fast], workingDir: /srv,
           resources: {limits: {cpu: 500m, memory: 1Gi}}}
        - {name: side, image: s}
  pollingInterval: 7
  minReplicaCount: 2
  maxReplicaCount: 9
  successfulJobsHistoryLimit: 4
  failedJobsHistoryLimit: 6
  rollout: {strategy: gradual}
  scalingStrategy: {strategy: custom, customScalingQueueLengthDeduction: 1,
                    customScalingRunningJobPercentage: "0.5", multipleScalersCalculation: sum}
  triggers:
  - {type: azure-servicebus, name: orders, metadata: {queueName: orders}}
  - {type: cron, metadata: {timezone: UTC}}
)");
  using namespace std::chrono_literals;
  const executions::ContainerJob& job = made.job;
  CHECK(job.key == JobKey{"shop", "sj"});
  CHECK(job.trigger == executions::TriggerType::Event);
  CHECK(job.replica_timeout == 60s);
  CHECK(job.retry_limit == 6);
  CHECK(job.completions == 3);
  CHECK(job.parallelism == 2);
  CHECK(job.polling_interval == 7s);
  CHECK(job.min_executions == 2);
  CHECK(job.max_executions == 9);
  CHECK(job.generation == 1);
  CHECK(job.options.stop_grace == 5s);
  CHECK(job.options.workdir == "/srv");
  CHECK(job.options.history.keep == 10);
  CHECK_FALSE(job.options.suspended);
  REQUIRE(job.rules.size() == 2);
  CHECK(job.rules[0].name == "orders");
  CHECK(job.rules[1].name == "s1-cron");
  CHECK(job.rules[1].metadata == Texts{{"timezone", "UTC"}});
  REQUIRE(job.pod.containers.size() == 2);
  CHECK(job.pod.containers[0].command == std::vector<std::string>{"run"});
  CHECK(job.pod.containers[0].args == std::vector<std::string>{"fast"});
  CHECK(job.pod.containers[0].cpu_milli == 500);
  CHECK(job.pod.containers[0].memory_bytes == std::int64_t{1} << 30);
  CHECK(job.pod.containers[1].image == "s");
  CHECK(job.pod.init_containers.at(0).name == "first");

  CHECK(made.rules.min == 2);
  CHECK(made.rules.max == 9);
  CHECK(made.rules.strategy == scale::JobStrategy::Custom);
  CHECK(made.rules.combination == scale::JobCombination::Sum);
  CHECK(made.rules.deduction == 1);
  CHECK(made.rules.percentage == "0.5");
  CHECK(made.rules.keeps_running);
  CHECK(made.missing.empty());
}

TEST_CASE("scaled job: what is not written") {
  const ConvertedScaledJob made = converted(scaled_job(""));
  CHECK_FALSE(made.job.replica_timeout);
  CHECK(made.job.retry_limit == 6);
  CHECK(made.job.min_executions == 0);
  CHECK(made.job.max_executions == 100);
  CHECK_FALSE(made.rules.min);
  CHECK_FALSE(made.rules.max);
  CHECK_FALSE(made.rules.keeps_running);
  CHECK(made.job.options.history.keep == 200);
}

TEST_CASE("scaled job: the annotation chooses the semantics, then a strategy that is named") {
  const auto semantics = [](const std::string& spec, const std::string& annotations) {
    return converted(scaled_job("", spec, annotations)).job.options.semantics;
  };
  CHECK_FALSE(semantics("", ""));
  CHECK(semantics("  scalingStrategy: {strategy: default}\n", "") == Semantics::Cloud);
  CHECK(semantics("  scalingStrategy: {strategy: eager}\n", "") == Semantics::Cloud);
  CHECK_FALSE(semantics("  scalingStrategy: {multipleScalersCalculation: sum}\n", ""));
  CHECK(semantics("", "jobmill/semantics: keda") == Semantics::Cloud);
  CHECK(semantics("", "jobmill/semantics: bound") == Semantics::Bound);
  CHECK(semantics("  scalingStrategy: {strategy: eager}\n", "jobmill/semantics: bound") ==
        Semantics::Bound);
}

TEST_CASE("scaled job: paused is suspended") {
  CHECK(
      converted(scaled_job("", "", "autoscaling.keda.sh/paused: \"true\"")).job.options.suspended);
  CHECK_FALSE(
      converted(scaled_job("", "", "autoscaling.keda.sh/paused: \"false\"")).job.options.suspended);
}

TEST_CASE("scaled job: variables of Secrets are secrets of the job, and nowhere in its document") {
  const ConvertedScaledJob made = converted(
      scaled_job(", envFrom: [{prefix: BUS_, secretRef: {name: bus}}], env: [{name: PASSWORD, "
                 "valueFrom: {secretKeyRef: {name: bus, key: password}}}]"));
  CHECK(variable(made, "PASSWORD")->secret == "Secret/bus/password");
  CHECK(variable(made, "BUS_password")->secret == "Secret/bus/password");
  CHECK(variable(made, "BUS_connection")->secret == "Secret/bus/connection");
  CHECK(made.job.secrets.at("Secret/bus/password").reveal() == "s3cret-word");
  CHECK(to_json(made.job.document).find("s3cret-word") == std::string::npos);
  CHECK(to_json(made.job.document).find("Secret/bus/password") != std::string::npos);
}

TEST_CASE("scaled job: nothing starts while something that it refers to is missing") {
  const std::string container =
      ", envFrom: [{configMapRef: {name: absent}}], env: [{name: A, valueFrom: {secretKeyRef: "
      "{name: bus, key: none}}}, {name: B, valueFrom: {configMapKeyRef: {name: absent, key: k, "
      "optional: true}}}]";
  const ConvertedScaledJob made = converted(scaled_job(container));
  CHECK(made.missing ==
        std::vector<std::string>{"there is no ConfigMap/absent", "Secret/bus has no key none"});
  CHECK(made.job.options.suspended);
  CHECK(variable(made, "A")->secret == "Secret/bus/none");  // one that has no value
  CHECK_FALSE(made.job.secrets.contains("Secret/bus/none"));
  CHECK(variable(made, "B") == nullptr);
}

TEST_CASE("scaled job: $(NAME) of a replica, as Kubernetes expands it") {
  const ConvertedScaledJob made = converted(
      scaled_job(", command: [sh, \"$(GREETING) $$(NAME) $(NONE) $(JOBMILL_EXECUTION)\"], env: ["
                 "{name: EARLY, value: \"$(NAME)\"}, {name: NAME, value: world}, "
                 "{name: GREETING, value: \"hello $(NAME)\"}, "
                 "{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, "
                 "{name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}, "
                 "{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, "
                 "{name: PRICE, valueFrom: {configMapKeyRef: {name: settings, key: price}}}, "
                 "{name: PASSWORD, valueFrom: {secretKeyRef: {name: bus, key: password}}}, "
                 "{name: LOGIN, value: \"me:$(PASSWORD)\"}]"));
  CHECK(variable(made, "IP") == nullptr);

  executions::RunReplica replica{.job = "sj",
                                 .execution = "sj-1",
                                 .replica = "sj-1-abc",
                                 .main = {},
                                 .init = {},
                                 .beside = {},
                                 .local_names = {},
                                 .masked = {},
                                 .log = {}};
  replica.main.command = made.job.pod.containers[0].command;
  replica.main.environment = {{"JOBMILL_EXECUTION", "sj-1"}, {"PATH", "/bin"}};
  for (const EnvVar& one : made.job.pod.containers[0].env)
    replica.main.environment[one.name] =
        one.secret.empty() ? one.value : made.job.secrets.at(one.secret).reveal();
  expand_variables(made.job.pod, made.job.key, replica);

  const Texts& env = replica.main.environment;
  CHECK(env.at("EARLY") == "$(NAME)");
  CHECK(env.at("GREETING") == "hello world");
  CHECK(env.at("POD") == "sj-1-abc");
  CHECK(env.at("NS") == "default");
  CHECK(env.at("PRICE") == "$(NAME) $5");
  CHECK(env.at("PASSWORD") == "s3cret-word");
  CHECK(env.at("LOGIN") == "me:s3cret-word");
  CHECK(env.at("PATH") == "/bin");
  CHECK(replica.main.command == std::vector<std::string>{"sh", "hello world $(NAME) $(NONE) sj-1"});
}

TEST_CASE("scaled job: a manifest with a mistake is not applied, and the place is named") {
  struct Case {
    std::string manifest;
    const char* error;
  };
  const Case cases[] = {
      {scaled_job("", "  coolDown: 1\n"), "sj.yaml:7: spec.coolDown: unknown field"},
      {"apiVersion: keda.sh/v1alpha1\nkind: ScaledJob\nmetadata: {name: sj}\nspec:\n"
       "  jobTargetRef: {template: {spec: {containers: [{name: main}]}}}\n"
       "  triggers:\n  - {type: kafkaa, metadata: {a: b}}\n",
       "sj.yaml:7: trigger type \"kafkaa\" is not supported yet"},
      {"apiVersion: keda.sh/v1alpha1\nkind: ScaledJob\nmetadata: {name: sj}\nspec:\n"
       "  jobTargetRef: {template: {spec: {containers: [{name: main}]}}}\n"
       "  triggers:\n  - {type: cron, metadata: {timezone: UTC}}\n",
       "sj.yaml:7: trigger 0 (cron): start is missing"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.manifest);
    const api::ManifestFile file{"sj.yaml", one.manifest};
    const ApplyPlan plan = plan_apply(std::span(&file, 1), "default", Catalog(), LocalImages());
    REQUIRE(plan.errors.size() == 1);
    const std::string error = plan.errors[0].where + ": " + plan.errors[0].text;
    CAPTURE(error);
    CHECK(error.find(one.error) == 0);
  }
}
