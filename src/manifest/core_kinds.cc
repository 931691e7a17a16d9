// SPDX-License-Identifier: Apache-2.0
#include "manifest/core_kinds.h"

#include <algorithm>
#include <array>

#include "base/base64.h"
#include "manifest/fields.h"
#include "manifest/quantity.h"

namespace jobmill::manifest {
namespace {

constexpr IntegerRange kPort{.least = 1, .most = 65535};
constexpr IntegerRange kOneOrMore{.least = 1};

// What every manifest has around its own members; read_object looks into it.
void accept_envelope(Fields& fields) {
  fields.accept({"apiVersion", "kind", "metadata", "status"});
}

// A number is as good as a text: `cpu: 1`, `port: 80`.
std::string text_or_number(Fields& fields, std::string_view key) {
  const Node* node = fields.any(key);
  if (!node) return {};
  const bool fits =
      node->is_string() || node->is(Node::Kind::Integer) || node->is(Node::Kind::Number);
  if (!fits)
    fields.error(key, "expected a string or a number, found " + std::string(to_string(node->kind)));
  return fits ? node->text : std::string();
}

PortRef decode_port_ref(Fields& fields, std::string_view key) {
  const Node* node = fields.any(key);
  if (node && node->is_string()) return node->text;
  return fields.integer(key, kPort).value_or(0);
}

void decode_reference(Fields& reference, EnvVar& variable) {
  variable.object = reference.required_text("name");
  variable.key = reference.required_text("key");
  variable.optional = reference.boolean("optional").value_or(false);
}

void decode_value_from(Fields& from, EnvVar& variable) {
  variable.source = EnvVar::Source::None;
  from.object("secretKeyRef", [&](Fields& reference) {
    variable.source = EnvVar::Source::Secret;
    decode_reference(reference, variable);
  });
  from.object("configMapKeyRef", [&](Fields& reference) {
    variable.source = EnvVar::Source::ConfigMap;
    decode_reference(reference, variable);
  });
  from.object("fieldRef", [&](Fields& field) {
    variable.source = EnvVar::Source::Field;
    variable.value = field.required_text("fieldPath");
    field.accept({"apiVersion"});
  });
}

EnvVar decode_variable(Fields& fields) {
  EnvVar variable;
  variable.name = fields.required_text("name");
  variable.value = fields.text("value");
  if (fields.has("value") && fields.has("valueFrom"))
    fields.error("valueFrom", "not together with value");
  fields.object("valueFrom", [&](Fields& from) { decode_value_from(from, variable); });
  return variable;
}

EnvFrom decode_env_from(Fields& fields) {
  EnvFrom from;
  from.prefix = fields.text("prefix");
  const auto decode = [&](EnvFrom::Source source) {
    return [&from, source](Fields& reference) {
      from.source = source;
      from.name = reference.required_text("name");
      from.optional = reference.boolean("optional").value_or(false);
    };
  };
  const bool secret = fields.object("secretRef", decode(EnvFrom::Source::Secret));
  const bool config = fields.object("configMapRef", decode(EnvFrom::Source::ConfigMap));
  if (secret == config) fields.error("", "expected one of secretRef, configMapRef");
  return from;
}

ContainerPort decode_container_port(Fields& fields) {
  fields.accept({"protocol"});
  ContainerPort port;
  port.name = fields.text("name");
  port.number = fields.required_integer("containerPort", kPort).value_or(0);
  return port;
}

void decode_http_probe(Fields& http, Probe& probe) {
  probe.kind = Probe::Kind::Http;
  probe.port = decode_port_ref(http, "port");
  if (const std::string path = http.text("path"); !path.empty()) probe.path = path;
  probe.https = http.text("scheme") == "HTTPS";
}

std::optional<Probe> decode_probe(Fields& fields) {
  Probe probe;
  const bool exec =
      fields.object("exec", [&](Fields& f) { probe.command = f.text_list("command"); });
  const bool http = fields.object("httpGet", [&](Fields& f) { decode_http_probe(f, probe); });
  const bool tcp = fields.object("tcpSocket", [&](Fields& f) {
    probe.kind = Probe::Kind::Tcp;
    probe.port = decode_port_ref(f, "port");
  });
  probe.initial_delay = fields.seconds("initialDelaySeconds").value_or(probe.initial_delay);
  probe.period = fields.seconds("periodSeconds", kOneOrMore).value_or(probe.period);
  probe.timeout = fields.seconds("timeoutSeconds", kOneOrMore).value_or(probe.timeout);
  probe.success_threshold = fields.integer("successThreshold", kOneOrMore).value_or(1);
  probe.failure_threshold = fields.integer("failureThreshold", kOneOrMore).value_or(3);
  if (exec && probe.command.empty()) fields.error("exec", "needs a command");
  if (!exec && !http && !tcp) return std::nullopt;
  return probe;
}

std::optional<Quantity> decode_quantity(Fields& fields, std::string_view key) {
  const std::string text = text_or_number(fields, key);
  if (text.empty()) return std::nullopt;
  auto quantity = Quantity::parse(text);
  if (quantity) return *std::move(quantity);
  fields.error(key, quantity.error().message);
  return std::nullopt;
}

void decode_resources(Fields& resources, Limits& limits) {
  resources.accept({"requests"});
  resources.object("limits", [&](Fields& fields) {
    if (const auto cpu = decode_quantity(fields, "cpu")) limits.cpu_milli = cpu->milli();
    if (const auto memory = decode_quantity(fields, "memory"))
      limits.memory_bytes = memory->whole();
  });
}

Container decode_container(Fields& fields) {
  Container container;
  container.name = fields.required_text("name");
  container.image = fields.text("image");
  container.command = fields.text_list("command");
  container.args = fields.text_list("args");
  container.working_dir = fields.text("workingDir");
  fields.each("env", [&](Fields& f) { container.env.push_back(decode_variable(f)); });
  fields.each("envFrom", [&](Fields& f) { container.env_from.push_back(decode_env_from(f)); });
  fields.each("ports", [&](Fields& f) { container.ports.push_back(decode_container_port(f)); });
  fields.object("readinessProbe", [&](Fields& f) { container.readiness = decode_probe(f); });
  fields.object("resources", [&](Fields& f) { decode_resources(f, container.limits); });
  return container;
}

void decode_pod_spec(Fields& spec, Deployment& deployment) {
  spec.each("containers", [&](Fields& fields) {
    deployment.containers.push_back(decode_container(fields));
    if (deployment.containers.size() == 2)
      fields.problems().note(fields.node(), fields.path_to("name") +
                                                ": only the first container runs on this machine");
  });
  if (deployment.containers.empty()) spec.error("containers", "at least one is needed");
  deployment.grace = spec.seconds("terminationGracePeriodSeconds").value_or(deployment.grace);
}

// Answers the labels.
Texts decode_pod_metadata(Fields& pod) {
  Texts labels;
  pod.object("metadata", [&](Fields& metadata) {
    labels = metadata.texts("labels");
    metadata.accept({"annotations", "creationTimestamp", "name", "namespace"});
  });
  return labels;
}

void decode_template(Fields& pod, Deployment& deployment) {
  deployment.pod_labels = decode_pod_metadata(pod);
  pod.required_object("spec", [&](Fields& spec) { decode_pod_spec(spec, deployment); });
}

// A job runs all of its containers. Whether a replica that failed is started again in its pod or in
// another one makes no difference without pods.
void decode_job_pod(Fields& spec, JobSpec& job) {
  spec.each("containers", [&](Fields& f) { job.containers.push_back(decode_container(f)); });
  spec.each("initContainers",
            [&](Fields& f) { job.init_containers.push_back(decode_container(f)); });
  if (job.containers.empty()) spec.error("containers", "at least one is needed");
  if (job.containers.size() > 1)
    spec.problems().note(spec.node(), spec.path_to("containers") +
                                          ": the first one is the replica; the others run beside "
                                          "it and are stopped with it");
  job.grace = spec.seconds("terminationGracePeriodSeconds").value_or(job.grace);
  if (const auto deadline = spec.seconds("activeDeadlineSeconds", kOneOrMore))
    job.deadline = std::min(job.deadline.value_or(*deadline), *deadline);
  spec.accept({"restartPolicy"});
}

void decode_counts(Fields& fields, JobSpec& job) {
  const auto completions = fields.integer("completions", kOneOrMore);
  job.parallelism = fields.integer("parallelism", kOneOrMore).value_or(1);
  job.completions = completions.value_or(1);
  job.backoff_limit = fields.integer("backoffLimit", {.least = 0}).value_or(job.backoff_limit);
  job.deadline = fields.seconds("activeDeadlineSeconds", kOneOrMore);
  if (job.parallelism > job.completions)
    fields.problems().note(
        *fields.node().find("parallelism"),
        fields.path_to("parallelism") + ": no effect beyond completions, which is " +
            std::to_string(job.completions) + (completions ? "" : " when it is not set"));
}

ServicePort decode_service_port(Fields& fields) {
  fields.accept({"protocol"});
  ServicePort port;
  port.name = fields.text("name");
  port.port = fields.required_integer("port", kPort).value_or(0);
  port.target_port = port.port;
  if (fields.has("targetPort")) port.target_port = decode_port_ref(fields, "targetPort");
  return port;
}

void decode_base64(Texts& values, const Texts& encoded, Fields& fields) {
  for (const auto& [key, text] : encoded) {
    auto bytes = base64_decode(text);
    if (!bytes) fields.error("data", key + ": not base64; plain text goes under stringData");
    values[key] = std::move(bytes).value_or("");
  }
}

}  // namespace

const Container* find_container(const std::vector<Container>& containers, std::string_view name) {
  const auto same = [&](const Container& one) { return name.empty() || one.name == name; };
  const auto found = std::find_if(containers.begin(), containers.end(), same);
  return found == containers.end() ? nullptr : &*found;
}

Deployment decode_deployment(const Object& object, Problems& problems) {
  Deployment deployment;
  deployment.key = object.key;
  Fields fields(object.document, "", Unknown::Named, problems);
  accept_envelope(fields);
  fields.required_object("spec", [&](Fields& spec) {
    deployment.replicas = spec.integer("replicas", {.least = 0}).value_or(1);
    spec.required_object("template", [&](Fields& pod) { decode_template(pod, deployment); });
    spec.accept({"selector"});
  });
  return deployment;
}

Service decode_service(const Object& object, Problems& problems) {
  Service service;
  service.key = object.key;
  Fields fields(object.document, "", Unknown::Named, problems);
  accept_envelope(fields);
  fields.required_object("spec", [&](Fields& spec) {
    spec.each("ports", [&](Fields& f) { service.ports.push_back(decode_service_port(f)); });
    service.selector = spec.texts("selector");
  });
  return service;
}

Texts decode_secret(const Object& object, Problems& problems) {
  Texts values;
  Fields fields(object.document, "", Unknown::Named, problems);
  accept_envelope(fields);
  fields.accept({"type", "immutable"});
  decode_base64(values, fields.texts("data"), fields);
  for (auto& [key, text] : fields.texts("stringData")) values.insert_or_assign(key, text);
  return values;
}

Texts decode_config_map(const Object& object, Problems& problems) {
  Fields fields(object.document, "", Unknown::Named, problems);
  accept_envelope(fields);
  fields.accept({"immutable"});
  return fields.texts("data");
}

JobSpec decode_job_spec(const Node& node, const std::string& path, Problems& problems) {
  JobSpec job;
  Fields fields(node, path, Unknown::Named, problems);
  if (!node.is_object()) return job;  // which is an error by now
  decode_counts(fields, job);
  fields.required_object("template", [&](Fields& pod) {
    decode_pod_metadata(pod);
    pod.required_object("spec", [&](Fields& spec) { decode_job_pod(spec, job); });
  });
  fields.accept({"completionMode", "manualSelector", "selector", "ttlSecondsAfterFinished"});
  return job;
}

void check_core_object(const Object& object, Problems& problems) {
  const std::string& kind = object.key.kind;
  if (kind == "Deployment") decode_deployment(object, problems);
  if (kind == "Service") decode_service(object, problems);
  if (kind == "Secret") decode_secret(object, problems);
  if (kind == "ConfigMap") decode_config_map(object, problems);
}

std::optional<int> port_number(const PortRef& port, const Container& container) {
  if (const int* number = std::get_if<int>(&port)) return *number;
  const std::string& name = std::get<std::string>(port);
  for (const ContainerPort& one : container.ports)
    if (one.name == name) return one.number;
  return std::nullopt;
}

}  // namespace jobmill::manifest
