// SPDX-License-Identifier: Apache-2.0
#include "scale/auth.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "manifest/reader.h"

using namespace jobmill::scale;
using jobmill::manifest::Catalog;
using jobmill::manifest::Manifests;
using jobmill::manifest::Texts;

namespace {

constexpr std::string_view kObjects = R"(
apiVersion: v1
kind: Secret
metadata: {name: creds}
stringData: {user: ann, password: secret}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {user: from-config, host: h}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
      - {name: main, env: [{name: USER, value: from-env}, {name: TOKEN, value: t}]}
      - {name: side, env: [{name: TOKEN, value: side}]}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: all}
spec:
  secretTargetRef:
  - {parameter: username, name: creds, key: user}
  configMapTargetRef:
  - {parameter: username, name: settings, key: user}
  - {parameter: host, name: settings, key: host}
  env:
  - {parameter: username, name: USER}
  - {parameter: host, name: USER}
  - {parameter: token, name: TOKEN, containerName: side}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: holes}
spec:
  secretTargetRef:
  - {parameter: a, name: creds, key: none}
  - {parameter: b, name: absent, key: k}
  env:
  - {parameter: c, name: NONE}
  - {parameter: d, name: X, containerName: third}
---
apiVersion: keda.sh/v1alpha1
kind: ClusterTriggerAuthentication
metadata: {name: everywhere}
spec:
  secretTargetRef: [{parameter: username, name: creds, key: user}]
)";

Catalog catalog_of(std::string_view text) {
  Manifests manifests;
  read_manifests(text, "m.yaml", jobmill::manifest::kDefaultNamespace, manifests);
  for (const auto& error : manifests.errors) FAIL(error.where << ": " << error.text);
  Catalog catalog;
  for (auto& object : manifests.objects) catalog.put(std::move(object), {});
  return catalog;
}

ScaledObjectSpec using_auth(const std::string& name,
                            const std::string& kind = "TriggerAuthentication") {
  ScaledObjectSpec spec;
  spec.key = {"ScaledObject", "default", "so"};
  spec.target.name = "web";
  spec.polling_interval = std::chrono::seconds(7);
  Trigger trigger;
  trigger.type = "metrics-api";
  trigger.name = "load";
  trigger.metric_type = "Value";
  trigger.metadata = {{"url", "http://a"}};
  if (!name.empty()) trigger.authentication = AuthenticationRef{name, kind};
  spec.triggers = {Trigger(), trigger};
  return spec;
}

ResolvedTrigger resolved(const ScaledObjectSpec& spec) {
  const Catalog catalog = catalog_of(kObjects);
  auto trigger = resolve_trigger(catalog, spec, 1);
  if (!trigger) FAIL(trigger.error().message);
  return *std::move(trigger);
}

}  // namespace

TEST_CASE("auth: a scaler gets its trigger, its place and the target's environment") {
  const ResolvedTrigger trigger = resolved(using_auth(""));
  CHECK(trigger.spec.type == "metrics-api");
  CHECK(trigger.spec.name == "load");
  CHECK(trigger.spec.metric_type == "Value");
  CHECK(trigger.spec.index == 1);
  CHECK(trigger.spec.metadata == Texts{{"url", "http://a"}});
  CHECK(trigger.spec.env == Texts{{"TOKEN", "t"}, {"USER", "from-env"}});
  CHECK(trigger.spec.polling_interval == std::chrono::seconds(7));
  CHECK(trigger.spec.auth.empty());
  CHECK(trigger.warnings.empty());
}

TEST_CASE("auth: environment, then ConfigMaps, then Secrets, the later replacing the earlier") {
  const ResolvedTrigger trigger = resolved(using_auth("all"));
  CHECK(trigger.spec.auth == Texts{{"host", "h"}, {"token", "side"}, {"username", "ann"}});
  CHECK(trigger.warnings.empty());
}

TEST_CASE("auth: what is missing is empty, and a warning names object and key") {
  const ResolvedTrigger trigger = resolved(using_auth("holes"));
  CHECK(trigger.spec.auth == Texts{{"a", ""}, {"b", ""}, {"c", ""}, {"d", ""}});
  REQUIRE(trigger.warnings.size() == 4);
  CHECK(trigger.warnings[0] == "Deployment/web has no variable NONE");
  CHECK(trigger.warnings[1] == "Deployment/web has no container third");
  CHECK(trigger.warnings[2] == "Secret/creds has no key none");
  CHECK(trigger.warnings[3] == "there is no Secret/absent (key k)");

  const ResolvedTrigger none = resolved(using_auth("absent"));
  CHECK(none.spec.auth.empty());
  REQUIRE(none.warnings.size() == 1);
  CHECK(none.warnings[0] == "there is no TriggerAuthentication/absent");
}

TEST_CASE("auth: the cluster's kind serves every namespace from its own") {
  ScaledObjectSpec spec = using_auth("everywhere", "ClusterTriggerAuthentication");
  spec.key.ns = "shop";
  CHECK(resolved(spec).spec.auth == Texts{{"username", "ann"}});
  spec = using_auth("all");
  spec.key.ns = "shop";
  CHECK(resolved(spec).warnings.size() == 1);
}

TEST_CASE("auth: a mandatory reference of the target that is missing fails the scaler") {
  const Catalog catalog = catalog_of(R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
      - {name: main, env: [{name: A, valueFrom: {secretKeyRef: {name: absent, key: k}}}]}
)");
  const auto trigger = resolve_trigger(catalog, using_auth(""), 1);
  REQUIRE_FALSE(trigger);
  CHECK(trigger.error().message.find("there is no Secret/absent") != std::string::npos);
}

TEST_CASE("auth: a ScaledJob's variables are those of its pod template") {
  Catalog catalog = catalog_of(kObjects);
  ScaledJobSpec job;
  job.key = {"ScaledJob", "default", "sj"};
  job.job.containers.resize(2);
  job.job.containers[0].name = "main";
  job.job.containers[1].name = "side";
  auto& user = job.job.containers[1].env.emplace_back();
  user.name = "USER";
  user.value = "u";
  auto& token = job.job.containers[1].env.emplace_back();
  token.name = "TOKEN";
  token.source = jobmill::manifest::EnvVar::Source::Secret;
  token.object = "creds";
  token.key = "password";
  Trigger trigger;
  trigger.type = "metrics-api";
  trigger.authentication = AuthenticationRef{.name = "all"};
  job.triggers = {trigger};

  job.env_source_container = "side";
  const auto both = resolve_trigger(catalog, job, 0);
  REQUIRE(both);
  CHECK(both->spec.env == Texts{{"TOKEN", "secret"}, {"USER", "u"}});
  CHECK(both->spec.auth == Texts{{"host", "h"}, {"token", "secret"}, {"username", "ann"}});
  CHECK(both->spec.polling_interval == std::chrono::seconds(30));
  CHECK(both->warnings.empty());

  job.env_source_container = "";
  const auto first = resolve_trigger(catalog, job, 0);
  REQUIRE(first);
  CHECK(first->spec.env.empty());
  CHECK(first->warnings == std::vector<std::string>{"ScaledJob/sj has no variable USER",
                                                    "ScaledJob/sj has no variable USER"});

  job.job.containers[0].env_from.emplace_back().name = "absent";
  CHECK_FALSE(resolve_trigger(catalog, job, 0));
}
