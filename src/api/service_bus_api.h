// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "api/message_json.h"
#include "api/problem.h"
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
  // The same for the TLS listener; none without it.
  std::function<std::string(std::string_view name_space, std::string_view rule, const Secret& key,
                            std::string_view entity)>
      tls_connection_string{};
};

// A server without a broker has none of these.
template <Handler Serve>
void with_broker(ApiContext& context, Call call) {
  if (context.bus == nullptr)
    return call.responder.send(to_response(
        fail(Code::NotFound, "this server runs without Service Bus; start it with --amqp")));
  Serve(context, std::move(call));
}

// Whether a caller sees the bodies of messages: those who may also send them somewhere do.
Bodies bodies_for(const ApiContext& context, const Call& call);

// Namespaces, queues and their rules by the paths of Azure Resource Manager; connection strings.
std::span<const Route> arm_routes();
// Messages of a queue: /v1/messages/….
std::span<const Route> message_routes();

}  // namespace jobmill::api
