// SPDX-License-Identifier: Apache-2.0
// What a connection does with peers that break the rules, fall silent, or send noise.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "amqp/connection.h"
#include "amqp_fixture.h"

using namespace jobmill;
using namespace jobmill::amqp;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

// The frames close the connection, with this condition on the wire and in the event.
void check_closes(Handmade& hand, const std::string& bytes, std::string_view condition) {
  const Written written = hand.say(bytes);
  REQUIRE_FALSE(written.bodies.empty());
  REQUIRE(std::holds_alternative<Close>(written.bodies.back()));
  const auto& close = std::get<Close>(written.bodies.back());
  REQUIRE(close.error);
  CHECK(close.error->condition == condition);
  CHECK_FALSE(close.error->info.empty());
  REQUIRE_FALSE(hand.server.events.empty());
  const auto* closed = std::get_if<Closed>(&hand.server.events.back());
  REQUIRE(closed != nullptr);
  CHECK(closed->protocol_error);
  CHECK(closed->error->condition == condition);
  CHECK(hand.say(bytes).bodies.empty());  // nothing comes after it
}

void check_ends_session(Handmade& hand, const std::string& bytes, std::string_view condition) {
  const Written written = hand.say(bytes);
  REQUIRE_FALSE(written.bodies.empty());
  REQUIRE(std::holds_alternative<End>(written.bodies.back()));
  CHECK(std::get<End>(written.bodies.back()).error->condition == condition);
  const auto ended = hand.server.take<SessionEnded>();
  REQUIRE(ended);
  CHECK(ended->error->condition == condition);
  // What was on its way is dropped; the connection and the channel live on.
  CHECK(hand.say(bytes + frame(End{}, 3)).bodies.empty());
  hand.begin();
  CHECK(hand.attach(Role::Sender) != 0);
}

std::string any_frame(std::string_view body, char type = 0) {
  std::string out;
  const std::size_t at = begin_frame(out, type == 0 ? Protocol::Amqp : Protocol::Sasl, 3);
  out += body;
  end_frame(out, at);
  return out;
}

Attach attach_of(std::string name, std::uint32_t handle) {
  return {.name = std::move(name),
          .handle = handle,
          .role = Role::Sender,
          .source = Source{},
          .target = Target{},
          .initial_delivery_count = 0};
}

}  // namespace

// --- breaches ----------------------------------------------------------------------------------

TEST_CASE("rules: frames that are none close the connection") {
  const auto closes = [](const std::string& bytes, std::string_view condition) {
    CAPTURE(condition);
    Handmade hand;
    hand.begin();
    check_closes(hand, bytes, condition);
  };
  closes(std::string("\x00\x10\x00\x00\x02\x00\x00\x00"sv), "amqp:connection:framing-error");
  closes(std::string("\x00\x00\x00\x08\x01\x00\x00\x00"sv), "amqp:connection:framing-error");
  closes(any_frame("\x00\x53\x44\x45"sv, 1), "amqp:connection:framing-error");
  closes(any_frame("noise"), "amqp:decode-error");
  closes(any_frame("\x00\x53\x70\x45"sv), "amqp:decode-error");  // a section
  closes(frame(Open{}), "amqp:not-allowed");
  closes(frame(Begin{}, 3), "amqp:not-allowed");                     // its channel is taken
  closes(frame(Begin{.remote_channel = 9}, 4), "amqp:not-allowed");  // answers nothing
  closes(frame(attach_of("a", 0), 9), "amqp:not-allowed");           // no such session
  closes(frame(End{}, 9), "amqp:not-allowed");
  closes(frame(attach_of("a", 8192), 3), "amqp:connection:framing-error");
  closes(frame(Disposition{.role = Role::Receiver, .first = 5, .last = 4}, 3),
         "amqp:invalid-field");
}

TEST_CASE("rules: links may be detached after their session has ended, as Python does") {
  Handmade hand;
  hand.begin();
  REQUIRE(hand.attach(Role::Sender) != 0);
  const Written written = hand.say(frame(End{}, 3) + frame(Detach{.handle = 0}, 3));
  REQUIRE(written.bodies.size() == 1);
  CHECK(std::holds_alternative<End>(written.bodies[0]));
  hand.begin();
  CHECK(hand.attach(Role::Sender) != 0);
}

TEST_CASE("rules: transfers that cannot be close the connection") {
  const auto closes = [](const std::vector<Transfer>& transfers, std::string_view condition) {
    Handmade hand;
    hand.begin();
    hand.server.connection.grant(hand.attach(Role::Sender), 10);
    std::string bytes;
    for (const Transfer& transfer : transfers) bytes += frame(transfer, 3, "m");
    check_closes(hand, bytes, condition);
  };
  const std::string long_tag(33, 't');
  closes({{.delivery_tag = "no id"}}, "amqp:not-allowed");
  closes({{.delivery_id = 0, .delivery_tag = long_tag}}, "amqp:invalid-field");
  closes({{.delivery_id = 0, .delivery_tag = "t", .more = true}, {.delivery_id = 1}},
         "amqp:not-allowed");
}

TEST_CASE("rules: limits of channels and sessions") {
  auto options = server_options();
  options.channel_max = 10;
  options.max_sessions = 2;
  Handmade high(options);
  check_closes(high, frame(Begin{}, 11), "amqp:connection:framing-error");
  Handmade many(options);
  check_closes(many, frame(Begin{}, 1) + frame(Begin{}, 2) + frame(Begin{}, 3),
               "amqp:resource-limit-exceeded");
  Handmade narrow(options, {.container_id = "x", .channel_max = 0});
  check_closes(narrow, frame(Begin{}, 1) + frame(Begin{}, 2), "amqp:resource-limit-exceeded");
}

TEST_CASE("rules: breaches of a session end the session") {
  const auto ends = [](const std::string& bytes, std::string_view condition, Role role) {
    CAPTURE(condition);
    auto options = server_options();
    options.max_links = 2;
    Handmade hand(options);
    hand.begin();
    hand.server.connection.grant(hand.attach(role), 10);
    (void)hand.server.connection.take_output();
    check_ends_session(hand, bytes, condition);
  };
  const Transfer transfer{.handle = 0, .delivery_id = 0, .delivery_tag = "t"};
  ends(frame(attach_of("other", 0), 3), "amqp:session:handle-in-use", Role::Sender);
  ends(frame(Flow{.handle = 7, .link_credit = 1}, 3), "amqp:session:unattached-handle",
       Role::Sender);
  ends(frame(Detach{.handle = 7}, 3), "amqp:session:unattached-handle", Role::Sender);
  ends(frame(Transfer{.handle = 7, .delivery_id = 0}, 3), "amqp:session:unattached-handle",
       Role::Sender);
  ends(frame(transfer, 3), "amqp:session:errant-link", Role::Receiver);
  ends(frame(attach_of("b", 1), 3) + frame(attach_of("c", 2), 3), "amqp:resource-limit-exceeded",
       Role::Sender);
}

TEST_CASE("rules: links go with their session, and are told before") {
  Handmade hand;
  hand.begin();
  const LinkId link = hand.attach(Role::Sender);
  (void)hand.say(frame(End{.error = Error{.condition = "amqp:internal-error"}}, 3));
  REQUIRE(hand.server.events.size() == 2);
  CHECK(std::get<LinkDetached>(hand.server.events[0]).link == link);
  CHECK(std::get<SessionEnded>(hand.server.events[1]).error->condition == "amqp:internal-error");
  hand.server.connection.grant(link, 5);
  CHECK(hand.server.connection.output_size() == 0);
}

TEST_CASE("rules: our end is answered") {
  Pair pair;
  const auto link = pair.sender();
  pair.client.connection.end(pair.session);
  pair.run();
  CHECK(pair.server.take<LinkDetached>().value_or(LinkDetached{}).link == link.server);
  CHECK(pair.server.take<SessionEnded>());
  CHECK(pair.client.take<SessionEnded>().value_or(SessionEnded{}).session == pair.session);
  CHECK(pair.client.connection.attach(pair.session, {.name = "late"}) == 0);
}

TEST_CASE("rules: a close is answered with a close") {
  Pair pair;
  pair.server.connection.close(Error{.condition = "amqp:connection:forced"});
  CHECK(pair.server.connection.begin() == 0);
  pair.run();
  const auto at_client = pair.client.take<Closed>();
  REQUIRE(at_client);
  CHECK(at_client->error->condition == "amqp:connection:forced");
  CHECK_FALSE(at_client->protocol_error);
  const auto at_server = pair.server.take<Closed>();
  REQUIRE(at_server);
  CHECK_FALSE(at_server->error);
}

TEST_CASE("rules: frames of a peer that allows too little") {
  Handmade small(server_options(), {.container_id = "x", .max_frame_size = 512});
  small.begin();
  small.server.accepts = false;
  const LinkId link = small.attach(Role::Receiver);
  Attach answer;
  set_symbol(answer.properties, "long", std::string(600, 'x'));
  small.server.connection.accept(link, answer);
  const Written written = read_frames(small.server.connection.take_output());
  CHECK(written.at<Close>(0).error->condition == "amqp:frame-size-too-small");

  Handmade wordy(server_options(), {.container_id = "x", .max_frame_size = 512});
  wordy.server.connection.close(
      Error{.condition = "amqp:connection:forced", .description = std::string(600, 'x')});
  const Written close = read_frames(wordy.server.connection.take_output());
  CHECK(close.at<Close>(0).error->condition == "amqp:connection:forced");

  Endpoint server(server_options());
  server.hear(header(Protocol::Amqp) + frame(Open{.container_id = "x", .max_frame_size = 511}));
  CHECK(server.take<Closed>().value_or(Closed{}).error->condition == "amqp:invalid-field");
}

// --- time --------------------------------------------------------------------------------------

TEST_CASE("time: a peer that is silent for longer than we said is closed") {
  const TimePoint start = ManualClock().now();
  auto options = server_options();
  options.idle_timeout = 10s;
  Handmade hand(options);
  auto due = hand.server.connection.tick(start);
  REQUIRE(due);
  for (int i = 1; i <= 20; ++i) {  // empty frames keep it alive
    hand.server.hear(any_frame(""));
    CHECK(*due <= start + 10s * i);
    due = hand.server.connection.tick(start + 9s * i);
    REQUIRE(due);
  }
  while (due && *due < start + 180s + 10s) due = hand.server.connection.tick(*due);
  REQUIRE(due);
  CHECK(*due == start + 190s);
  CHECK_FALSE(hand.server.connection.tick(*due));
  hand.server.take_events();
  const auto closed = hand.server.take<Closed>();
  REQUIRE(closed);
  CHECK(closed->error->condition == "amqp:resource-limit-exceeded");
  const Written written = read_frames(hand.server.connection.take_output());
  CHECK(written.at<Close>(0).error->condition == "amqp:resource-limit-exceeded");
}

TEST_CASE("time: a peer that never says anything is closed too") {
  const TimePoint start = ManualClock().now();
  Endpoint server(server_options());
  REQUIRE(server.connection.tick(start));
  CHECK_FALSE(server.connection.tick(start + 240s));
  server.take_events();
  CHECK(server.take<Closed>());
  CHECK(server.connection.take_output().empty());
}

TEST_CASE("time: empty frames go at half of the peer's time-out") {
  const TimePoint start = ManualClock().now();
  auto options = server_options();
  options.idle_timeout.reset();
  Handmade hand(options, {.container_id = "x", .idle_time_out = 60'000});
  CHECK(hand.server.connection.tick(start) == start + 30s);
  CHECK(hand.server.connection.tick(start + 29s) == start + 30s);
  CHECK(hand.server.connection.output_size() == 0);
  CHECK(hand.server.connection.tick(start + 30s) == start + 60s);
  CHECK(hand.server.connection.take_output() == "\x00\x00\x00\x08\x02\x00\x00\x00"sv);
}

TEST_CASE("time: without time-outs there is nothing to wait for") {
  auto options = server_options();
  options.idle_timeout.reset();
  Handmade hand(options);
  CHECK_FALSE(hand.server.connection.tick(ManualClock().now()));
}

// --- any bytes ---------------------------------------------------------------------------------

namespace {

ConnectionOptions narrow_options() {
  auto options = server_options();
  options.incoming_window = 8;
  options.max_frame_size = 512;
  return options;
}

struct ReplayServer : Endpoint {
  ReplayServer() : Endpoint(narrow_options()) {
    grants = 1000;
    max_message_size = 3000;
  }
};

// What a client says in a long conversation.
std::string conversation() {
  auto options = client_options();
  options.max_frame_size = 512;
  ReplayServer server;
  Endpoint client(options);
  std::string said;
  const auto run = [&] {
    for (bool quiet = false; !quiet;) {
      const std::string bytes = client.connection.take_output();
      said += bytes;
      server.hear(bytes);
      const std::string answer = server.connection.take_output();
      client.hear(answer);
      quiet = bytes.empty() && answer.empty();
    }
  };
  client.connection.open();
  const SessionId session = client.connection.begin();
  const LinkId to = client.connection.attach(
      session, {.name = "to", .role = Role::Sender, .source = Source{}, .target = Target{}});
  const LinkId from = client.connection.attach(
      session, {.name = "from", .role = Role::Receiver, .source = Source{}, .target = Target{}});
  run();
  client.connection.grant(from, 5);
  for (const std::size_t size : {1u, 100u, 600u, 2000u, 4000u, 10u}) {
    client.connection.send(to, {.tag = "tag"}, {std::string(size, 'm')});
    run();
  }
  client.connection.settle(to, 1, Accepted{});
  client.connection.detach(to);
  client.connection.drain(from);
  run();
  client.connection.end(session);
  client.connection.close();
  run();
  return said;
}

// The events of these bytes.
std::string replay(std::string_view bytes, const std::vector<std::size_t>& pieces) {
  ReplayServer server;
  std::size_t next = 0;
  while (!bytes.empty()) {
    const std::size_t size = std::min(bytes.size(), pieces[next++ % pieces.size()]);
    server.hear(bytes.substr(0, size));
    bytes.remove_prefix(size);
    (void)server.connection.take_output();
  }
  return server.transcript();
}

}  // namespace

TEST_CASE("any bytes: every split gives the same events") {
  const std::string bytes = conversation();
  const std::string whole = replay(bytes, {bytes.size()});
  CHECK(whole.find("closed") != std::string::npos);
  CHECK(whole.find("too large") != std::string::npos);
  CHECK(replay(bytes, {1}) == whole);
  for (std::size_t at = 1; at < 600; ++at) CHECK(replay(bytes, {at, bytes.size()}) == whole);
  CHECK(rc::check("every split gives the same events", [&] {
    const auto pieces = *rc::gen::nonEmpty(
        rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(1, 700)));
    RC_ASSERT(replay(bytes, pieces) == whole);
  }));
}

TEST_CASE("any bytes: damage ends in a close, never in a crash") {
  const std::string bytes = conversation();
  for (std::size_t size = 0; size < bytes.size(); size += 5) {
    const std::string events = replay(std::string_view(bytes).substr(0, size), {size + 1});
    CHECK(events.find("closed by us") == std::string::npos);  // what is missing may still come
  }
  CHECK(rc::check("damage", [&] {
    std::string damaged = bytes;
    const int wounds = *rc::gen::inRange(1, 6);
    for (int i = 0; i < wounds; ++i) {
      const auto at = *rc::gen::inRange<std::size_t>(0, damaged.size());
      switch (*rc::gen::inRange(0, 4)) {
        case 0:
          damaged[at] = *rc::gen::arbitrary<char>();
          break;
        case 1:
          damaged[at] = static_cast<char>(damaged[at] ^ 1 << *rc::gen::inRange(0, 8));
          break;
        case 2:
          damaged.erase(at, *rc::gen::inRange<std::size_t>(1, 9));
          break;
        default:
          damaged.insert(at, damaged.substr(at / 2, *rc::gen::inRange<std::size_t>(1, 80)));
      }
    }
    RC_ASSERT(replay(damaged, {damaged.size()}) == replay(damaged, {1, 7}));
  }));
}
