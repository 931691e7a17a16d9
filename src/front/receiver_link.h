// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "broker/broker.h"
#include "front/link.h"
#include "front/session_filter.h"

namespace jobmill::front {

// The client receives messages of a queue, or of one message session, on this one. It hands the
// client's credit to the broker, deliveries to the client and outcomes to the broker.
class ReceiverLink final : public Link, public broker::Receiver {
 public:
  // Refuses, or accepts and adds the link; for a session that is decided when one is free.
  static void attach(AmqpConnection& connection, amqp::LinkAttached& attached,
                     broker::Address address);
  ReceiverLink(AmqpConnection& connection, About about, amqp::Attach attach);
  ~ReceiverLink() override;

  void on_credit(const amqp::CreditGiven& credit, TimePoint now) override;
  void on_disposition(amqp::DispositionReceived& disposition, TimePoint now) override;
  void hold_back(TimePoint now) override;
  void go_on(TimePoint now) override;
  void top_up() override;

 private:
  void deliver(broker::Delivery delivery) override;
  void drained() override;
  void ended(const Fault& why) override;

  broker::ReceiverOptions options() const;
  Status open(TimePoint now);
  void open_session(SessionFilter filter, TimePoint now);
  void session_opened(Result<broker::SessionGrant> grant);
  void accept(amqp::Attach answer, TimePoint now);
  void take_name();
  void grant(TimePoint now);
  std::uint32_t deletable(std::uint32_t credit) const;
  bool send(const broker::Delivery& delivery);
  void settle_answer(amqp::DispositionReceived& disposition, broker::Settlement settlement,
                     TimePoint now);

  const broker::ReceiveMode mode_;
  amqp::Attach attach_;  // the client's; emptied when it is answered
  broker::ReceiverId receiver_ = 0;
  bool accepted_ = false;
  bool has_session_ = false;
  bool drain_ = false;                      // asked for, and not answered yet
  std::string name_key_{};                  // in LinkNames
  std::uint64_t sent_ = 0;                  // deliveries without a lock, for their tags
  std::uint32_t asked_for_ = 0;             // of the broker, and not delivered yet
  bool more_ = false;                       // the client's credit is greater than that
  std::size_t usual_bytes_ = 64u << 10;     // of a message, to judge by the latest
  std::deque<broker::Delivery> waiting_{};  // deleted already, but the client took its credit back
};

}  // namespace jobmill::front
