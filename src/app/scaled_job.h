// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "executions/container_job.h"
#include "executions/runner.h"
#include "manifest/catalog.h"
#include "manifest/object.h"
#include "scale/executions.h"
#include "scale/scaled_job.h"
#include "scale/scaler.h"

namespace jobmill::app {

// What a ScaledJob says of its triggers that a job of Container Apps cannot say.
struct ScaledJobRules {
  std::optional<std::int64_t> min{};  // unset is not the same as 0 and 100
  std::optional<std::int64_t> max{};
  scale::JobStrategy strategy = scale::JobStrategy::Default;
  scale::JobCombination combination = scale::JobCombination::Max;
  std::optional<std::int64_t> deduction{};
  std::string percentage{};
  bool keeps_running = false;  // executions of an earlier spec go on
  // A trigger with what it refers to, as it is now. To be asked again for each scaler.
  std::function<Result<scale::TriggerSpec>(std::size_t trigger)> resolve{};
};

// A ScaledJob as a job of Container Apps: group and name are its namespace and its name.
struct ConvertedScaledJob {
  executions::ContainerJob job;
  ScaledJobRules rules;              // without `resolve`
  std::vector<std::string> missing;  // "there is no Secret/bus"; the job is suspended then
};

// Looks up what its containers refer to. A variable from a Secret becomes one from a secret of the
// job, so it is encrypted at rest and masked in logs like any other; commands and values keep their
// $(NAME), which expand_variables() replaces when a replica starts.
ConvertedScaledJob to_container_job(const scale::ScaledJobSpec& spec,
                                    const manifest::Object& object,
                                    const manifest::Catalog& catalog);

// Replaces $(NAME) in what a replica of a ScaledJob is about to be started with, as Kubernetes
// does: by variables that are declared before, by ours, and by the fields of its pod.
void expand_variables(const executions::Template& pod, const executions::JobKey& job,
                      executions::RunReplica& replica);

}  // namespace jobmill::app
