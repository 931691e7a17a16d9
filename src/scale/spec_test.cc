// SPDX-License-Identifier: Apache-2.0
#include "scale/spec.h"

#include <doctest/doctest.h>

#include <array>
#include <optional>
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

std::string scaled_object(const std::string& more, const std::string& annotations = "") {
  return "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: so, annotations: {" +
         annotations +
         "}}\nspec:\n  scaleTargetRef: {name: web}\n"
         "  triggers: [{type: cron, metadata: {desiredReplicas: \"1\"}}]\n" +
         more;
}

ScaledObjectSpec decoded(const std::string& text) {
  manifest::Problems problems("m.yaml");
  auto spec = decode_scaled_object(object_of(text), problems);
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
  const auto object = object_of(text);
  if (object.key.kind == "ScaledObject")
    decode_scaled_object(object, problems);
  else
    decode_trigger_authentication(object, problems);
  return joined(problems.errors());
}

ScaledObjectSpec named(const std::string& name, const std::string& target) {
  ScaledObjectSpec spec;
  spec.key = {"ScaledObject", "default", name};
  spec.target.name = target;
  return spec;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("spec: every field of a ScaledObject") {
  const ScaledObjectSpec spec = decoded(R"(
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: so
  namespace: shop
  annotations: {jobmill/semantics: keda, autoscaling.keda.sh/paused-scale-in: "true"}
spec:
  scaleTargetRef: {name: web, apiVersion: apps/v1, kind: Deployment, envSourceContainerName: main}
  pollingInterval: 5
  cooldownPeriod: 60
  initialCooldownPeriod: 10
  idleReplicaCount: 1
  minReplicaCount: 2
  maxReplicaCount: 9
  advanced:
    restoreToOriginalReplicaCount: true
    horizontalPodAutoscalerConfig:
      name: mine
      behavior:
        scaleUp:
          stabilizationWindowSeconds: 3
          selectPolicy: Min
          tolerance: "0.05"
          policies:
          - {type: Pods, value: 4, periodSeconds: 15}
          - {type: Percent, value: 50, periodSeconds: 60}
        scaleDown: {selectPolicy: Disabled}
  triggers:
  - type: metrics-api
    name: load
    metricType: Value
    useCachedMetrics: true
    metadata: {url: "http://a", targetValue: "8"}
    authenticationRef: {name: creds, kind: ClusterTriggerAuthentication}
  - type: cron
    metadata: {}
)");
  using namespace std::chrono_literals;
  CHECK(spec.key == manifest::ObjectKey{"ScaledObject", "shop", "so"});
  CHECK(spec.target_key() == manifest::ObjectKey{"Deployment", "shop", "web"});
  CHECK(spec.target.env_source_container == "main");
  CHECK(spec.interval() == 5s);
  CHECK(spec.cooldown() == 60s);
  CHECK(spec.initial_cooldown_period == 10s);
  CHECK(spec.idle_replicas == 1);
  CHECK(spec.min() == 2);
  CHECK(spec.max() == 9);
  CHECK(spec.restore_to_original_replicas);
  CHECK(spec.hpa_name == "mine");
  CHECK(spec.semantics == Semantics::Keda);
  CHECK(spec.pause.in);
  const ScalingRules& up = spec.behavior.scale_up.value();
  CHECK(up.stabilization_window == 3s);
  CHECK(up.select == SelectPolicy::Min);
  CHECK(up.tolerance == 0.05);
  REQUIRE(up.policies.size() == 2);
  CHECK(up.policies[1].type == PolicyType::Percent);
  CHECK(up.policies[1].value == 50);
  CHECK(up.policies[1].period == 60s);
  CHECK(spec.behavior.scale_down->select == SelectPolicy::Disabled);
  CHECK_FALSE(spec.behavior.scale_down->stabilization_window);
  REQUIRE(spec.triggers.size() == 2);
  CHECK(spec.triggers[0].name == "load");
  CHECK(spec.triggers[0].metric_type == "Value");
  CHECK(spec.triggers[0].use_cached_metrics);
  CHECK(spec.triggers[0].metadata.at("targetValue") == "8");
  CHECK(spec.triggers[0].authentication->kind == "ClusterTriggerAuthentication");
  CHECK_FALSE(spec.triggers[1].authentication);
}

TEST_CASE("spec: the defaults of a ScaledObject") {
  const ScaledObjectSpec spec = decoded(scaled_object(""));
  CHECK(spec.interval() == std::chrono::seconds(30));
  CHECK(spec.cooldown() == std::chrono::seconds(300));
  CHECK(spec.min() == 0);
  CHECK(spec.hpa_min() == 1);
  CHECK(spec.max() == 100);
  CHECK_FALSE(spec.behavior.written());
  CHECK(spec.semantics == Semantics::Direct);
}

TEST_CASE(
    "spec: an unquoted number in a trigger's metadata is an error that says how to write it") {
  CHECK(errors_of("apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: so}\nspec:\n"
                  "  scaleTargetRef: {name: web}\n  triggers:\n  - type: metrics-api\n"
                  "    metadata:\n      targetValue: 8\n") ==
        "m.yaml:9: spec.triggers[0].metadata.targetValue: expected a string, found an integer 8; "
        "put it in quotes: \"8\"\n");
}

TEST_CASE("spec: an unknown field is an error that names the known ones") {
  const std::string errors = errors_of(scaled_object("  pollingIntervall: 5\n"));
  CHECK(contains(errors, "m.yaml:7: spec.pollingIntervall: unknown field; known: advanced, "));
  CHECK(contains(errors, "pollingInterval, "));
  CHECK_FALSE(contains(errors, "fallback"));
}

TEST_CASE("spec: all mistakes are told, each at its line") {
  const std::string errors =
      errors_of(scaled_object("  pollingInterval: 0\n  minReplicaCount: many\n  advanced:\n    "
                              "horizontalPodAutoscalerConfig:\n"
                              "      behavior:\n        scaleUp:\n          selectPolicy: Most\n"));
  CHECK(errors ==
        "m.yaml:7: spec.pollingInterval: must be from 1 to 2147483647, found 0\n"
        "m.yaml:8: spec.minReplicaCount: expected an integer, found a string \"many\"\n"
        "m.yaml:13: spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp.selectPolicy: "
        "expected one of Max, Min, Disabled, found \"Most\"\n");
}

TEST_CASE("spec: what is not built yet is refused by name, never ignored") {
  CHECK(errors_of(scaled_object("  fallback: {failureThreshold: 3, replicas: 2}\n")) ==
        "m.yaml:7: spec.fallback: not supported yet\n");
  CHECK(contains(errors_of(scaled_object("  advanced: {scalingModifiers: {formula: a}}\n")),
                 "spec.advanced.scalingModifiers: not supported yet"));
  const std::string authentication =
      "{apiVersion: keda.sh/v1alpha1, kind: TriggerAuthentication, metadata: {name: a}, spec: {";
  for (const char* block : {"hashiCorpVault", "azureKeyVault", "gcpSecretManager", "oauth2",
                            "awsSecretManager", "boundServiceAccountToken", "filePath"})
    CHECK(errors_of(authentication + block + ": {a: b}}}") ==
          "m.yaml:1: spec." + std::string(block) + ": not supported yet\n");
  CHECK(contains(errors_of(authentication + "podIdentity: {provider: aws}}}"),
                 "\"aws\" is not supported yet"));
  CHECK(errors_of(authentication + "podIdentity: {provider: none}}}").empty());
}

TEST_CASE("spec: a TriggerAuthentication's three sources") {
  manifest::Problems problems("m.yaml");
  const auto spec = decode_trigger_authentication(object_of(R"(
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: a}
spec:
  secretTargetRef: [{parameter: username, name: s, key: u}]
  configMapTargetRef: [{parameter: host, name: c, key: h}]
  env: [{parameter: password, name: PASSWORD, containerName: main}, {parameter: x, name: X}]
)"),
                                                  problems);
  CHECK(problems.ok());
  CHECK(spec.secrets.at(0).key == "u");
  CHECK(spec.config_maps.at(0).parameter == "host");
  CHECK(spec.env.at(0).container == "main");
  CHECK(spec.env.at(1).name == "X");
}

TEST_CASE("spec: an object that only measures its own pods must keep one") {
  using Types = std::vector<std::string>;
  struct Case {
    std::optional<int> min;
    Types types;
    bool good;
    const char* kind = "Deployment";
  };
  for (const Case& one :
       {Case{{}, {"cpu"}, false}, Case{0, {"cpu", "memory"}, false}, Case{1, {"cpu"}, true},
        Case{{}, {"cpu", "cron"}, true}, Case{{}, {"cron"}, true},
        Case{{}, {"memory"}, false, "StatefulSet"}, Case{{}, {"cpu"}, true, "Rollout"}}) {
    ScaledObjectSpec spec = named("a", "web");
    spec.min_replicas = one.min;
    for (const std::string& type : one.types) spec.triggers.emplace_back().type = type;
    spec.target.kind = one.kind;
    CAPTURE(one.kind);
    CAPTURE(trigger_types(spec.triggers));
    CHECK(static_cast<bool>(check_resources(spec)) == one.good);
  }
}

TEST_CASE("spec: bounds, names and triggers are checked when a manifest is read") {
  CHECK(contains(errors_of(scaled_object("  minReplicaCount: 5\n  maxReplicaCount: 3\n")),
                 "minReplicaCount 5 is above maxReplicaCount 3"));
  CHECK(contains(errors_of(scaled_object("  idleReplicaCount: 0\n")), "idleReplicaCount 0"));
  ScaledObjectSpec spec = named(std::string(64, 'a'), "web");
  CHECK_FALSE(check_names(spec));
  spec.key.name = std::string(60, 'a');  // keda-hpa-… is longer
  CHECK_FALSE(check_names(spec));
  spec.hpa_name = "short";
  CHECK(check_names(spec));
  CHECK(contains(errors_of(scaled_object("", "jobmill/semantics: fast")),
                 "expected direct or keda, found \"fast\""));
}

TEST_CASE("spec: a trigger type that is not built is refused with those that are") {
  constexpr std::array<std::string_view, 2> known{"cron", "metrics-api"};
  std::vector<Trigger> triggers(2);
  triggers[0].type = "cron";
  triggers[1].type = "kafka";
  const auto status = check_trigger_types(triggers, known);
  REQUIRE_FALSE(status);
  CHECK(status.error().message ==
        "trigger type \"kafka\" is not supported yet; known: cron, metrics-api");
}

TEST_CASE("spec: two objects must not scale the same target") {
  const std::vector<ScaledObjectSpec> others{named("a", "web"), named("c", "api")};
  CHECK(check_no_rival(named("a", "web"), others));  // itself
  CHECK_FALSE(check_no_rival(named("b", "web"), others));
  CHECK(check_no_rival(named("b", "worker"), others));
  ScaledObjectSpec same_name = named("b", "worker");
  same_name.hpa_name = "keda-hpa-c";
  CHECK_FALSE(check_no_rival(same_name, others));
  ScaledObjectSpec elsewhere = named("b", "web");
  elsewhere.key.ns = "shop";
  CHECK(check_no_rival(elsewhere, others));
}

TEST_CASE("spec: settings without effect are accepted with a warning") {
  CHECK(warnings_of(decoded(scaled_object("  pollingInterval: 5\n  cooldownPeriod: 5\n"))).empty());
  const auto spec =
      decoded(scaled_object("  pollingInterval: 5\n  cooldownPeriod: 5\n  minReplicaCount: 1\n"));
  CHECK(warnings_of(spec).size() == 2);
}
