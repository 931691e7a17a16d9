// SPDX-License-Identifier: Apache-2.0
#include "manifest/core_kinds.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>

using namespace jobmill::manifest;

namespace {

Object object_of(std::string_view text) {
  auto documents = jobmill::parse_yaml(text);
  REQUIRE(documents);
  Problems problems("m.yaml");
  Object object = read_object(std::move(documents->at(0)), kDefaultNamespace, problems);
  REQUIRE(problems.ok());
  return object;
}

template <class Decode>
auto decoded(std::string_view text, Decode decode) {
  Problems problems("m.yaml");
  auto result = decode(object_of(text), problems);
  for (const Remark& error : problems.errors()) FAIL(error.where << ": " << error.text);
  return result;
}

std::string errors_of(std::string_view text) {
  Problems problems("m.yaml");
  check_core_object(object_of(text), problems);
  std::string all;
  for (const Remark& error : problems.errors()) all += error.where + ": " + error.text + "\n";
  return all;
}

std::string deployment(std::string_view container) {
  return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n"
         "    spec:\n      containers:\n      - name: main\n" +
         std::string(container);
}

}  // namespace

TEST_CASE("core kinds: a Deployment as far as it means something here") {
  const Deployment web = decoded(R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: main
        image: shop:1
        command: [/bin/shop, serve]
        args: ["--port", "80"]
        workingDir: /srv
        ports: [{name: http, containerPort: 8080}]
        env:
        - {name: A, value: x}
        - {name: B, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}
        - {name: C, valueFrom: {configMapKeyRef: {name: c, key: k}}}
        - {name: D, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: E, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
        envFrom:
        - {prefix: P_, configMapRef: {name: c}}
        - {secretRef: {name: s, optional: true}}
        resources: {limits: {cpu: 500m, memory: 64Mi}, requests: {cpu: 1}}
        readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 2}
)",
                                 decode_deployment);
  CHECK(web.key.name == "web");
  CHECK(web.replicas == 3);
  CHECK(web.pod_labels.at("app") == "web");
  CHECK(web.grace == std::chrono::seconds(5));
  const Container& main = web.main();
  CHECK(main.image == "shop:1");
  CHECK(main.command == std::vector<std::string>{"/bin/shop", "serve"});
  CHECK(main.args == std::vector<std::string>{"--port", "80"});
  CHECK(main.working_dir == "/srv");
  CHECK(main.env[0].value == "x");
  CHECK(main.env[1].source == EnvVar::Source::Secret);
  CHECK(main.env[1].optional);
  CHECK(main.env[2].source == EnvVar::Source::ConfigMap);
  CHECK(main.env[2].key == "k");
  CHECK(main.env[3].source == EnvVar::Source::Field);
  CHECK(main.env[3].value == "metadata.name");
  CHECK(main.env[4].source == EnvVar::Source::None);
  CHECK(main.env_from[0].source == EnvFrom::Source::ConfigMap);
  CHECK(main.env_from[0].prefix == "P_");
  CHECK(main.env_from[1].optional);
  CHECK(main.limits.cpu_milli == 500);
  CHECK(main.limits.memory_bytes == 64 << 20);
  REQUIRE(main.readiness);
  CHECK(main.readiness->kind == Probe::Kind::Http);
  CHECK(main.readiness->path == "/ready");
  CHECK(main.readiness->period == std::chrono::seconds(2));
  CHECK(port_number(main.readiness->port, main) == 8080);
}

TEST_CASE("core kinds: the defaults of a Deployment") {
  const Deployment web = decoded(deployment(""), decode_deployment);
  CHECK(web.replicas == 1);
  CHECK(web.grace == std::chrono::seconds(30));
  CHECK_FALSE(web.main().readiness);
  CHECK(web.container("main") == &web.main());
  CHECK(web.container("other") == nullptr);
}

TEST_CASE("core kinds: a field without meaning here is named in one line") {
  Problems problems("m.yaml");
  decode_deployment(
      object_of(deployment("        imagePullPolicy: Always\n        volumeMounts: []\n"
                           "      - name: second\n")),
      problems);
  CHECK(problems.ok());
  REQUIRE(problems.notes().size() == 3);
  CHECK(problems.notes()[0].where == "m.yaml:9");
  CHECK(problems.notes()[0].text ==
        "spec.template.spec.containers[0].imagePullPolicy: no meaning on this machine, ignored");
  CHECK(problems.notes()[2].text.find("only the first container runs") != std::string::npos);
}

TEST_CASE("core kinds: wrong types and values are told with line and expected type") {
  CHECK(
      errors_of(deployment("        args: [1]\n")) ==
      "m.yaml:9: spec.template.spec.containers[0].args[0]: expected a string, found an integer 1; "
      "put it in quotes: \"1\"\n");
  CHECK(errors_of(deployment("        resources: {limits: {memory: lots}}\n"))
            .find("\"lots\" is no quantity") != std::string::npos);
  CHECK(errors_of(deployment("        env: {A: b}\n")) ==
        "m.yaml:9: spec.template.spec.containers[0].env: expected a list, found an object\n");
  CHECK(errors_of(deployment("        ports: [{containerPort: 70000}]\n"))
            .find("must be from 1 to 65535, found 70000") != std::string::npos);
  CHECK(errors_of(deployment("        env: [{name: A, valueFrom: {secretKeyRef: {name: s}}}]\n"))
            .find("valueFrom.secretKeyRef.key: required, and missing") != std::string::npos);
  CHECK(errors_of("{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {replicas: "
                  "-1, template: {spec: {}}}}") ==
        "m.yaml:1: spec.replicas: must be from 0 to 2147483647, found -1\n"
        "m.yaml:1: spec.template.spec.containers: at least one is needed\n");
}

TEST_CASE("core kinds: a Secret's data is base64, stringData is not and wins") {
  const Texts values = decoded(
      "{apiVersion: v1, kind: Secret, metadata: {name: a}, type: Opaque, "
      "data: {a: Zm9v, b: Zm9v}, stringData: {b: plain}}",
      decode_secret);
  CHECK(values == Texts{{"a", "foo"}, {"b", "plain"}});
  CHECK(errors_of("{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {a: plain}}")
            .find("data: a: not base64") != std::string::npos);
}

TEST_CASE("core kinds: a Service's ports lead to themselves unless written otherwise") {
  const Service service = decoded(R"(
apiVersion: v1
kind: Service
metadata: {name: a}
spec:
  selector: {app: web}
  ports:
  - {port: 80}
  - {name: admin, port: 81, targetPort: admin, protocol: TCP}
)",
                                  decode_service);
  CHECK(service.selector.at("app") == "web");
  CHECK(std::get<int>(service.ports[0].target_port) == 80);
  CHECK(service.ports[1].name == "admin");
  CHECK(std::get<std::string>(service.ports[1].target_port) == "admin");
}
