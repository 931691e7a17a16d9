// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "http/client.h"
#include "scale/scaler.h"
#include "scalers/azure_servicebus.h"
#include "scalers/cluster_pods.h"
#include "scalers/jobs.h"
#include "scalers/parameters.h"

namespace jobmill::scalers {

// What scalers need of the world. Scalers copy the functions, so the context itself may be
// temporary; the clock must outlive them.
struct ScalerContext {
  // Sends a request; `done` may be called from any thread, perhaps before this returns. The app
  // answers URLs of this server without a socket and sets connect_to for the names of Services.
  std::function<void(http::ClientRequest, std::function<void(http::ClientResult)> done)> fetch;

  JobsSource jobs;
  ServiceBusSource service_bus{};  // without functions: all namespaces are elsewhere
  ClusterSource cluster{};         // without functions: there is no cluster

  // Calls `fn` once, later, from any thread; dropping the handle cancels it.
  std::function<std::shared_ptr<void>(Duration, std::function<void()> fn)> run_after;

  const Clock& clock;
  Duration http_timeout = std::chrono::seconds(3);  // of triggers that set none
};

// Builds the code behind a trigger. InvalidArgument names the trigger type and everything that is
// wrong with its parameters; Unsupported: a type or an option that this version does not have.
Result<std::unique_ptr<scale::Scaler>> make_scaler(const scale::TriggerSpec& spec,
                                                   const ScalerContext& context);

// Whether make_scaler could build it; nothing is built and nothing is asked.
Status check_scaler(const scale::TriggerSpec& spec);

// Unsupported: triggers of this type look at a cluster, and work there only.
Status check_without_cluster(std::string_view type);

// The types that make_scaler knows, sorted.
std::span<const std::string_view> scaler_types();

// The parameters of a type, as its page in docs/triggers/ lists them; empty for unknown types.
std::span<const Parameter> scaler_parameters(std::string_view type);

}  // namespace jobmill::scalers
