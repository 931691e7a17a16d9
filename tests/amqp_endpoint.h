// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "amqp/connection.h"

namespace jobmill::amqp {

// What an event says, in one line; equal for equal events.
inline std::string describe(const Event& event) {
  const auto number = [](auto n) { return ' ' + std::to_string(n); };
  const auto error = [](const std::optional<Error>& e) {
    return e ? " (" + e->condition + ": " + e->description + ')' : std::string();
  };
  const auto state = [](const std::optional<DeliveryState>& s) {
    return s ? " state" + std::to_string(s->index()) : std::string();
  };
  return std::visit(
      [&](const auto& e) -> std::string {
        using T = std::decay_t<decltype(e)>;
        if constexpr (std::is_same_v<T, SaslLogin>) {
          return "login " + e.mechanism + ' ' + e.user + ' ' + e.password.reveal();
        } else if constexpr (std::is_same_v<T, Opened>) {
          return "opened " + e.open.container_id + number(e.open.max_frame_size);
        } else if constexpr (std::is_same_v<T, SessionBegun>) {
          return "begun" + number(e.session);
        } else if constexpr (std::is_same_v<T, LinkAttached>) {
          return "attached" + number(e.link) + number(e.session) + (e.ours ? " ours " : " ") +
                 e.attach.name + number(static_cast<int>(e.attach.role)) +
                 number(e.attach.target.index()) + (e.attach.source ? " source" : "");
        } else if constexpr (std::is_same_v<T, CreditGiven>) {
          return "credit" + number(e.link) + number(e.credit) + (e.drain ? " drain" : "") +
                 (e.echo ? " echo" : "");
        } else if constexpr (std::is_same_v<T, MessageReceived>) {
          return "message" + number(e.link) + number(e.delivery) + number(e.message_format) +
                 (e.settled ? " settled " : " ") + std::string(e.tag) + ' ' + std::string(e.bytes) +
                 state(e.state);
        } else if constexpr (std::is_same_v<T, MessageTooLarge>) {
          return "too large" + number(e.link) + number(e.delivery);
        } else if constexpr (std::is_same_v<T, DispositionReceived>) {
          return "disposition" + number(e.session) + number(e.link) + number(e.delivery) +
                 number(e.cookie) + (e.we_sent ? " of ours" : "") + (e.settled ? " settled" : "") +
                 state(e.state);
        } else if constexpr (std::is_same_v<T, LinkDetached>) {
          return "detached" + number(e.link) + (e.closed ? " closed" : "") + error(e.error);
        } else if constexpr (std::is_same_v<T, SessionEnded>) {
          return "ended" + number(e.session) + error(e.error);
        } else {
          return std::string("closed") + (e.protocol_error ? " by us" : "") + error(e.error);
        }
      },
      event);
}

// A connection with the simplest owner: takes every login and link, keeps what happened.
class Endpoint {
 public:
  explicit Endpoint(ConnectionOptions options) : connection(std::move(options)) {}

  Connection connection;
  SaslCode outcome = SaslCode::Ok;
  bool accepts = true;
  std::uint32_t grants = 0;                  // on links that we receive on
  std::uint64_t max_message_size = 0;        // said with accept()
  std::function<void(const Event&)> also{};  // after the above
  std::deque<Event> events{};

  void hear(std::string_view bytes) {
    connection.feed(bytes);
    take_events();
  }

  void take_events() {
    while (auto event = connection.next_event()) {
      keep_views(*event);
      react(*event);
      if (also) also(*event);
      events.push_back(*std::move(event));
    }
  }

  // The first event of that kind that was not taken.
  template <class T>
  std::optional<T> take() {
    for (auto it = events.begin(); it != events.end(); ++it) {
      if (auto* found = std::get_if<T>(&*it)) {
        std::optional<T> taken(std::move(*found));
        events.erase(it);
        return taken;
      }
    }
    return std::nullopt;
  }

  std::string transcript() const {
    std::string text;
    for (const Event& event : events) text += describe(event) + '\n';
    return text;
  }

 private:
  void keep_views(Event& event) {
    auto* message = std::get_if<MessageReceived>(&event);
    if (message == nullptr) return;
    message->tag = texts_.emplace_back(message->tag);
    message->bytes = texts_.emplace_back(message->bytes);
  }

  void react(const Event& event) {
    if (std::holds_alternative<SaslLogin>(event)) connection.sasl_outcome(outcome);
    const auto* attached = std::get_if<LinkAttached>(&event);
    if (attached == nullptr) return;
    if (!attached->ours && accepts) {
      Attach answer = attached->attach;
      answer.max_message_size = max_message_size;
      connection.accept(attached->link, std::move(answer));
    }
    const bool receives = attached->attach.role == Role::Sender;
    if (receives && grants > 0) connection.grant(attached->link, grants);
  }

  std::deque<std::string> texts_;
};

// Carries bytes both ways until both are quiet.
inline void converse(Endpoint& a, Endpoint& b) {
  for (bool quiet = false; !quiet;) {
    const std::string from_a = a.connection.take_output();
    b.hear(from_a);
    const std::string from_b = b.connection.take_output();
    a.hear(from_b);
    quiet = from_a.empty() && from_b.empty();
  }
}

}  // namespace jobmill::amqp
