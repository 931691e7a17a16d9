// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "amqp/connection.h"
#include "base/clock.h"
#include "broker/address.h"
#include "broker/entity.h"

namespace jobmill::front {

class AmqpConnection;

// One link of a connection, from its attach on. The connection owns it and tells it what the peer
// did; it answers through the connection's engine. Destroyed when the link or its connection ends.
class Link {
 public:
  // What a link is for, beyond what its class knows.
  struct About {
    amqp::LinkId id = 0;
    amqp::SessionId session = 0;
    std::string name{};
    broker::Address address{};
    // What the peer must be allowed; nullopt: any right on the entity, or, for $cbs, none.
    std::optional<broker::Right> right{};
  };

  Link(AmqpConnection& connection, About about)
      : connection_(connection), about_(std::move(about)) {}
  virtual ~Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  virtual void on_message(const amqp::MessageReceived& /*message*/, TimePoint /*now*/) {}
  virtual void on_too_large(const amqp::MessageTooLarge& /*message*/) {}
  virtual void on_credit(const amqp::CreditGiven& /*credit*/, TimePoint /*now*/) {}
  virtual void on_disposition(amqp::DispositionReceived& /*disposition*/, TimePoint /*now*/) {}

  // A message of this link was stored, or was not.
  virtual void on_stored(amqp::DeliveryId /*delivery*/, bool /*settled*/,
                         const Status& /*status*/) {}
  // The peer does not read (any more, or reads again).
  virtual void hold_back(TimePoint /*now*/) {}
  virtual void go_on(TimePoint /*now*/) {}
  // At the end of a turn in which it asked for it.
  virtual void top_up() {}
  // Why the link cannot stay, after entities changed.
  virtual std::optional<amqp::Error> obsolete() const { return std::nullopt; }

  const About& about() const { return about_; }
  TimePoint last_active{};

 protected:
  AmqpConnection& connection_;
  const About about_;
};

}  // namespace jobmill::front
