// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "broker/broker.h"
#include "http/server.h"
#include "net/event_loop.h"

namespace jobmill::api {

// What a request wants to receive.
struct MessageWish {
  broker::Address address{};
  broker::ReceiveMode mode = broker::ReceiveMode::PeekLock;
  std::optional<std::string> session{};  // of entities with sessions; this one
  std::size_t count = 1;                 // at most
  Duration wait{};                       // for the first message
};

// Receives for one request: it is a receiver of its own until it has what there is, its time is up
// or its client is gone; what was locked for a client that is gone is unlocked again. `done` is
// called once, on the loop thread; an empty list means that nothing came.
void receive_messages(broker::Broker& broker, net::EventLoop& loop, const Clock& clock,
                      MessageWish wish, const http::Responder& responder,
                      std::function<void(Result<std::vector<broker::Delivery>>)> done);

}  // namespace jobmill::api
