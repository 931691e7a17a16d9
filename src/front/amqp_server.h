// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/authorization.h"
#include "broker/broker.h"
#include "net/event_loop.h"
#include "net/stream.h"

namespace jobmill::front {

struct AmqpOptions {
  // None: everybody may do everything, tokens need only look like tokens. For development.
  enum class Auth { Strict, None };
  Auth auth = Auth::Strict;
  // A client that has shown no valid token by then is closed, in any mode also one that has not
  // opened its connection.
  Duration claim_deadline = std::chrono::seconds(60);
  // Detaches links without traffic; nullopt: never, since clients cannot see such a timer.
  std::optional<Duration> idle_link_timeout{};
  // Who a JSON Web Token is and what he may do with an entity (lower case; empty: the namespace);
  // null: such tokens are refused.
  std::function<Result<broker::Claim>(std::string_view jwt, std::string_view entity, TimePoint now)>
      verify_jwt{};
  // The replica of ours that speaks: by the name that its token holds, or by the address of its
  // socket ("127.0.0.1:40312"), asked once when a loopback connection opens. nullopt: none that
  // runs; null: there are none.
  std::function<std::optional<broker::Holder>(std::string_view name)> holder_named{};
  std::function<std::optional<broker::Holder>(const std::string& peer)> holder_at{};

  std::string container_id = "jobmill";
  std::string version{};  // shown to clients in the properties of open
  // What waits for a client that does not read; beyond it he gets no deliveries and is not read
  // from until it has gone.
  std::size_t max_unsent_bytes = 1u << 20;
  // Messages of one connection that wait for the disk; beyond it the client is not read from.
  std::size_t max_storing_bytes = 32u << 20;
};

// Service Bus over AMQP 1.0: what clients attach to is looked up in the broker, what they send goes
// into it, what they may have comes out of it. One object serves all listeners, since a stream is a
// stream: TCP, TLS or the payload of a WebSocket.
//
// Everything happens on the loop thread. The broker must live longer than this, and somebody else
// calls its tick().
class AmqpServer {
 public:
  AmqpServer(net::EventLoop& loop, broker::Broker& broker, const Clock& clock, Log& log,
             AmqpOptions options);
  ~AmqpServer();
  AmqpServer(const AmqpServer&) = delete;
  AmqpServer& operator=(const AmqpServer&) = delete;

  // Speaks AMQP on a stream that was not started yet.
  void serve(std::shared_ptr<net::Stream> stream);

  // Closes all connections with amqp:connection:forced, which makes clients connect again; what is
  // written still goes out while the loop runs. Streams that come later are closed at once.
  void shutdown();

  // After entities were changed or deleted: detaches links that send to, or manage, what is gone or
  // disabled. (Links that receive are told by the broker.)
  void entities_changed();

  // A replica's process has ended: `done` is called when all that it had sent is read and its
  // connections are gone, after 100 ms in any case.
  void finish_holder(std::string_view name, std::function<void()> done);

  // Does what is due in every connection. The server's own timers see to that, by the loop's clock;
  // this is for owners of another clock.
  void tick();

  std::size_t connections() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace jobmill::front
