// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "front/link.h"

namespace jobmill::front {

// The client sends messages to a queue on this one. `accepted` means that the message is durable.
// Credit follows what is stored, so a slow disk slows the sender down.
class SenderLink final : public Link {
 public:
  // Refuses, or accepts and adds the link.
  static void attach(AmqpConnection& connection, amqp::LinkAttached& attached,
                     broker::Address address);
  using Link::Link;

  void on_message(const amqp::MessageReceived& message, TimePoint now) override;
  void on_too_large(const amqp::MessageTooLarge& message) override;
  void on_stored(amqp::DeliveryId delivery, bool settled, const Status& status) override;
  void top_up() override;
  std::optional<amqp::Error> obsolete() const override;

 private:
  void send_batch(const amqp::MessageReceived& message, TimePoint now);
  void reject(const amqp::MessageReceived& message, amqp::Error error);
  std::uint32_t room() const;

  std::uint32_t storing_ = 0;  // messages that the broker has not answered
};

}  // namespace jobmill::front
