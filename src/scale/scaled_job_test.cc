// SPDX-License-Identifier: Apache-2.0
#include "scale/scaled_job.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace jobmill;
using namespace jobmill::scale;

namespace {

manifest::Object object_of(const std::string& text) {
  auto documents = parse_yaml(text);
  if (!documents) FAIL(documents.error().message);
  manifest::Problems problems("m.yaml");
  auto object = read_object(std::move(documents->at(0)), manifest::kDefaultNamespace, problems);
  for (const auto& error : problems.errors()) FAIL(error.text);
  return object;
}

// The lines of `more` begin with line 6.
std::string scaled_job(const std::string& more, const std::string& annotations = "") {
  return "apiVersion: keda.sh/v1alpha1\nkind: ScaledJob\nmetadata: {name: sj, annotations: {" +
         annotations +
         "}}\nspec:\n  jobTargetRef: {template: {spec: {containers: [{name: main, image: i}]}}}\n" +
         more;
}

std::string with_trigger(const std::string& more) {
  return scaled_job("  triggers: [{type: cron, metadata: {a: b}}]\n" + more);
}

ScaledJobSpec decoded(const std::string& text) {
  manifest::Problems problems("m.yaml");
  auto spec = decode_scaled_job(object_of(text), problems);
  for (const auto& error : problems.errors()) FAIL(error.where << ": " << error.text);
  return spec;
}

std::string joined(const std::vector<manifest::Remark>& remarks) {
  std::string all;
  for (const auto& remark : remarks) all += remark.where + ": " + remark.text + "\n";
  return all;
}

std::string errors_of(const std::string& text) {
  manifest::Problems problems("m.yaml");
  decode_scaled_job(object_of(text), problems);
  return joined(problems.errors());
}

std::string notes_of(const std::string& text) {
  manifest::Problems problems("m.yaml");
  decode_scaled_job(object_of(text), problems);
  CHECK(problems.ok());
  return joined(problems.notes());
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("scaled job: every field") {
  const ScaledJobSpec spec = decoded(R"(
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata:
  name: sj
  namespace: shop
  annotations: {jobmill/semantics: bound, autoscaling.keda.sh/paused: ""}
spec:
  jobTargetRef:
    parallelism: 2
    completions: 3
    activeDeadlineSeconds: 600
    backoffLimit: 4
    ttlSecondsAfterFinished: 100
    template:
      metadata: {labels: {app: x}}
      spec:
        restartPolicy: Never
        terminationGracePeriodSeconds: 5
        activeDeadlineSeconds: 60
        initContainers: [{name: first, image: i}]
        containers:
        - {name: main, image: m, command: [run], env: [{name: A, value: b}]}
        - {name: side, image: s}
  pollingInterval: 10
  successfulJobsHistoryLimit: 5
  failedJobsHistoryLimit: 0
  envSourceContainerName: side
  minReplicaCount: 1
  maxReplicaCount: 20
  rollout: {strategy: gradual, propagationPolicy: foreground}
  scalingStrategy:
    strategy: custom
    customScalingQueueLengthDeduction: 1
    customScalingRunningJobPercentage: "0.5"
    multipleScalersCalculation: avg
    pendingPodConditions: [Ready]
  triggers:
  - type: azure-servicebus
    name: orders
    metadata: {queueName: orders}
    authenticationRef: {name: bus}
)");
  using namespace std::chrono_literals;
  CHECK(spec.key == manifest::ObjectKey{"ScaledJob", "shop", "sj"});
  CHECK(spec.job.parallelism == 2);
  CHECK(spec.job.completions == 3);
  CHECK(spec.job.backoff_limit == 4);
  CHECK(spec.job.deadline == 60s);  // the shorter one
  CHECK(spec.job.grace == 5s);
  REQUIRE(spec.job.containers.size() == 2);
  CHECK(spec.job.containers[0].command == std::vector<std::string>{"run"});
  CHECK(spec.job.init_containers.size() == 1);
  CHECK(spec.interval() == 10s);
  CHECK(spec.successful_history == 5);
  CHECK(spec.failed_history == 0);
  CHECK(spec.env_source_container == "side");
  CHECK(spec.min_replicas == 1);
  CHECK(spec.max_replicas == 20);
  CHECK(spec.rollout == Rollout::Gradual);
  CHECK(spec.foreground);
  CHECK(spec.pending_conditions == std::vector<std::string>{"Ready"});
  CHECK(spec.strategy == JobStrategy::Custom);
  CHECK(spec.deduction == 1);
  CHECK(spec.percentage == "0.5");
  CHECK(spec.combination == JobCombination::Avg);
  REQUIRE(spec.triggers.size() == 1);
  CHECK(spec.triggers[0].authentication->name == "bus");
  CHECK(spec.paused);  // an empty text is no plain no
  CHECK(spec.semantics == JobSemantics::Bound);
}

TEST_CASE("scaled job: the defaults") {
  const ScaledJobSpec spec = decoded(with_trigger(""));
  using namespace std::chrono_literals;
  CHECK(spec.job.parallelism == 1);
  CHECK(spec.job.completions == 1);
  CHECK(spec.job.backoff_limit == 6);
  CHECK_FALSE(spec.job.deadline);
  CHECK(spec.job.grace == 30s);
  CHECK(spec.interval() == 30s);
  CHECK(spec.successful_history == 100);
  CHECK(spec.failed_history == 100);
  CHECK_FALSE(spec.min_replicas);
  CHECK_FALSE(spec.max_replicas);
  CHECK(spec.rollout == Rollout::Immediate);
  CHECK_FALSE(spec.foreground);
  CHECK_FALSE(spec.strategy);
  CHECK_FALSE(spec.deduction);
  CHECK(spec.combination == JobCombination::Max);
  CHECK_FALSE(spec.paused);
  CHECK_FALSE(spec.semantics);
}

TEST_CASE("scaled job: words, written or empty") {
  CHECK(decoded(with_trigger("  rolloutStrategy: gradual\n  rollout: {strategy: immediate}\n"))
            .rollout == Rollout::Gradual);
  CHECK(
      decoded(with_trigger("  rolloutStrategy: \"\"\n  rollout: {strategy: gradual}\n")).rollout ==
      Rollout::Gradual);
  CHECK(decoded(with_trigger("  rollout: {strategy: default}\n")).rollout == Rollout::Immediate);
  CHECK_FALSE(decoded(with_trigger("  scalingStrategy: {strategy: \"\"}\n")).strategy);
  const std::pair<const char*, JobStrategy> strategies[] = {{"default", JobStrategy::Default},
                                                            {"custom", JobStrategy::Custom},
                                                            {"accurate", JobStrategy::Accurate},
                                                            {"eager", JobStrategy::Eager}};
  for (const auto& [word, strategy] : strategies)
    CHECK(decoded(with_trigger("  scalingStrategy: {strategy: " + std::string(word) + "}\n"))
              .strategy == strategy);
  const std::pair<const char*, JobCombination> combinations[] = {{"max", JobCombination::Max},
                                                                 {"min", JobCombination::Min},
                                                                 {"avg", JobCombination::Avg},
                                                                 {"sum", JobCombination::Sum}};
  for (const auto& [word, combination] : combinations)
    CHECK(decoded(with_trigger("  scalingStrategy: {multipleScalersCalculation: " +
                               std::string(word) + "}\n"))
              .combination == combination);
}

TEST_CASE("scaled job: pausing is asked for by anything but a plain no") {
  const std::string trigger = "  triggers: [{type: cron, metadata: {a: b}}]\n";
  const auto paused = [&](const std::string& text) {
    return decoded(scaled_job(trigger, "autoscaling.keda.sh/paused: \"" + text + "\"")).paused;
  };
  CHECK(paused("true"));
  CHECK(paused("no"));
  CHECK_FALSE(paused("false"));
  CHECK_FALSE(paused("0"));
}

TEST_CASE("scaled job: what is wrong is told with its line") {
  struct Case {
    const char* text;
    const char* error;
  };
  const Case cases[] = {
      {"  triggers: []\n", "m.yaml:6: triggers: at least one is needed"},
      {"  triggers:\n  - {type: cron, metadata: {a: b}, metricType: AverageValue}\n",
       "m.yaml:7: spec.triggers[0].metricType: not for a ScaledJob, not even \"AverageValue\""},
      {"  triggers:\n  - {type: cron, metadata: {a: 1}}\n", "m.yaml:7: spec.triggers[0].metadata"},
      {"  triggers:\n  - {type: a, name: n, metadata: {}}\n  - {type: b, name: n, metadata: {}}\n",
       "two triggers have the name \"n\""},
      {"  pollingInterval: 0\n", "m.yaml:6: spec.pollingInterval"},
      {"  successfulJobsHistoryLimit: -1\n", "m.yaml:6: spec.successfulJobsHistoryLimit"},
      {"  failedJobsHistoryLimit: -1\n", "m.yaml:6: spec.failedJobsHistoryLimit"},
      {"  minReplicaCount: -1\n", "m.yaml:6: spec.minReplicaCount"},
      {"  maxReplicaCount: 0\n", "m.yaml:6: spec.maxReplicaCount"},
      {"  rolloutStrategy: slow\n", "m.yaml:6: spec.rolloutStrategy"},
      {"  rollout: {propagationPolicy: no}\n", "m.yaml:6: spec.rollout.propagationPolicy"},
      {"  scalingStrategy:\n    strategy: greedy\n", "m.yaml:7: spec.scalingStrategy.strategy"},
      {"  scalingStrategy: {multipleScalersCalculation: median}\n",
       "m.yaml:6: spec.scalingStrategy.multipleScalersCalculation"},
      {"  scalingStrategy: {customScalingRunningJobPercentage: 0.5}\n",
       "m.yaml:6: spec.scalingStrategy.customScalingRunningJobPercentage"},
      {"  envSourceContainerName: other\n",
       "m.yaml:6: spec.envSourceContainerName: no container has the name \"other\""},
      {"  cooldownPeriod: 5\n", "m.yaml:6: spec.cooldownPeriod: unknown field"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.text);
    const std::string errors = errors_of(scaled_job(one.text));
    CAPTURE(errors);
    CHECK(contains(errors, one.error));
  }
}

TEST_CASE("scaled job: what is wrong with the job") {
  const auto errors = [](const std::string& job) {
    return errors_of(
        "apiVersion: keda.sh/v1alpha1\nkind: ScaledJob\nmetadata: {name: sj}\nspec:\n" + job +
        "  triggers: [{type: cron, metadata: {a: b}}]\n");
  };
  CHECK(contains(errors(""), "m.yaml:5: spec.jobTargetRef: required, and missing"));
  CHECK(contains(errors("  jobTargetRef: 1\n"), "m.yaml:5: spec.jobTargetRef: expected an object"));
  CHECK(contains(errors("  jobTargetRef: {}\n"), "spec.jobTargetRef.template: required"));
  CHECK(contains(errors("  jobTargetRef:\n    template: {spec: {containers: []}}\n"),
                 "m.yaml:6: spec.jobTargetRef.template.spec.containers: at least one is needed"));
  CHECK(contains(errors("  jobTargetRef:\n    backoffLimit: -1\n    template: {spec: {}}\n"),
                 "m.yaml:6: spec.jobTargetRef.backoffLimit"));
  CHECK(contains(errors_of(scaled_job("  triggers: [{type: cron, metadata: {a: b}}]\n",
                                      "jobmill/semantics: direct")),
                 "annotation jobmill/semantics: expected bound or keda, found \"direct\""));
}

TEST_CASE("scaled job: what has no effect here is named, fields of Kubernetes' own included") {
  CHECK(contains(notes_of(scaled_job(
                     "  triggers: [{type: cron, metadata: {a: b}, useCachedMetrics: true}]\n")),
                 "m.yaml:6: spec.triggers[0].useCachedMetrics: no effect"));
  CHECK(contains(notes_of(with_trigger("  scalingStrategy: {pendingPodConditions: [Ready]}\n")),
                 "m.yaml:7: spec.scalingStrategy.pendingPodConditions: no effect"));
  const std::string notes = notes_of(R"(apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata: {name: sj}
spec:
  triggers: [{type: cron, metadata: {a: b}}]
  jobTargetRef:
    parallelism: 3
    podFailurePolicy: {}
    template: {spec: {serviceAccountName: x, containers: [{name: a, image: i}, {name: b, image: i}]}}
)");
  CHECK(contains(notes, "m.yaml:7: spec.jobTargetRef.parallelism: no effect beyond completions"));
  CHECK(contains(notes, "m.yaml:8: spec.jobTargetRef.podFailurePolicy: no meaning"));
  CHECK(contains(notes, "m.yaml:9: spec.jobTargetRef.template.spec.serviceAccountName"));
  CHECK(contains(notes, "containers: the first one is the replica"));
}
