// SPDX-License-Identifier: Apache-2.0
#include "amqp/connection.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "amqp/frame.h"
#include "amqp_endpoint.h"

using namespace jobmill;
using namespace jobmill::amqp;
using namespace std::chrono_literals;

namespace {

ConnectionOptions server_options() { return {.container_id = "broker"}; }

ConnectionOptions client_options() {
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

std::string header(Protocol protocol) { return std::string(protocol_header(protocol)); }

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

Written read_frames(std::string_view bytes) {
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

const Rejected kNoRoom{Error{.condition = "amqp:resource-limit-exceeded", .description = "full"}};

}  // namespace

// --- opening -----------------------------------------------------------------------------------

TEST_CASE("connection: a client logs in, opens and begins") {
  Endpoint server(server_options());
  Endpoint client(client_options());
  client.connection.open();
  const SessionId session = client.connection.begin();
  converse(client, server);

  CHECK(server.transcript() ==
        "login ANONYMOUS  \n"
        "opened client 65536\n"
        "begun 1\n");
  CHECK(client.transcript() == "opened broker 65536\nbegun " + std::to_string(session) + "\n");
  CHECK(client.connection.peer().idle_time_out == 240'000);
  CHECK_FALSE(client.connection.peer().properties.empty());
}

TEST_CASE("connection: messages go both ways and are settled") {
  Pair pair;
  const auto to = pair.sender();
  const auto from = pair.receiver();
  pair.server.connection.grant(to.server, 10);
  pair.client.connection.grant(from.client, 10);
  pair.run();

  REQUIRE(pair.client.connection.send(to.client, {.tag = "t1", .cookie = 7}, {"hel", "lo"}));
  pair.run();
  const auto sent = pair.server.take<MessageReceived>();
  REQUIRE(sent);
  CHECK(sent->bytes == "hello");
  CHECK(sent->tag == "t1");
  CHECK(pair.server.connection.granted(to.server) == 9);
  pair.server.connection.settle(sent->link, sent->delivery, Accepted{});
  pair.run();
  const auto outcome = pair.client.take<DispositionReceived>();
  REQUIRE(outcome);
  CHECK(outcome->cookie == 7);
  CHECK(outcome->settled);

  REQUIRE(pair.server.connection.send(from.server, {.tag = "t2", .cookie = 8}, {"world"}));
  pair.run();
  const auto received = pair.client.take<MessageReceived>();
  REQUIRE(received);
  CHECK(received->bytes == "world");
  pair.client.connection.propose(received->link, received->delivery, Accepted{});
  pair.run();
  const auto proposal = pair.server.take<DispositionReceived>();
  REQUIRE(proposal);
  CHECK(proposal->cookie == 8);
  CHECK_FALSE(proposal->settled);
  pair.server.connection.settle(proposal->link, proposal->delivery, Accepted{});
  pair.run();
  const auto end = pair.client.take<DispositionReceived>();
  REQUIRE(end);
  CHECK_FALSE(end->we_sent);
  CHECK(end->settled);
}
