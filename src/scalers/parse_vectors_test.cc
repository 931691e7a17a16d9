// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include "http/message.h"
#include "scalers/azure_servicebus.h"
#include "scalers/cron.h"
#include "scalers/kubernetes_workload.h"
#include "scalers/metrics_api.h"
#include "scalers/resource.h"
#include "vectors.h"

namespace jobmill::scalers {
namespace {

using testing::flag;
using testing::has;
using testing::member;
using testing::number;
using testing::text;

scale::TriggerSpec::Texts texts(const Node& in, std::string_view key) {
  scale::TriggerSpec::Texts result;
  if (!has(in, key)) return result;
  for (const auto& entry : member(in, key).members)
    result[entry.key] = std::string(entry.value.as_string().value());
  return result;
}

scale::TriggerSpec spec_of(const Node& in) {
  return {.type = text(in, "scaler"),
          .name = "",
          .metric_type = testing::text_or(in, "metricType", ""),
          .metadata = texts(in, "metadata"),
          .auth = texts(in, "authParams"),
          .env = texts(in, "env"),
          .pod_identity = testing::text_or(in, "podIdentity", ""),
          .ns = "ns",
          .index = static_cast<int>(number(in, "triggerIndex")),
          .feeds_formula = flag(in, "asMetricSource")};
}

void check_metric(const scale::MetricSpec& metric, const Node& expect) {
  CHECK(metric.name == text(expect, "metricName"));
  CHECK(metric.target_milli == member(expect, "targetMilli").as_int());
  const bool average = metric.type == scale::MetricType::AverageValue;
  CHECK((average ? "AverageValue" : "Value") == text(expect, "targetType"));
}

// An error must be an error. Its classes are hints: ours are among them, but we do not complain a
// second time that a number which could not be read is missing.
bool check_error(const Parameters& parameters, const Node& expect) {
  const Status status = parameters.status();
  CAPTURE((status ? std::string("accepted") : status.error().message));
  REQUIRE(bool(status) == flag(expect, "ok"));
  for (const Flaw flaw : parameters.flaws())
    CHECK(text(expect, "error").find(to_string(flaw)) != std::string::npos);
  return bool(status);
}

void check_modes(const AuthBlock& auth, const Node& expect) {
  const Node& modes = member(expect, "authModes");
  REQUIRE(auth.modes.size() == modes.items.size());
  for (std::size_t i = 0; i < auth.modes.size(); ++i) CHECK(auth.modes[i] == modes.items[i].text);
  if (has(expect, "apiKeyMethod"))
    CHECK(auth.api_key->in_query == (text(expect, "apiKeyMethod") == "query"));
}

void check_request(const MetricsApiTrigger& trigger, const Node& expect) {
  http::ClientRequest request = metrics_api_request(trigger, std::chrono::seconds(3));
  if (trigger.auth.oauth) request.headers.set("Authorization", "Bearer <token>");
  CHECK(request.url == text(expect, "requestURL"));
  const Node& headers = member(expect, "requestHeaders");
  CHECK(request.headers.fields().size() == headers.members.size());
  for (const auto& header : headers.members)
    CHECK(request.headers.get(header.key) == header.value.as_string());
}

std::string format_name(ValueFormat format) {
  constexpr std::array kNames{"json", "xml", "yaml", "prometheus"};
  return kNames[static_cast<std::size_t>(format)];
}

void check_metrics_api(const scale::TriggerSpec& spec, const Node& expect) {
  Parameters parameters(spec, metrics_api_parameters());
  const MetricsApiTrigger trigger = decode_metrics_api(parameters);
  if (!check_error(parameters, expect)) return;
  check_metric(trigger.metric, expect);
  CHECK(trigger.activation == number(expect, "activation"));
  CHECK(format_name(trigger.format) == text(expect, "format"));
  CHECK(trigger.unsafe_ssl == flag(expect, "unsafeSsl"));
  CHECK(trigger.timeout == std::chrono::milliseconds(*member(expect, "timeoutMs").as_int()));
  check_modes(trigger.auth, expect);
  check_request(trigger, expect);
}

std::string operation_name(EntityOperation operation) {
  constexpr std::array kNames{"sum", "max", "avg"};
  return kNames[static_cast<std::size_t>(operation)];
}

void check_azure_servicebus(const scale::TriggerSpec& spec, const Node& expect) {
  Parameters parameters(spec, azure_servicebus_parameters());
  const ServiceBusTrigger trigger = decode_azure_servicebus(parameters);
  if (!check_error(parameters, expect)) return;
  check_metric(trigger.metric, expect);
  CHECK(trigger.activation == member(expect, "activation").as_int());
  CHECK(trigger.queue.empty() == (text(expect, "entityType") == "subscription"));
  CHECK(trigger.host == text(expect, "fqns"));
  CHECK(operation_name(trigger.operation) == text(expect, "operation"));
  CHECK(trigger.regex == flag(expect, "useRegex"));
}

void check_cron(const scale::TriggerSpec& spec, const Node& expect) {
  Parameters parameters(spec, cron_parameters());
  const CronTrigger trigger = decode_cron(parameters);
  if (!check_error(parameters, expect)) return;
  check_metric(trigger.metric, expect);
  CHECK(trigger.desired_replicas == member(expect, "desiredReplicas").as_int());
}

void check_kubernetes_workload(const scale::TriggerSpec& spec, const Node& expect) {
  Parameters parameters(spec, kubernetes_workload_parameters());
  const WorkloadTrigger trigger = decode_kubernetes_workload(parameters);
  if (!check_error(parameters, expect)) return;
  check_metric(trigger.metric, expect);
  CHECK(trigger.activation == number(expect, "activation"));
}

void check_resource(const scale::TriggerSpec& spec, const Node& expect) {
  Parameters parameters(spec, resource_parameters());
  const ResourceTrigger trigger = decode_resource(parameters);
  if (!check_error(parameters, expect)) return;
  CHECK(trigger.resource ==
        text(expect, has(expect, "container") ? "containerResource" : "resource"));
  CHECK(trigger.container == testing::text_or(expect, "container", ""));
  const bool share = text(expect, "targetType") == "Utilization";
  CHECK(trigger.utilization == (share ? number(expect, "utilization") : 0));
  if (!share) CHECK(trigger.average.canonical() == text(expect, "averageValue"));
}

void check_file(std::string_view file,
                void (*check)(const scale::TriggerSpec& spec, const Node& expect)) {
  for (const Node& vector : testing::vectors(file)) {
    CAPTURE(text(vector, "id"));
    check(spec_of(member(vector, "in")), member(vector, "expect"));
  }
}

}  // namespace

TEST_CASE("metrics-api: the vectors of its metadata") {
  check_file("autoscaler/parse_metrics_api.json", check_metrics_api);
}

TEST_CASE("azure-servicebus: the vectors of its metadata") {
  check_file("autoscaler/parse_azure_servicebus.json", check_azure_servicebus);
}

TEST_CASE("cron: the vectors of its metadata") {
  check_file("autoscaler/parse_cron.json", check_cron);
}

TEST_CASE("kubernetes-workload: the vectors of its metadata") {
  check_file("autoscaler/parse_kubernetes_workload.json", check_kubernetes_workload);
}

TEST_CASE("cpu, memory: the vectors of their metadata") {
  check_file("autoscaler/parse_cpu.json", check_resource);
  check_file("autoscaler/parse_memory.json", check_resource);
}

}  // namespace jobmill::scalers
