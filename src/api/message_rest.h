// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "api/service_bus_access.h"
#include "base/clock.h"
#include "broker/broker.h"
#include "http/message.h"
#include "http/server.h"
#include "net/event_loop.h"

namespace jobmill::api {

// Sending and receiving without AMQP, as Service Bus' REST interface does it:
//   POST   /<queue>/messages                 send one, or a JSON array of them
//   POST   /<queue>/messages/head            receive under a lock; DELETE: and delete
//   DELETE /<queue>/messages/<seq>/<token>   complete; PUT: unlock; POST: renew the lock
// Broker properties are JSON in the header BrokerProperties, application properties are the other
// headers. Belongs to the broker's thread.
class MessageRest {
 public:
  MessageRest(broker::Broker& broker, const ServiceBusAccess& access, net::EventLoop& loop,
              const Clock& clock)
      : broker_(broker), access_(access), loop_(loop), clock_(clock) {}

  // Whether the path is one of these.
  static bool serves(const http::Request& request);
  void serve(const http::Request& request, const http::Responder& responder);

 private:
  void send(const http::Request& request, const broker::Address& to,
            const http::Responder& responder);
  void receive(const http::Request& request, const broker::Address& from, broker::ReceiveMode mode,
               const http::Responder& responder);
  void settle(const http::Request& request, const broker::Address& at, const std::string& number,
              const std::string& token, const http::Responder& responder);

  broker::Broker& broker_;
  const ServiceBusAccess& access_;
  net::EventLoop& loop_;
  const Clock& clock_;
};

}  // namespace jobmill::api
