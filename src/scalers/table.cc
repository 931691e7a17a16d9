// SPDX-License-Identifier: Apache-2.0
#include "scalers/table.h"

#include <algorithm>
#include <array>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "scalers/azure_servicebus.h"
#include "scalers/cron.h"
#include "scalers/jobs.h"
#include "scalers/kubernetes_workload.h"
#include "scalers/metrics_api.h"
#include "scalers/resource.h"

namespace jobmill::scalers {
namespace {

struct ScalerType {
  std::string_view name;
  std::span<const Parameter> (*parameters)();
  Status (*check)(const scale::TriggerSpec&);
  Result<std::unique_ptr<scale::Scaler>> (*make)(const scale::TriggerSpec&, const ScalerContext&);
  bool needs_cluster = false;
};

template <auto kParse>
Status check(const scale::TriggerSpec& spec) {
  TRY_VOID(kParse(spec));
  return {};
}

// To add a trigger type: write scalers/<name>.{h,cc}, add its line here, and its page to
// docs/triggers/. Nothing else knows the list.
constexpr std::array kScalers{
    ScalerType{"azure-servicebus", azure_servicebus_parameters, check<parse_azure_servicebus>,
               make_azure_servicebus},
    ScalerType{"cpu", resource_parameters, check<parse_resource>, make_resource, true},
    ScalerType{"cron", cron_parameters, check<parse_cron>, make_cron},
    ScalerType{"jobs", jobs_parameters, check<parse_jobs>, make_jobs},
    ScalerType{"kubernetes-workload", kubernetes_workload_parameters,
               check<parse_kubernetes_workload>, make_kubernetes_workload, true},
    ScalerType{"memory", resource_parameters, check<parse_resource>, make_resource, true},
    ScalerType{"metrics-api", metrics_api_parameters, check<parse_metrics_api>, make_metrics_api},
};

constexpr auto kNames = [] {
  std::array<std::string_view, kScalers.size()> names{};
  std::ranges::transform(kScalers, names.begin(), &ScalerType::name);
  return names;
}();

const ScalerType* find(std::string_view name) {
  const auto found = std::ranges::find(kScalers, name, &ScalerType::name);
  return found == kScalers.end() ? nullptr : &*found;
}

Fault unknown(const scale::TriggerSpec& spec) {
  return fail(Code::Unsupported,
              fmt::format("trigger {} has a type that this version does not know: {} (it knows {})",
                          spec.index, spec.type, fmt::join(kNames, ", ")));
}

}  // namespace

Result<std::unique_ptr<scale::Scaler>> make_scaler(const scale::TriggerSpec& spec,
                                                   const ScalerContext& context) {
  if (const ScalerType* type = find(spec.type)) return type->make(spec, context);
  return unknown(spec);
}

Status check_scaler(const scale::TriggerSpec& spec) {
  if (const ScalerType* type = find(spec.type)) return type->check(spec);
  return unknown(spec);
}

Status check_without_cluster(std::string_view type) {
  const ScalerType* found = find(type);
  if (found != nullptr && found->needs_cluster) return needs_cluster(type);
  return {};
}

std::span<const std::string_view> scaler_types() { return kNames; }

std::span<const Parameter> scaler_parameters(std::string_view type) {
  const ScalerType* found = find(type);
  return found ? found->parameters() : std::span<const Parameter>();
}

}  // namespace jobmill::scalers
