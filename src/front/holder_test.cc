// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "front/amqp_server.h"
#include "front/front_rig.h"
#include "front/request.h"

namespace jobmill::front {
namespace {

using namespace std::chrono_literals;
using broker::MessageEvent;

constexpr const char* kPeer = "127.0.0.1:40312";

// The replicas that run, as the server's owner knows them.
struct Replicas {
  std::map<std::string, TimePoint, std::less<>> running{};
  std::map<std::string, std::string, std::less<>> by_peer{};
  std::vector<std::string> asked{};  // peers

  std::optional<broker::Holder> named(std::string_view name) const {
    const auto at = running.find(name);
    if (at == running.end()) return std::nullopt;
    return broker::Holder{.name = at->first, .until = at->second};
  }
  std::optional<broker::Holder> at(const std::string& peer) {
    asked.push_back(peer);
    const auto found = by_peer.find(peer);
    return found == by_peer.end() ? std::nullopt : named(found->second);
  }
  AmqpOptions options(AmqpOptions::Auth auth) {
    AmqpOptions options;
    options.auth = auth;
    options.holder_named = [this](std::string_view name) { return named(name); };
    options.holder_at = [this](const std::string& peer) { return at(peer); };
    options.verify_jwt = [](std::string_view, std::string_view entity,
                            TimePoint now) -> Result<broker::Claim> {
      return broker::Claim{.path = std::string(entity),
                           .rights = {static_cast<std::uint8_t>(broker::Right::Manage)},
                           .expires_at = now + 1h,
                           .holder = "replica-1"};
    };
    return options;
  }
};

struct World {
  explicit World(AmqpOptions::Auth auth = AmqpOptions::Auth::None)
      : rig(replicas.options(auth)), deadline(rig.clock.now() + 1h) {
    rig.broker->watch("queue1", true);
    rig.broker->on_message([this](const MessageEvent& event) { events.push_back(event); });
    replicas.running["replica-1"] = deadline;
    replicas.by_peer[kPeer] = "replica-1";
  }

  void send(std::string body) {
    const std::string text = FrontClient::message(body);
    const std::string_view view = text;
    std::optional<bool> sent;
    rig.broker->send({.path = "queue1"}, std::span(&view, 1), rig.clock.now(),
                     [&](const Status& status) { sent = static_cast<bool>(status); });
    rig.run_loop();
    REQUIRE(sent == true);
  }
  // Who took the last message.
  std::string taker() const {
    REQUIRE_FALSE(events.empty());
    return events.back().holder;
  }
  std::int64_t locked() const { return rig.counts().locked; }

  Replicas replicas{};
  FrontRig rig;
  std::vector<MessageEvent> events{};
  TimePoint deadline;
};

struct Consumer {
  explicit Consumer(World& given, const std::string& peer = kPeer)
      : world(given), client(given.rig, {.container = peer, .peer = peer}) {}

  void show_token() {
    const auto request = client.attach(client.sender("$cbs", "$cbs"));
    const auto answers = client.attach(client.receiver("$cbs", "$cbs"));
    client.pump();
    client.end.connection.grant(answers, 10);
    amqp::Map properties;
    amqp::set_string(properties, "operation", "put-token");
    amqp::set_string(properties, "type", "jwt");
    amqp::set_string(properties, "name", "sb://localhost/queue1");
    std::string text;
    amqp::encode_map_section(text, amqp::kApplicationProperties, properties);
    amqp::encode_value_section(text, amqp::Value("a.b.c"));
    client.send(request, text, 0, true);
    REQUIRE(client.take<amqp::MessageReceived>());
  }
  FrontClient::Message receive() {
    if (link == 0) link = client.attach(client.receiver("queue1"));
    client.pump();
    client.end.connection.grant(link, 1);
    auto message = client.receive();
    REQUIRE(message);
    return *std::move(message);
  }

  World& world;
  FrontClient client;
  amqp::LinkId link = 0;
};

TimePoint locked_until(const FrontClient::Message& message) {
  const auto* value = amqp::find(message.annotations, "x-opt-locked-until");
  REQUIRE(value != nullptr);
  return TimePoint(std::chrono::milliseconds(value->as<amqp::Timestamp>()->ms));
}

}  // namespace

TEST_CASE("holder: a replica that connects from this machine holds what it receives") {
  World world;
  world.send("a");
  world.send("b");
  Consumer consumer(world);
  const auto first = consumer.receive();
  CHECK(locked_until(first) == world.deadline);
  CHECK(world.taker() == "replica-1");
  consumer.receive();
  CHECK(world.replicas.asked == std::vector<std::string>{kPeer});  // once for a connection
  world.rig.advance(30min);
  CHECK(world.locked() == 2);
}

TEST_CASE("holder: others hold nothing") {
  World world;
  world.send("a");
  for (const char* peer : {"127.0.0.1:40313", "10.0.0.7:40312"}) {
    CAPTURE(peer);
    Consumer consumer(world, peer);
    const auto message = consumer.receive();
    CHECK(world.taker().empty());
    CHECK(locked_until(message) == world.rig.clock.now() + 1min);
    consumer.client.propose(consumer.link, message, amqp::Released{});
    consumer.client.pump();
  }
  CHECK(world.replicas.asked == std::vector<std::string>{"127.0.0.1:40313"});  // no remote ones
}

TEST_CASE("holder: a token that names a replica counts, wherever it comes from") {
  World world(AmqpOptions::Auth::Strict);
  world.send("a");
  Consumer consumer(world, "10.0.0.7:40312");
  consumer.show_token();
  CHECK(locked_until(consumer.receive()) == world.deadline);
  CHECK(world.taker() == "replica-1");
}

TEST_CASE("holder: a replica that does not run any more holds nothing") {
  World world(AmqpOptions::Auth::Strict);
  world.send("a");
  Consumer consumer(world);
  consumer.show_token();
  world.replicas.running.clear();
  CHECK(locked_until(consumer.receive()) == world.rig.clock.now() + 1min);
  CHECK(world.taker().empty());
}

TEST_CASE("holder: when its connections have ended, its locks can be ended") {
  World world;
  world.send("a");
  world.send("b");
  Consumer consumer(world);
  Consumer other(world, "127.0.0.1:40313");
  const auto message = consumer.receive();
  other.receive();
  consumer.client.end.connection.propose(consumer.link, message.delivery, amqp::Accepted{});
  const std::string last_words = consumer.client.end.connection.take_output();

  std::stop_source stop;
  bool finished = false;
  world.rig.server.finish_holder("replica-1", [&] {
    finished = true;
    stop.request_stop();
  });
  CHECK_FALSE(finished);
  consumer.client.stream->say(last_words);  // was still in the kernel
  consumer.client.stream->end();
  CHECK_FALSE(finished);  // never from within the turn
  world.rig.loop.run(stop.get_token());
  CHECK(finished);
  CHECK(world.rig.server.connections() == 1);

  world.rig.broker->end_holder("replica-1", true, world.rig.clock.now());
  world.rig.run_loop();
  CHECK(world.rig.counts() == broker::Counts{.active = 1, .locked = 1});  // completed; the other's
  CHECK(world.events.back().outcome == broker::Outcome::Completed);
}

TEST_CASE("holder: who never had a connection is finished at once, who keeps one open, soon") {
  World world;
  world.send("a");
  bool finished = false;
  world.rig.server.finish_holder("replica-1", [&] { finished = true; });
  CHECK(finished);

  Consumer consumer(world);
  consumer.receive();
  std::stop_source stop;
  world.rig.server.finish_holder("replica-1", [&] { stop.request_stop(); });
  world.rig.loop.run(stop.get_token());  // ends by the clock
  CHECK(world.rig.server.connections() == 1);
}

TEST_CASE("holder: a server that ends does not wait for anybody") {
  auto world = std::make_unique<World>();
  world->send("a");
  Consumer consumer(*world);
  consumer.receive();
  bool finished = false;
  world->rig.server.finish_holder("replica-1", [&] { finished = true; });
  consumer.client.stream = nullptr;
  world.reset();
  CHECK_FALSE(finished);
}

}  // namespace jobmill::front
