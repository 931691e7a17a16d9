// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "manifest/catalog.h"
#include "scale/scaled_job.h"
#include "scale/scaler.h"
#include "scale/spec.h"

namespace jobmill::scale {

// A trigger with everything that its scaler needs, looked up now. What is missing is an empty
// value, as in KEDA, and a warning that names the object and the key; the scaler then complains
// of the parameter that it does not get.
struct ResolvedTrigger {
  TriggerSpec spec;
  std::vector<std::string> warnings;
};

// Resolves one trigger of a ScaledObject: its authenticationRef into auth parameters, and the
// environment of the target's container for …FromEnv. To be done each time a scaler is built, as
// secrets may have changed. A ClusterTriggerAuthentication takes its secrets from `cluster_ns`.
//
// NotFound if the target's environment has a mandatory reference to something that is not there:
// without it the wrong source might be read.
Result<ResolvedTrigger> resolve_trigger(const manifest::Catalog& catalog,
                                        const ScaledObjectSpec& object, std::size_t index,
                                        std::string_view cluster_ns = manifest::kDefaultNamespace);

// The same for a ScaledJob, whose pod template is the target.
Result<ResolvedTrigger> resolve_trigger(const manifest::Catalog& catalog, const ScaledJobSpec& job,
                                        std::size_t index,
                                        std::string_view cluster_ns = manifest::kDefaultNamespace);

}  // namespace jobmill::scale
