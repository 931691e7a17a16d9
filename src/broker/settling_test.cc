// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "broker_bench.h"

namespace jobmill::broker {
namespace {

using namespace std::chrono_literals;
using testing::body_of;
using testing::BrokerBench;
using testing::code_of;
using testing::Hands;
using testing::property_of;
using Action = Settlement::Action;
using Bodies = BrokerBench::Bodies;

struct Bench : BrokerBench {
  explicit Bench(QueueDescription queue = {.name = "orders"}) { REQUIRE(create(queue)); }
  // A dead letter with this body.
  void bury(std::string body, Settlement settlement = {}) {
    REQUIRE(send("orders", {.body = std::move(body)}));
    settlement.action = Action::DeadLetter;
    REQUIRE(settle(must_take("orders").lock, std::move(settlement)));
  }
};

}  // namespace

TEST_CASE("settling: a completed message is gone, and stays gone after a crash") {
  Bench bench;
  REQUIRE(bench.send("orders", {.body = "a"}));
  const Delivery held = bench.must_take("orders");
  REQUIRE(bench.settle(held.lock, Action::Complete));
  CHECK(bench.counts("orders") == Counts{});
  CHECK(code_of(bench.settle(held.lock, Action::Complete)) == Code::Conflict);
  bench.crash();
  CHECK(bench.peek_bodies("orders").empty());
}

TEST_CASE(
    "settling: while an outcome is being written, the lock neither expires nor settles again") {
  Bench bench;
  REQUIRE(bench.send("orders", {.body = "a"}));
  const Delivery held = bench.must_take("orders");
  std::vector<std::string> outcomes;
  bench.broker->settle(held.lock, {}, bench.clock.now(), [&](const Status& status) {
    outcomes.push_back(status ? "first done" : "first lost");
  });
  bench.broker->settle(held.lock, {}, bench.clock.now(), [&](const Status& status) {
    outcomes.push_back(status ? "second done" : "second lost");
  });
  CHECK(code_of(bench.broker->renew(held.lock, bench.clock.now())) == Code::Conflict);
  bench.clock.advance(2min);
  bench.broker->tick(bench.clock.now());
  CHECK_FALSE(bench.take("orders"));
  CHECK(outcomes == Bodies{"second lost", "first done"});
}

TEST_CASE(
    "settling: an outcome that could not be written leaves the lock with the rest of its time") {
  for (const Action action :
       {Action::Complete, Action::Abandon, Action::Defer, Action::DeadLetter}) {
    CAPTURE(static_cast<int>(action));
    Bench bench;
    REQUIRE(bench.send("orders", {.body = "a"}));
    const Delivery held = bench.must_take("orders");
    bench.clock.advance(30s);
    bench.store.fail_writes(1);
    CHECK(code_of(bench.settle(held.lock, action)) == Code::Unavailable);
    CHECK(bench.counts("orders") == Counts{.active = 1, .locked = 1});
    bench.pass(29s);
    CHECK_FALSE(bench.take("orders"));
    bench.pass(1s);
    CHECK(bench.must_take("orders").message->delivery_count == 1);
  }
}

TEST_CASE("settling: a released message is back at once, without counting") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}}));
  const Delivery held = bench.must_take("orders");
  REQUIRE(bench.settle(held.lock, Action::Release));
  const Delivery again = bench.must_take("orders");
  CHECK(body_of(*again.message) == "a");
  CHECK(again.message->delivery_count == 0);
  CHECK(again.lock != held.lock);
  CHECK(again.token != held.token);
}

TEST_CASE("settling: an abandoned message returns to its own place and counts") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}}));
  REQUIRE(bench.settle(bench.must_take("orders").lock, Action::Abandon));
  bench.crash();
  const Delivery again = bench.must_take("orders");
  CHECK(body_of(*again.message) == "a");
  CHECK(again.message->delivery_count == 1);
}

TEST_CASE("settling: properties given with an outcome are set on the message") {
  Bench bench;
  amqp::Map sent;
  amqp::set_string(sent, "kept", "yes");
  amqp::set_string(sent, "changed", "old");
  REQUIRE(bench.send("orders", {.body = "a", .properties = sent}));
  Settlement settlement{.action = Action::Abandon};
  amqp::set_symbol(settlement.properties, "changed", "new");
  REQUIRE(bench.settle(bench.must_take("orders").lock, settlement));
  const Delivery again = bench.must_take("orders");
  CHECK(property_of(*again.message, "kept") == "yes");
  CHECK(property_of(*again.message, "changed") == "new");
  CHECK(body_of(*again.message) == "a");

  settlement.action = Action::Defer;
  settlement.properties.clear();
  amqp::set_string(settlement.properties, "deferred", "true");
  REQUIRE(bench.settle(again.lock, settlement));
  bench.crash();
  const auto stored = bench.peek("orders");
  REQUIRE(stored.size() == 1);
  CHECK(property_of(*stored[0], "deferred") == "true");
  CHECK(stored[0]->state == MessageState::Deferred);
  CHECK(stored[0]->delivery_count == 1);
}

TEST_CASE("settling: a lock that ran out counts, and the message returns to its place") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}}));
  const Delivery lost = bench.must_take("orders");
  CHECK(lost.locked_until == bench.clock.now() + 1min);
  bench.pass(1min);
  CHECK(bench.counts("orders").locked == 0);
  CHECK(code_of(bench.settle(lost.lock, {})) == Code::Conflict);
  const Delivery again = bench.must_take("orders");
  CHECK(body_of(*again.message) == "a");
  CHECK(again.message->delivery_count == 1);
}

TEST_CASE("settling: a lock is over at its time, whether or not the timer came") {
  Bench bench;
  REQUIRE(bench.send("orders", {.body = "a"}));
  const Delivery lost = bench.must_take("orders");
  bench.clock.advance(1min);
  CHECK(code_of(bench.settle(lost.lock, {})) == Code::Conflict);
  CHECK(bench.must_take("orders").message->delivery_count == 1);
}

TEST_CASE("settling: a renewed lock lives on, found by its token, without its receiver") {
  Bench bench;
  REQUIRE(bench.send("orders", {.body = "a"}));
  const Delivery held = bench.must_take("orders");  // the receiver is gone
  const auto found = bench.broker->find(held.token);
  REQUIRE(found);
  CHECK(*found == held.lock);
  bench.pass(50s);
  const auto until = bench.broker->renew(*found, bench.clock.now());
  REQUIRE(until);
  CHECK(*until == bench.clock.now() + 1min);
  bench.pass(59s);
  CHECK_FALSE(bench.take("orders"));
  CHECK(bench.settle(held.lock, {}));

  LockToken forged = held.token;
  forged[15] = static_cast<std::uint8_t>(forged[15] ^ 1);
  CHECK_FALSE(bench.broker->find(forged));
}

TEST_CASE("settling: a message that failed too often is dead-lettered with the reason") {
  for (const bool expire : {false, true}) {
    CAPTURE(expire);
    Bench bench({.name = "orders", .max_delivery_count = 2});
    REQUIRE(bench.send("orders", {.body = "a", .id = "id"}));
    for (int i = 0; i < 2; ++i) {
      const Delivery held = bench.must_take("orders");
      if (expire)
        bench.pass(1min);
      else
        REQUIRE(bench.settle(held.lock, Action::Abandon));
    }
    CHECK(bench.counts("orders") == Counts{.dead_letter = 1});
    bench.crash();
    const Delivery dead = bench.must_take("orders/$deadletterqueue");
    CHECK(property_of(*dead.message, "DeadLetterReason") == "MaxDeliveryCountExceeded");
    CHECK(property_of(*dead.message, "DeadLetterErrorDescription") ==
          "Message could not be consumed after 2 delivery attempts.");
    CHECK(dead.message->dead_letter_source == "orders");
    CHECK(dead.message->message_id == "id");
    CHECK(dead.message->delivery_count == 2);
  }
}

TEST_CASE("settling: an expired lock's dead letter is tried again until it is written") {
  Bench bench({.name = "orders", .max_delivery_count = 1});
  REQUIRE(bench.send("orders", {.body = "a"}));
  bench.must_take("orders");
  bench.store.fail_writes(1);
  bench.pass(1min);
  CHECK_FALSE(bench.take("orders"));
  CHECK(bench.counts("orders").dead_letter == 0);
  bench.pass(1s);
  CHECK(bench.take_all("orders/$deadletterqueue") == Bodies{"a"});
}

TEST_CASE("settling: a dead letter keeps its times and takes reason, description and properties") {
  Bench bench({.name = "orders", .default_ttl = 1h});
  const TimePoint sent = bench.clock.now();
  REQUIRE(bench.send("orders", {.body = "a"}));
  bench.clock.advance(10s);
  Settlement settlement{.action = Action::DeadLetter, .reason = "bad", .description = "very"};
  amqp::set_string(settlement.properties, "who", "me");
  REQUIRE(bench.settle(bench.must_take("orders").lock, settlement));
  const auto dead = bench.peek("orders/$deadletterqueue");
  REQUIRE(dead.size() == 1);
  CHECK(property_of(*dead[0], "DeadLetterReason") == "bad");
  CHECK(property_of(*dead[0], "DeadLetterErrorDescription") == "very");
  CHECK(property_of(*dead[0], "who") == "me");
  CHECK(dead[0]->enqueued_at == sent);
  bench.pass(24h);  // no time to live there
  CHECK(bench.take_all("orders/$deadletterqueue") == Bodies{"a"});
}

TEST_CASE("settling: in a dead-letter queue nothing counts, and there is no further one") {
  Bench bench({.name = "orders", .max_delivery_count = 1});
  bench.bury("a");
  for (int i = 0; i < 3; ++i) {
    const Delivery held = bench.must_take("orders/$deadletterqueue");
    CHECK(held.message->delivery_count == 0);
    if (i == 1) {
      bench.pass(1min);
    } else {
      REQUIRE(bench.settle(held.lock, Action::Abandon));
    }
  }
  const Delivery held = bench.must_take("orders/$deadletterqueue");
  CHECK(code_of(bench.settle(held.lock, Action::DeadLetter)) == Code::Unsupported);
  CHECK(bench.settle(held.lock, Action::Complete));
}

TEST_CASE("settling: a deferred message waits to be received by its number") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}}));
  const Delivery held = bench.must_take("orders");
  REQUIRE(bench.settle(held.lock, Action::Defer));
  CHECK(bench.counts("orders") == Counts{.active = 1, .deferred = 1});
  bench.crash();
  CHECK(bench.take_all("orders") == Bodies{"b"});

  const auto received = bench.receive_deferred("orders", {held.message->sequence});
  REQUIRE(received);
  CHECK(body_of(*received->at(0).message) == "a");
  CHECK(received->at(0).message->state == MessageState::Deferred);
  CHECK(code_of(bench.receive_deferred("orders", {held.message->sequence})) == Code::NotFound);
  // It stays deferred when it comes back.
  REQUIRE(bench.settle(received->at(0).lock, Action::Abandon));
  CHECK(bench.counts("orders") == Counts{.deferred = 1});
  const auto again = bench.receive_deferred("orders", {held.message->sequence});
  REQUIRE(again);
  CHECK(again->at(0).message->delivery_count == 1);
  REQUIRE(bench.settle(again->at(0).lock, Action::Complete));
  CHECK(bench.counts("orders") == Counts{});
}

TEST_CASE("settling: the lock of a deferred message expires back to deferred") {
  Bench bench;
  REQUIRE(bench.send("orders", {.body = "a"}));
  REQUIRE(bench.settle(bench.must_take("orders").lock, Action::Defer));
  REQUIRE(bench.receive_deferred("orders", {1}));
  bench.pass(1min);
  CHECK(bench.counts("orders") == Counts{.deferred = 1});
  CHECK_FALSE(bench.take("orders"));
}

TEST_CASE("settling: deferred messages are received all or none, and deleted first if asked") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}}));
  for (int i = 0; i < 2; ++i) REQUIRE(bench.settle(bench.must_take("orders").lock, Action::Defer));
  CHECK(code_of(bench.receive_deferred("orders", {1, 7})) == Code::NotFound);
  CHECK(bench.counts("orders").deferred == 2);
  const auto both = bench.receive_deferred("orders", {2, 1}, {}, ReceiveMode::ReceiveAndDelete);
  REQUIRE(both);
  CHECK(body_of(*both->at(0).message) == "b");
  CHECK(both->at(0).lock == 0);
  CHECK(bench.counts("orders") == Counts{});
}

TEST_CASE("settling: a message that would get too large properties becomes a dead letter") {
  for (const Action action : {Action::Abandon, Action::Defer}) {
    CAPTURE(static_cast<int>(action));
    Bench bench;
    REQUIRE(bench.send("orders", {.body = "a"}));
    Settlement settlement{.action = action};
    amqp::set_string(settlement.properties, "large", std::string(40 * 1024, 'x'));
    REQUIRE(bench.settle(bench.must_take("orders").lock, settlement));
    CHECK(bench.counts("orders") == Counts{.dead_letter = 1});
    CHECK(property_of(*bench.peek("orders/$deadletterqueue").at(0), "DeadLetterReason") ==
          "HeaderSizeExceeded");
    // A dead letter has nowhere to go: its lock stays.
    const Delivery dead = bench.must_take("orders/$deadletterqueue");
    CHECK(code_of(bench.settle(dead.lock, settlement)) == Code::InvalidArgument);
    CHECK(bench.settle(dead.lock, Action::Complete));
  }
}

TEST_CASE(
    "settling: a dead letter with a reason that is too large is refused, and its lock stays") {
  Bench bench;
  REQUIRE(bench.send("orders", {.body = "a"}));
  const Delivery held = bench.must_take("orders");
  Settlement settlement{.action = Action::DeadLetter, .reason = std::string(40 * 1024, 'x')};
  CHECK(code_of(bench.settle(held.lock, settlement)) == Code::InvalidArgument);
  settlement.reason = "broken";
  CHECK(bench.settle(held.lock, settlement));
  CHECK(bench.counts("orders") == Counts{.dead_letter = 1});
}

TEST_CASE("settling: a deferred message that is asked for twice at once is locked once") {
  for (const ReceiveMode mode : {ReceiveMode::PeekLock, ReceiveMode::ReceiveAndDelete}) {
    CAPTURE(static_cast<int>(mode));
    Bench bench;
    REQUIRE(bench.send("orders", {.body = "a"}));
    REQUIRE(bench.settle(bench.must_take("orders").lock, Action::Defer));
    const auto received = bench.receive_deferred("orders", {1, 1}, {}, mode);
    REQUIRE(received);
    REQUIRE(received->size() == 1);
    if (mode == ReceiveMode::PeekLock)
      CHECK(bench.settle(received->front().lock, Action::Complete));
    CHECK(bench.counts("orders") == Counts{});
  }
}

TEST_CASE("settling: deferred messages that are too large together are refused, none is locked") {
  Bench bench({.name = "orders", .max_message_kb = 10 * 1024});
  for (int i = 0; i < 2; ++i) {
    REQUIRE(bench.send("orders", {.body = std::string(9 * 1024 * 1024, 'x')}));
    REQUIRE(bench.settle(bench.must_take("orders").lock, Action::Defer));
  }
  CHECK(code_of(bench.receive_deferred("orders", {1, 2})) == Code::InvalidArgument);
  CHECK(bench.receive_deferred("orders", {1}));
  CHECK(bench.receive_deferred("orders", {2}));
}

TEST_CASE("settling: in a session nothing overtakes a message that is on its way back") {
  struct Session : Bench {
    Session() : Bench({.name = "orders", .requires_session = true}) {
      REQUIRE(send_all("orders", {{.body = "1", .session = "x"},
                                  {.body = "2", .session = "x"},
                                  {.body = "3", .session = "x"}}));
      id = broker->open_session({.address = at("orders")}, {"x", {}}, hands, clock.now(),
                                [](const Result<SessionGrant>& grant) { CHECK(grant); });
      rest();
      grant(id, 1);
      REQUIRE(hands.bodies() == Bodies{"1"});
    }
    void give_back(Action action) {
      broker->settle(hands.last().lock, {.action = action}, clock.now(),
                     [this](const Status& status) { settled = bool(status); });
    }
    Hands hands{};
    ReceiverId id = 0;
    bool settled = false;
  };
  SUBCASE("abandoned, with credit for all") {
    Session session;
    session.give_back(Action::Abandon);
    session.grant(session.id, 3);
    CHECK(session.settled);
    CHECK(session.hands.bodies() == Bodies{"1", "1", "2", "3"});
  }
  SUBCASE("released, while the next ones are read") {
    Session session;
    session.broker->grant(session.id, 3, false, session.clock.now());
    session.give_back(Action::Release);
    session.rest();
    CHECK(session.hands.bodies() == Bodies{"1", "1", "2", "3"});
  }
  SUBCASE("abandoned, while the next ones are read") {
    Session session;
    session.broker->grant(session.id, 3, false, session.clock.now());
    session.give_back(Action::Abandon);
    session.rest();
    CHECK(session.hands.bodies() == Bodies{"1", "1", "2", "3"});
  }
  SUBCASE("an abandonment that fails holds nobody up") {
    Session session;
    session.store.fail_writes(1);
    session.give_back(Action::Abandon);
    session.grant(session.id, 3);
    CHECK_FALSE(session.settled);
    CHECK(session.hands.bodies() == Bodies{"1", "2", "3"});
  }
  SUBCASE("who holds the session next waits as well") {
    Session session;
    session.give_back(Action::Abandon);
    session.broker->close(session.id, session.clock.now());
    Hands next;
    const ReceiverId id = session.broker->open_session(
        {.address = session.at("orders")}, {"x", {}}, next, session.clock.now(),
        [](const Result<SessionGrant>& grant) { CHECK(grant); });
    session.grant(id, 3);
    CHECK(next.bodies() == Bodies{"1", "2", "3"});
  }
}

}  // namespace jobmill::broker
