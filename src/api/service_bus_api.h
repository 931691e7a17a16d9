// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "api/route.h"
#include "base/secret.h"
#include "broker/broker.h"

namespace jobmill::api {

// What the routes of the broker work with. It belongs to the loop thread, where handlers run.
struct ServiceBusApi {
  broker::Broker& broker;
  // "Endpoint=sb://…;SharedAccessKeyName=…": how a client of this server gets in. An empty entity
  // is the whole namespace.
  std::function<std::string(std::string_view name_space, std::string_view rule, const Secret& key,
                            std::string_view entity)>
      connection_string;
  // The name under which a namespace's TLS listener answers; new ones get into the certificate.
  std::function<void(std::string_view name_space)> namespace_added;
};

// Namespaces and queues by the paths of Azure Resource Manager.
std::span<const Route> arm_routes();
// Messages of a queue: /v1/messages/….
std::span<const Route> message_routes();

}  // namespace jobmill::api
