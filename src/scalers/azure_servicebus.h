// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "http/client.h"
#include "scale/scaler.h"
#include "scalers/parameters.h"

namespace jobmill::scalers {

struct ScalerContext;

// The trigger `azure-servicebus`: active messages of a queue or subscription.
// docs/triggers/azure-servicebus.md is its page. A namespace of this server is read in process and
// pushed; others are asked over HTTPS, as KEDA's client does it.

enum class EntityOperation { Sum, Max, Avg };

struct ServiceBusTrigger {
  scale::MetricSpec metric;
  std::int64_t messages = 5;  // messageCount
  std::int64_t activation = 0;
  std::string queue;  // or topic and subscription
  std::string topic;
  std::string subscription;
  bool regex = false;
  EntityOperation operation = EntityOperation::Sum;
  Secret connection;  // connection string; empty with an identity
  std::string host;   // "<namespace>.servicebus.windows.net"; of an identity; else by connection
  std::string principal;    // whose roles are to be looked at; empty: nobody's
  Duration longest_wait{};  // of a read of our own broker whose number does not change
};

std::span<const Parameter> azure_servicebus_parameters();
ServiceBusTrigger decode_azure_servicebus(Parameters& parameters);
Result<ServiceBusTrigger> parse_azure_servicebus(const scale::TriggerSpec& spec);
Result<std::unique_ptr<scale::Scaler>> make_azure_servicebus(const scale::TriggerSpec& spec,
                                                             const ScalerContext& context);

// A connection string. Keys are compared without case; InvalidArgument says what is missing.
struct ServiceBusConnection {
  std::string endpoint;  // as written
  std::string host;      // with its port, if any
  std::string key_name;
  Secret key;
  Secret signature;  // SharedAccessSignature, instead of the two above
  std::string entity_path;
};
Result<ServiceBusConnection> parse_connection(const Secret& text);

// Whether the longest leftmost match of the pattern is the whole name.
Result<bool> entity_matches(std::string_view pattern, std::string_view entity);
std::int64_t combine_counts(EntityOperation operation, std::span<const std::int64_t> counts);

// Entities of a broker in this process.
struct ServiceBusSource {
  // Active messages of each entity that the trigger names or matches. Unsupported: not ours, ask
  // over HTTPS. NotFound, PermissionDenied (its key is not one of ours, or has no right to listen
  // or manage) and others are failed reads. Called on any thread; `done` too.
  std::function<void(const ServiceBusTrigger&,
                     std::function<void(Result<std::vector<std::int64_t>>)> done)>
      read;
  // Calls `changed` after anything that may have moved these counts, until the handle is dropped.
  // From any thread. Null: not ours.
  std::function<std::shared_ptr<void>(const ServiceBusTrigger&, std::function<void()> changed)>
      subscribe;
};

}  // namespace jobmill::scalers
