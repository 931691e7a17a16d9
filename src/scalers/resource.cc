// SPDX-License-Identifier: Apache-2.0
#include "scalers/resource.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>

#include <fmt/core.h>

#include "base/document.h"
#include "scale/metric_name.h"
#include "scalers/table.h"

namespace jobmill::scalers {
namespace {

// --horizontal-pod-autoscaler-cpu-initialization-period, by default.
constexpr Duration kInitialization = std::chrono::minutes(5);

constexpr std::array kParameters{
    Parameter{.names = "value", .required = true},
    Parameter{.names = "containerName"},
};

void decode_utilization(Parameters& parameters, const std::string& text, ResourceTrigger& trigger) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return parameters.complain(
        Flaw::Number, fmt::format("value must be a whole number of per cent such as 80, not {}",
                                  json_quote(text)));
  if (value <= 0) return parameters.complain(Flaw::Range, "value must be greater than 0");
  trigger.utilization = value;
  trigger.metric.target_milli = std::int64_t{value} * 1000;
}

void decode_average(Parameters& parameters, const std::string& text, ResourceTrigger& trigger) {
  const auto value = manifest::Quantity::parse(text);
  if (!value)
    return parameters.complain(
        Flaw::Syntax,
        fmt::format("value must be a quantity such as 500m or 256Mi, not {}", json_quote(text)));
  if (value->milli() <= 0) return parameters.complain(Flaw::Range, "value must be greater than 0");
  trigger.average = *value;
  trigger.metric.target_milli = value->milli();
}

// The metric type says how the value is to be read, so without a value it is no matter.
void decode_value(Parameters& parameters, ResourceTrigger& trigger) {
  const std::string text = parameters.text("value");
  if (text.empty()) return;
  const std::string& type = parameters.spec().metric_type;
  if (type == "Utilization") return decode_utilization(parameters, text, trigger);
  if (type == "AverageValue") return decode_average(parameters, text, trigger);
  parameters.complain(
      Flaw::Unsupported,
      fmt::format("metricType must be Utilization or AverageValue, not {}", json_quote(type)));
}

// --- arithmetic ---------------------------------------------------------------------------------

// What pods use, and what was requested for them.
struct Sum {
  std::int64_t used = 0;
  std::int64_t requested = 0;
  int pods = 0;

  void add(std::int64_t use, std::int64_t request) {
    used += use;
    requested += request;
    ++pods;
  }
};

bool concerns(const ResourceTrigger& trigger, const ClusterPod::Container& container) {
  return trigger.container.empty() || trigger.container == container.name;
}

std::optional<std::int64_t> amount(const ClusterPod::Amounts& amounts, std::string_view resource) {
  const auto found = amounts.find(resource);
  if (found == amounts.end()) return std::nullopt;
  return found->second;
}

Fault no_request(const ResourceTrigger& trigger, const ClusterPod& pod, std::string_view whose) {
  return fail(Code::Conflict,
              fmt::format("{} of pod {} requests no {}, so nothing can be a share of it; set "
                          "resources.requests.{}, or use metricType AverageValue",
                          whose, pod.name, trigger.resource, trigger.resource));
}

Result<std::int64_t> requested_of(const ResourceTrigger& trigger, const ClusterPod& pod) {
  if (trigger.container.empty())
    if (const auto whole = amount(pod.requested, trigger.resource)) return *whole;
  std::int64_t sum = 0;
  for (const ClusterPod::Container& container : pod.containers) {
    if (!concerns(trigger, container)) continue;
    const auto request = amount(container.requested, trigger.resource);
    if (!request) return no_request(trigger, pod, "container " + container.name);
    sum += *request;
  }
  if (sum <= 0) return no_request(trigger, pod, "no container");
  return sum;
}

// Nothing: it was not measured, or one of its containers was not.
Result<std::optional<std::int64_t>> used_by(const ResourceTrigger& trigger, const ClusterPod& pod) {
  std::int64_t sum = 0;
  bool any = false;
  bool all = pod.measured.has_value();
  for (const ClusterPod::Container& container : pod.containers) {
    if (!concerns(trigger, container)) continue;
    any = true;
    const auto used = amount(container.used, trigger.resource);
    all &= used.has_value();
    sum += used.value_or(0);
  }
  if (!any)
    return fail(Code::NotFound,
                fmt::format("pod {} has no container {}", pod.name, trigger.container));
  return all ? std::optional(sum) : std::nullopt;
}

// While a pod starts it often needs more cpu than it ever will again.
bool still_starts(const ResourceTrigger& trigger, const ClusterPod& pod, TimePoint now) {
  return trigger.resource == "cpu" && pod.started + kInitialization > now &&
         pod.measured->at < pod.ready_since + pod.measured->window;
}

double target_of(const ResourceTrigger& trigger) {
  return static_cast<double>(trigger.metric.target_milli) / 1000;
}

// Whole per cent and whole thousandths, as the HorizontalPodAutoscaler reckons.
double value_of(const ResourceTrigger& trigger, const Sum& sum) {
  if (trigger.utilization > 0)
    return std::trunc(100 * static_cast<double>(sum.used) / static_cast<double>(sum.requested));
  return static_cast<double>(sum.used / sum.pods) / 1000;
}

// What a pod is taken to use that nobody has measured, while the others ask for less.
std::int64_t all_of_it(const ResourceTrigger& trigger, std::int64_t request) {
  if (trigger.utilization == 0) return trigger.metric.target_milli;
  return static_cast<std::int64_t>(static_cast<double>(request) *
                                   std::max(100, trigger.utilization) / 100);
}

struct Ready {
  const ClusterPod* pod;
  std::int64_t requested;
  std::optional<std::int64_t> used;
  bool starts;
};

Result<std::vector<Ready>> ready_pods(const ResourceTrigger& trigger,
                                      const std::vector<ClusterPod>& pods, TimePoint now) {
  std::vector<Ready> out;
  for (const ClusterPod& pod : pods) {
    if (pod.phase != ClusterPod::Phase::Running || pod.deleting || !pod.ready) continue;
    Ready ready{.pod = &pod, .requested = 0, .used = {}, .starts = false};
    TRY(ready.used, used_by(trigger, pod));
    if (trigger.utilization > 0) {
      TRY(ready.requested, requested_of(trigger, pod));
    }
    ready.starts = ready.used && still_starts(trigger, pod, now);
    out.push_back(ready);
  }
  return out;
}

// Of pods none of which was measured.
Result<double> unmeasured(const ResourceTrigger& trigger, const std::vector<Ready>& ready,
                          TimePoint now) {
  for (const Ready& one : ready)
    if (!one.used && one.pod->ready_since + kInitialization <= now)
      return fail(Code::Unavailable,
                  fmt::format("the cluster's metrics say nothing of the {} that pod {} uses; is "
                              "its metrics server well?",
                              trigger.resource, one.pod->name));
  return target_of(trigger);
}

bool is_there(const ClusterPod& pod) {
  return pod.phase != ClusterPod::Phase::Ended && !pod.deleting;
}

}  // namespace

Result<double> resource_value(const ResourceTrigger& trigger, const std::vector<ClusterPod>& pods,
                              TimePoint now) {
  if (std::ranges::none_of(pods, is_there)) return 0.0;
  TRY(const std::vector<Ready> ready, ready_pods(trigger, pods, now));
  Sum measured;
  for (const Ready& one : ready)
    if (one.used && !one.starts) measured.add(*one.used, one.requested);
  if (measured.pods == 0) return unmeasured(trigger, ready, now);

  const double target = target_of(trigger);
  const double seen = value_of(trigger, measured);
  Sum careful = measured;
  for (const Ready& one : ready) {
    if (seen > target && (!one.used || one.starts)) careful.add(0, one.requested);
    if (seen < target && !one.used) careful.add(all_of_it(trigger, one.requested), one.requested);
  }
  const double value = value_of(trigger, careful);
  const bool turned = (seen > target && value < target) || (seen < target && value > target);
  return turned ? target : value;
}

std::span<const Parameter> resource_parameters() { return kParameters; }

ResourceTrigger decode_resource(Parameters& parameters) {
  const scale::TriggerSpec& spec = parameters.spec();
  ResourceTrigger trigger;
  trigger.resource = spec.type;
  trigger.container = parameters.text("containerName");
  trigger.ns = spec.ns;
  trigger.target = spec.target.value_or(scale::ScaleTargetRef());
  const std::string part = trigger.container.empty() ? "" : "-" + trigger.container;
  trigger.metric = {.name = scale::metric_name(trigger.resource + part, spec.index),
                    .type = scale::MetricType::Value};
  if (const auto type = spec.metadata.find("type"); type != spec.metadata.end())
    parameters.complain(Flaw::RemovedParameter,
                        "type is no longer known in the metadata; set metricType of the trigger");
  decode_value(parameters, trigger);
  return trigger;
}

Result<ResourceTrigger> parse_resource(const scale::TriggerSpec& spec) {
  Parameters parameters(spec, kParameters);
  ResourceTrigger trigger = decode_resource(parameters);
  TRY_VOID(parameters.status());
  return trigger;
}

Result<std::unique_ptr<scale::Scaler>> make_resource(const scale::TriggerSpec& spec,
                                                     const ScalerContext& context) {
  TRY(ResourceTrigger trigger, parse_resource(spec));
  if (!context.cluster.usage) return needs_cluster(spec.type);
  if (!spec.target)
    return fail(Code::Unsupported,
                fmt::format("trigger {} ({}) measures the pods of a scaleTargetRef, and there is "
                            "none here",
                            spec.index, spec.type));
  auto ask = [usage = context.cluster.usage, ns = trigger.ns, target = trigger.target](
                 ClusterSource::Done done) { usage(ns, target, std::move(done)); };
  const scale::MetricSpec metric = trigger.metric;
  // Never active of itself: an object with other triggers is as active as those are.
  auto look = [trigger = std::move(trigger), &clock = context.clock](
                  const std::vector<ClusterPod>& pods) -> Result<scale::Sample> {
    TRY(const double value, resource_value(trigger, pods, clock.now()));
    return scale::Sample{.value = value};
  };
  return make_pods_scaler(metric, std::move(ask), std::move(look));
}

}  // namespace jobmill::scalers
