// SPDX-License-Identifier: Apache-2.0
#include "api/message_wait.h"

#include <doctest/doctest.h>

#include <array>
#include <chrono>

#include "api/message_json.h"
#include "service_bus_rig.h"

namespace jobmill::api {
namespace {

using namespace std::chrono_literals;
using Deliveries = std::vector<broker::Delivery>;

struct Rig : testing::ServiceBusRig {
  Rig() {
    make({.name = "orders"});
    make({.name = "sessions", .requires_session = true});
  }

  void send(const char* json, const char* queue = "orders") {
    std::vector<FieldError> errors;
    const std::string bytes = read_message_json(*parse_json(json), errors);
    const std::array<std::string_view, 1> one{bytes};
    broker().send({.path = queue}, one, clock.now(), [](const Status& sent) { CHECK(sent); });
    settle();
  }

  // Begins to receive; the result comes into `got`, and the sink is told that it did.
  std::shared_ptr<testing::AskedSink> receive(MessageWish wish) {
    got.reset();
    return begin([&](const http::Responder& responder) {
      receive_messages(broker(), loop, clock, std::move(wish), responder,
                       [this, responder](Result<Deliveries> deliveries) {
                         got = std::move(deliveries);
                         responder.send({});
                       });
    });
  }
  std::int64_t active(const char* queue = "orders") { return broker().queue(queue)->counts.active; }

  std::optional<Result<Deliveries>> got;
};

TEST_CASE("message wait: takes what there is, and does not wait for more") {
  Rig rig;
  for (int i = 0; i < 3; ++i) rig.send(R"({"body": "x"})");
  const auto sink = rig.receive({.address = {.path = "orders"}, .count = 5, .wait = 1h});
  for (int i = 0; i < 3; ++i) rig.settle();
  REQUIRE(rig.got);
  REQUIRE(*rig.got);
  CHECK((*rig.got)->size() == 3);
  CHECK((**rig.got)[0].lock != 0);
}

TEST_CASE("message wait: no more than wished") {
  Rig rig;
  for (int i = 0; i < 3; ++i) rig.send(R"({"body": "x"})");
  const auto sink = rig.receive(
      {.address = {.path = "orders"}, .mode = broker::ReceiveMode::ReceiveAndDelete, .count = 2});
  for (int i = 0; i < 3; ++i) rig.settle();
  REQUIRE(rig.got);
  CHECK((*rig.got)->size() == 2);
  CHECK(rig.active() == 1);
}

TEST_CASE("message wait: an empty queue answers at once, or when the time is up") {
  Rig rig;
  const auto at_once = rig.receive({.address = {.path = "orders"}});
  for (int i = 0; i < 3; ++i) rig.settle();
  REQUIRE(rig.got);
  CHECK((*rig.got)->empty());

  const auto begun = std::chrono::steady_clock::now();
  const auto late = rig.receive({.address = {.path = "orders"}, .wait = 20ms});
  rig.wait_for(*late);
  CHECK(std::chrono::steady_clock::now() - begun >= 20ms);
  REQUIRE(rig.got);
  CHECK((*rig.got)->empty());
}

TEST_CASE("message wait: a message that comes meanwhile ends the wait") {
  Rig rig;
  const auto sink = rig.receive({.address = {.path = "orders"}, .wait = 1h});
  rig.settle();
  CHECK_FALSE(rig.got);
  rig.send(R"({"body": "x"})");
  for (int i = 0; i < 3; ++i) rig.settle();
  REQUIRE(rig.got);
  CHECK((*rig.got)->size() == 1);
}

TEST_CASE("message wait: a client that goes leaves nothing locked") {
  Rig rig;
  const auto waiting = rig.receive({.address = {.path = "orders"}, .wait = 1h});
  rig.settle();
  waiting->gone();
  rig.settle();
  rig.send(R"({"body": "x"})");
  for (int i = 0; i < 3; ++i) rig.settle();
  CHECK_FALSE(rig.got);
  CHECK(rig.broker().queue("orders")->counts.locked == 0);
}

TEST_CASE("message wait: of one session") {
  Rig rig;
  rig.send(R"({"body": "x", "sessionId": "a"})", "sessions");
  rig.send(R"({"body": "y", "sessionId": "b"})", "sessions");
  const auto sink = rig.receive({.address = {.path = "sessions"},
                                 .mode = broker::ReceiveMode::ReceiveAndDelete,
                                 .session = "b",
                                 .count = 5});
  for (int i = 0; i < 4; ++i) rig.settle();
  REQUIRE(rig.got);
  REQUIRE_MESSAGE(*rig.got, (*rig.got ? "" : rig.got->error().message));
  REQUIRE((*rig.got)->size() == 1);
  CHECK((**rig.got)[0].message->session_id == "b");
}

TEST_CASE("message wait: what cannot be received from is said") {
  Rig rig;
  const auto without = rig.receive({.address = {.path = "sessions"}});
  for (int i = 0; i < 3; ++i) rig.settle();
  REQUIRE(rig.got);
  CHECK(rig.got->error().code == Code::Unsupported);

  const auto waiting = rig.receive({.address = {.path = "orders"}, .wait = 1h});
  rig.settle();
  rig.broker().remove("orders", [](const Status& status) { CHECK(status); });
  for (int i = 0; i < 3; ++i) rig.settle();
  REQUIRE(rig.got);
  CHECK(rig.got->error().code == Code::NotFound);
}

}  // namespace
}  // namespace jobmill::api
