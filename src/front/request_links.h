// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "front/link.h"
#include "front/request.h"

namespace jobmill::front {

class AnswerLink;

// What the requests of one connection keep in memory. Where there is no room, requests wait: a
// client that does not take its answers gets no others.
struct RequestLoad {
  std::size_t under_way = 0;  // with the broker
  std::size_t under_way_bytes = 0;
  std::size_t held_bytes = 0;  // of requests that wait for room
  std::size_t answers = 0;     // that wait for credit
  std::size_t answer_bytes = 0;

  bool room() const;
  // Whether a request of this size may wait too. Where the broker has some, reading stops instead.
  bool can_hold(std::size_t bytes) const;
};

// Finds the link for an answer: of the links of the request's session that receive from the same
// node, the one whose target the request names, otherwise the latest. (Python names none.)
class RequestRoutes {
 public:
  void add(AnswerLink* link) { links_.push_back(link); }
  void remove(AnswerLink* link) { std::erase(links_, link); }
  AnswerLink* find(amqp::SessionId session, const broker::Address& node,
                   std::string_view reply_to) const;

  RequestLoad load{};

 private:
  std::vector<AnswerLink*> links_;  // in the order of attaching
};

// The client receives the answers of a node on this one.
class AnswerLink final : public Link {
 public:
  static void attach(AmqpConnection& connection, amqp::LinkAttached& attached,
                     broker::Address address);
  AnswerLink(AmqpConnection& connection, About about, std::string target, bool settled);
  ~AnswerLink() override;

  // Waits for credit where there is none yet.
  void send(std::string message);
  const std::string& target() const { return target_; }

  void on_credit(const amqp::CreditGiven& credit, TimePoint now) override;
  void on_disposition(amqp::DispositionReceived& disposition, TimePoint now) override;
  std::optional<amqp::Error> obsolete() const override;

 private:
  void send_waiting();

  const std::string target_;
  const bool settled_;
  std::uint64_t last_tag_ = 0;
  std::deque<std::string> waiting_;
};

// The client sends requests to a node on this one.
class RequestLink final : public Link {
 public:
  static void attach(AmqpConnection& connection, amqp::LinkAttached& attached,
                     broker::Address address);
  using Link::Link;
  ~RequestLink() override;

  void on_message(const amqp::MessageReceived& message, TimePoint now) override;
  void on_too_large(const amqp::MessageTooLarge& message) override;
  void go_on(TimePoint now) override;
  void top_up() override;
  std::optional<amqp::Error> obsolete() const override;

 private:
  struct Held {
    Request request{};
    std::size_t bytes = 0;
  };
  RequestLoad& load() const;
  void serve_held(TimePoint now);
  void put_token(const Request& request, TimePoint now);
  void manage(const Held& held, TimePoint now);
  void answer(std::string_view reply_to, std::string message);

  std::deque<Held> held_;
};

// Whether a node of the entity is still there; nothing for $cbs.
std::optional<amqp::Error> node_gone(AmqpConnection& connection, const broker::Address& address);

}  // namespace jobmill::front
