// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "amqp/connection.h"
#include "amqp/frame.h"
#include "amqp/performatives.h"
#include "amqp_endpoint.h"

namespace jobmill::amqp {

inline ConnectionOptions server_options() { return {.container_id = "broker"}; }

inline ConnectionOptions client_options() {
  return {.side = ConnectionOptions::Side::Client,
          .container_id = "client",
          .hostname = "localhost",
          .login = ConnectionOptions::Login{}};
}

// A client and a server that are open, with a session.
struct Pair {
  explicit Pair(ConnectionOptions at_server = server_options(),
                ConnectionOptions at_client = client_options())
      : server(std::move(at_server)), client(std::move(at_client)) {
    client.connection.open();
    session = client.connection.begin();
    run();
    server.events.clear();
    client.events.clear();
  }

  void run() { converse(client, server); }

  // The client's and the server's id of a new link.
  struct Ends {
    LinkId client = 0;
    LinkId server = 0;
  };
  Ends sender(std::string name = "to-queue") {
    return link({.name = std::move(name),
                 .role = Role::Sender,
                 .source = Source{},
                 .target = Target{.address = "queue"}});
  }
  Ends receiver(std::string name = "from-queue",
                ReceiverSettleMode mode = ReceiverSettleMode::Second) {
    return link({.name = std::move(name),
                 .role = Role::Receiver,
                 .receiver_settle_mode = mode,
                 .source = Source{.address = "queue"},
                 .target = Target{}});
  }
  Ends link(Attach attach) {
    Ends ends{.client = client.connection.attach(session, std::move(attach))};
    run();
    ends.server = server.take<LinkAttached>().value_or(LinkAttached{}).link;
    client.events.clear();
    return ends;
  }

  Endpoint server;
  Endpoint client;
  SessionId session = 0;
};

// --- a peer whose frames are written by hand ---

inline std::string header(Protocol protocol) { return std::string(protocol_header(protocol)); }

template <class Body>
std::string frame(const Body& body, std::uint16_t channel = 0, std::string_view payload = {},
                  Protocol type = Protocol::Amqp) {
  std::string out;
  const std::size_t at = begin_frame(out, type, channel);
  encode(out, body);
  out.append(payload);
  end_frame(out, at);
  return out;
}

template <class Body>
std::string sasl(const Body& body) {
  return frame(body, 0, {}, Protocol::Sasl);
}

// What an endpoint has written, as names of frames with what matters in them.
struct Written {
  std::vector<Performative> bodies;
  std::vector<std::uint16_t> channels;
  std::deque<std::string> bytes;
  template <class T>
  const T& at(std::size_t i) const {
    REQUIRE(i < bodies.size());
    REQUIRE(std::holds_alternative<T>(bodies[i]));
    return std::get<T>(bodies[i]);
  }
};

inline Written read_frames(std::string_view bytes) {
  Written written;
  while (!bytes.empty()) {
    const auto head = read_frame(bytes, 0xffffffff);
    REQUIRE(head);
    REQUIRE(*head);
    written.bytes.emplace_back((*head)->body);
    bytes.remove_prefix((*head)->size);
    if ((*head)->body.empty()) continue;
    const auto body = decode_performative(written.bytes.back());
    REQUIRE(body);
    written.bodies.push_back(*body);
    written.channels.push_back((*head)->channel);
  }
  return written;
}

// A server that has been opened by hand, without SASL.
struct Handmade {
  explicit Handmade(ConnectionOptions options = server_options(), Open open = {.container_id = "x"})
      : server(std::move(options)) {
    server.hear(header(Protocol::Amqp) + frame(open));
    (void)server.connection.take_output();  // our open; other tests look at it
    server.events.clear();
  }
  Written say(const std::string& bytes) {
    server.hear(bytes);
    return read_frames(server.connection.take_output());
  }
  // The session on channel 3 with a window for us.
  void begin(std::uint32_t window = 1000, std::uint32_t first_id = 0) {
    (void)say(frame(Begin{.next_outgoing_id = first_id, .incoming_window = window}, 3));
    server.events.clear();
  }
  LinkId attach(Role role, std::uint32_t handle = 0, std::string name = "link") {
    (void)say(frame(Attach{.name = std::move(name),
                           .handle = handle,
                           .role = role,
                           .source = Source{},
                           .target = Target{},
                           .initial_delivery_count = 0},
                    3));
    return server.take<LinkAttached>().value_or(LinkAttached{}).link;
  }

  Endpoint server;
};

}  // namespace jobmill::amqp
