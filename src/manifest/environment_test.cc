// SPDX-License-Identifier: Apache-2.0
#include "manifest/environment.h"

#include <doctest/doctest.h>

#include <string>

#include "manifest/reader.h"
#include "manifest/services.h"

using namespace jobmill::manifest;
using jobmill::Code;

namespace {

// A catalog of what a text says.
Catalog catalog_of(std::string_view text) {
  Manifests manifests;
  read_manifests(text, "m.yaml", kDefaultNamespace, manifests);
  for (const Remark& error : manifests.errors) FAIL(error.where << ": " << error.text);
  Catalog catalog;
  for (Object& object : manifests.objects) catalog.put(std::move(object), {});
  return catalog;
}

Deployment deployment_in(const Catalog& catalog) {
  Problems problems("m.yaml");
  return decode_deployment(*catalog.list("Deployment").at(0), problems);
}

constexpr std::string_view kObjects = R"yaml(
apiVersion: v1
kind: Secret
metadata: {name: creds}
stringData: {user: ann, password: "p$$(x)"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {COLOR: red, SIZE: large}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata: {labels: {app: web, tier: front}}
    spec:
      containers:
      - name: main
        ports: [{name: http, containerPort: 8080}]
        envFrom:
        - {prefix: APP_, configMapRef: {name: settings}}
        - {secretRef: {name: absent, optional: true}}
        env:
        - {name: USER, valueFrom: {secretKeyRef: {name: creds, key: user}}}
        - {name: PASSWORD, valueFrom: {secretKeyRef: {name: creds, key: password}}}
        - {name: GREETING, value: "hello $(USER), $$(USER) $(LATER) $"}
        - {name: LATER, value: "1"}
        - {name: APP_COLOR, value: "dark $(APP_COLOR)"}
        - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: NONE, valueFrom: {configMapKeyRef: {name: settings, key: none, optional: true}}}
        - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
      - name: second
        env: [{name: ONLY, value: here}]
---
apiVersion: v1
kind: Service
metadata: {name: web-front}
spec:
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: http}
  - {name: admin-ui, port: 81, targetPort: 9000}
  - {name: lost, port: 82, targetPort: nowhere}
)yaml";

}  // namespace

TEST_CASE("environment: $(NAME) finds what is provided, a declaration of that name first") {
  const Catalog catalog = catalog_of(R"yaml(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        env:
        - {name: URL, value: "http://$(DB_SERVICE_HOST):$(DB_SERVICE_PORT)/$(OTHER)"}
        - {name: DB_SERVICE_PORT, value: "2"}
        - {name: AGAIN, value: "$(DB_SERVICE_PORT)"}
)yaml");
  const Texts services{{"DB_SERVICE_HOST", "127.0.0.1"}, {"DB_SERVICE_PORT", "1"}};
  CHECK(*resolve_environment(catalog, deployment_in(catalog), "", {}, services) ==
        Texts{{"URL", "http://127.0.0.1:1/$(OTHER)"}, {"DB_SERVICE_PORT", "2"}, {"AGAIN", "2"}});
  CHECK(expand_variables("$(A) $(B)", {{"A", "1"}}, {{"A", "2"}, {"B", "3"}}) == "1 3");
}

TEST_CASE("environment: references, order and $(NAME) as in Kubernetes") {
  const Catalog catalog = catalog_of(kObjects);
  const auto variables = resolve_environment(catalog, deployment_in(catalog));
  REQUIRE(variables);
  CHECK(*variables == Texts{{"APP_COLOR", "dark red"},
                            {"APP_SIZE", "large"},
                            {"GREETING", "hello ann, $(USER) $(LATER) $"},
                            {"LATER", "1"},
                            {"PASSWORD", "p$$(x)"},
                            {"USER", "ann"}});
}

TEST_CASE("environment: fields are known to who starts the replica") {
  const Catalog catalog = catalog_of(kObjects);
  const auto variables =
      resolve_environment(catalog, deployment_in(catalog), "main", {{"metadata.name", "web-1"}});
  REQUIRE(variables);
  CHECK(variables->at("POD") == "web-1");
}

TEST_CASE("environment: another container can be asked for, and must exist") {
  const Catalog catalog = catalog_of(kObjects);
  CHECK(*resolve_environment(catalog, deployment_in(catalog), "second") == Texts{{"ONLY", "here"}});
  const auto none = resolve_environment(catalog, deployment_in(catalog), "third");
  REQUIRE_FALSE(none);
  CHECK(none.error().message == "Deployment/web has no container third");
}

TEST_CASE("environment: everything mandatory that is missing is named") {
  const Catalog catalog = catalog_of(R"(
apiVersion: v1
kind: Secret
metadata: {name: creds}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
      - name: main
        envFrom: [{configMapRef: {name: absent}}]
        env: [{name: A, valueFrom: {secretKeyRef: {name: creds, key: user}}}]
)");
  const auto variables = resolve_environment(catalog, deployment_in(catalog));
  REQUIRE_FALSE(variables);
  CHECK(variables.error().code == Code::NotFound);
  CHECK(variables.error().message ==
        "environment of Deployment/web: there is no ConfigMap/absent, Secret/creds has no "
        "key user");
}

TEST_CASE("services: a host names a Service in the ways of Kubernetes") {
  const Catalog catalog = catalog_of(kObjects);
  for (const char* host : {"web-front", "web-front.default", "web-front.default.svc",
                           "web-front.default.svc.cluster.local"})
    CHECK(find_service(catalog, host) != nullptr);
  for (const char* host : {"web", "web-front.shop", "web-front.default.example.com", "", ".",
                           "web-front.default.svcs", "127.0.0.1"})
    CHECK(find_service(catalog, host) == nullptr);
  CHECK(find_service(catalog, "web-front", "shop") == nullptr);
}

TEST_CASE("services: a port leads to its target, by number or by the container's name for it") {
  const Catalog catalog = catalog_of(kObjects);
  const Object& service = *find_service(catalog, "web-front");
  CHECK(endpoint_of(catalog, service, 80)->target_port == 8080);
  CHECK(endpoint_of(catalog, service, 81)->target_port == 9000);
  for (const int port : {82, 83}) {
    const auto none = endpoint_of(catalog, service, port);
    REQUIRE_FALSE(none);
    CHECK(none.error().message == "Service/web-front leads nowhere by port " +
                                      std::to_string(port) + "; its ports: 80, 81");
  }
}

TEST_CASE("services: the variables that Kubernetes sets") {
  const Catalog catalog = catalog_of(kObjects);
  const auto here = [](const ServiceEndpoint& e) { return Address{.port = e.target_port}; };
  CHECK(service_variables(catalog, "default", here) ==
        Texts{{"WEB_FRONT_SERVICE_HOST", "127.0.0.1"},
              {"WEB_FRONT_SERVICE_PORT", "8080"},
              {"WEB_FRONT_SERVICE_PORT_ADMIN_UI", "9000"},
              {"WEB_FRONT_SERVICE_PORT_HTTP", "8080"}});
  CHECK(service_variables(catalog, "shop", here).empty());
}
