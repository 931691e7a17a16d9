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
};

}  // namespace

// --- time to live ---

TEST_CASE("expiry: the shorter of the message's and the queue's time to live counts") {
  Bench bench({.name = "orders", .default_ttl = 1min});
  REQUIRE(bench.send_all(
      "orders", {{.body = "short", .ttl = 10s}, {.body = "long", .ttl = 1h}, {.body = "none"}}));
  bench.pass(10s);
  CHECK(bench.peek_bodies("orders") == Bodies{"long", "none"});
  bench.pass(50s);
  CHECK(bench.counts("orders") == Counts{});
  bench.crash();
  CHECK(bench.peek_bodies("orders").empty());
}

TEST_CASE("expiry: expired messages are dead-lettered when the queue says so") {
  Bench bench({.name = "orders", .dead_letter_on_expiration = true});
  REQUIRE(bench.send("orders", {.body = "a", .ttl = 10s}));
  bench.pass(10s);
  const auto dead = bench.peek("orders/$deadletterqueue");
  REQUIRE(dead.size() == 1);
  CHECK(property_of(*dead[0], "DeadLetterReason") == "TTLExpiredException");
  CHECK(property_of(*dead[0], "DeadLetterErrorDescription") ==
        "The message expired and was dead lettered.");
  CHECK(bench.counts("orders") == Counts{.dead_letter = 1});
}

TEST_CASE("expiry: an expired message is not delivered, whether or not the timer came") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a", .ttl = 10s}, {.body = "b"}}));
  bench.clock.advance(10s);
  Hands hands;
  const auto receiver = bench.open_receiver("orders", hands);
  bench.broker->grant(receiver, 1, false, bench.clock.now());
  bench.store.run();
  CHECK(hands.bodies() == Bodies{"b"});
}

TEST_CASE("expiry: a locked message may be completed, and expires when it comes back") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a", .ttl = 10s}, {.body = "b", .ttl = 10s}}));
  const Delivery first = bench.must_take("orders");
  const Delivery second = bench.must_take("orders");
  bench.pass(20s);
  CHECK(bench.settle(first.lock, Action::Complete));
  CHECK(bench.settle(second.lock, Action::Abandon));
  CHECK(bench.counts("orders") == Counts{});
}

TEST_CASE("expiry: a deferred message expires when it is asked for") {
  Bench bench({.name = "orders", .dead_letter_on_expiration = true});
  REQUIRE(bench.send("orders", {.body = "a", .ttl = 10s}));
  REQUIRE(bench.settle(bench.must_take("orders").lock, Action::Defer));
  bench.pass(20s);
  CHECK(bench.counts("orders") == Counts{.deferred = 1});
  CHECK(code_of(bench.receive_deferred("orders", {1})) == Code::NotFound);
  CHECK(bench.counts("orders") == Counts{.dead_letter = 1});
}

TEST_CASE("expiry: what could not be written is tried again") {
  Bench bench;
  REQUIRE(bench.send("orders", {.body = "a", .ttl = 10s}));
  bench.store.fail_writes(2);
  bench.pass(10s);
  CHECK_FALSE(bench.take("orders"));
  bench.pass(1s);
  bench.pass(1s);
  bench.crash();
  CHECK(bench.peek_bodies("orders").empty());
}

// --- scheduled messages ---

TEST_CASE("schedule: a message appears at its time, with a new number, and lives from then on") {
  Bench bench;
  const auto numbers = bench.schedule(
      "orders", {.body = "a", .ttl = 10s, .scheduled_for = bench.clock.now() + 1min});
  REQUIRE(numbers);
  REQUIRE(numbers->size() == 1);
  CHECK(bench.counts("orders") == Counts{.scheduled = 1});
  CHECK(bench.peek("orders").at(0)->state == MessageState::Scheduled);
  bench.crash();
  bench.pass(59s);
  CHECK_FALSE(bench.take("orders"));
  Hands hands;
  bench.grant(bench.open_receiver("orders", hands), 1);
  bench.pass(1s);
  REQUIRE(hands.deliveries.size() == 1);
  CHECK(hands.last().message->sequence > numbers->at(0));
  CHECK(hands.last().message->state == MessageState::Ready);
  CHECK(hands.last().message->enqueued_at == bench.clock.now());
  CHECK(hands.last().message->expires_at == bench.clock.now() + 10s);
}

TEST_CASE("schedule: a plain send for a time to come is scheduled, for a past one it is not") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "later", .scheduled_for = bench.clock.now() + 1min},
                                    {.body = "now", .scheduled_for = bench.clock.now() - 1min}}));
  CHECK(bench.take_all("orders") == Bodies{"now"});
  bench.pass(1min);
  CHECK(bench.take_all("orders") == Bodies{"later"});
}

TEST_CASE("schedule: what is cancelled never appears; all are cancelled or none") {
  Bench bench;
  const TimePoint later = bench.clock.now() + 1min;
  const auto a = bench.schedule("orders", {.body = "a", .scheduled_for = later});
  const auto b = bench.schedule("orders", {.body = "b", .scheduled_for = later});
  REQUIRE((a && b));
  CHECK(code_of(bench.cancel("orders", {a->at(0), 99})) == Code::NotFound);
  CHECK(bench.counts("orders").scheduled == 2);
  bench.store.fail_writes(1);
  CHECK(code_of(bench.cancel("orders", {a->at(0)})) == Code::Unavailable);
  REQUIRE(bench.cancel("orders", {a->at(0)}));
  CHECK(code_of(bench.cancel("orders", {a->at(0)})) == Code::NotFound);
  bench.pass(1min);
  CHECK(bench.take_all("orders") == Bodies{"b"});
}

TEST_CASE("schedule: the id of a scheduled message counts at once, and not again at its time") {
  Bench bench({.name = "orders", .requires_duplicate_detection = true});
  const TimePoint later = bench.clock.now() + 1min;
  REQUIRE(bench.schedule("orders", {.body = "a", .id = "1", .scheduled_for = later}));
  REQUIRE(bench.send("orders", {.body = "b", .id = "1"}));
  CHECK(bench.take_all("orders").empty());
  bench.pass(1min);
  CHECK(bench.take_all("orders") == Bodies{"a"});
}

// --- forwarding ---

TEST_CASE("forwarding: messages end in the last queue, with numbers of its own") {
  BrokerBench bench;
  REQUIRE(bench.create({.name = "c"}));
  REQUIRE(bench.create({.name = "b", .forward_to = "sb://localhost/C"}));
  REQUIRE(bench.create({.name = "a", .forward_to = "b"}));
  REQUIRE(bench.send("c", {.body = "own"}));
  REQUIRE(bench.send("a", {.body = "far"}));
  CHECK(bench.counts("a") == Counts{});
  const auto messages = bench.peek("c");
  REQUIRE(messages.size() == 2);
  CHECK(messages[1]->sequence == 2);
  CHECK(messages[1]->enqueue_sequence == 1);  // the first number it had, in a
  CHECK(messages[0]->enqueue_sequence == 0);
}

TEST_CASE("forwarding: after four hops a message is a failed transfer") {
  BrokerBench bench;
  for (const char* name : {"q0", "q1", "q2", "q3", "q4", "q5"}) {
    const std::string next = "q" + std::to_string(name[1] - '0' + 1);
    REQUIRE(bench.create({.name = name, .forward_to = name[1] == '5' ? "" : next}));
  }
  REQUIRE(bench.send("q1", {.body = "four"}));
  REQUIRE(bench.send("q0", {.body = "five"}));
  CHECK(bench.take_all("q5") == Bodies{"four"});
  CHECK(bench.counts("q4") == Counts{.transfer_dead_letter = 1});
  const auto dead = bench.peek("q4/$transfer/$deadletterqueue");
  REQUIRE(dead.size() == 1);
  CHECK(property_of(*dead[0], "DeadLetterReason") == "MaxTransferHopCountExceeded");
  CHECK(body_of(*dead[0]) == "five");
}

TEST_CASE("forwarding: what the destination refuses is a failed transfer of the source") {
  BrokerBench bench;
  REQUIRE(bench.create({.name = "a", .forward_to = "b"}));
  REQUIRE(bench.send("a", {.body = "missing"}));
  REQUIRE(bench.create({.name = "b", .status = EntityStatus::SendDisabled}));
  REQUIRE(bench.send("a", {.body = "disabled"}));
  REQUIRE(bench.update({.name = "b", .status = EntityStatus::Active}));
  REQUIRE(bench.send("a", {.body = "good"}));
  CHECK(bench.take_all("b") == Bodies{"good"});
  CHECK(bench.peek_bodies("a/$transfer/$deadletterqueue") == Bodies{"missing", "disabled"});
}

TEST_CASE("forwarding: what waits when forwarding begins is forwarded too, in order") {
  Bench bench;
  REQUIRE(bench.create({.name = "b"}));
  Bodies sent;
  for (int i = 0; i < 600; ++i) {
    sent.push_back(std::to_string(i));
    REQUIRE(bench.send("orders", {.body = sent.back()}));
  }
  const Delivery held = bench.must_take("orders");
  REQUIRE(bench.update({.name = "orders", .forward_to = "b"}));
  CHECK(bench.counts("orders") == Counts{.active = 1, .locked = 1});
  REQUIRE(bench.settle(held.lock, Action::Release));
  CHECK(bench.counts("orders") == Counts{});
  sent.erase(sent.begin());
  sent.push_back("0");
  CHECK(bench.peek("b", 0, 1000).size() == 600);
  CHECK(bench.take_all("b") == sent);
}

TEST_CASE("forwarding: a scheduled message is forwarded at its time") {
  Bench bench({.name = "orders", .forward_to = "b"});
  REQUIRE(bench.create({.name = "b"}));
  REQUIRE(bench.send("orders", {.body = "a", .scheduled_for = bench.clock.now() + 1min}));
  CHECK(bench.counts("orders") == Counts{.scheduled = 1});
  bench.pass(1min);
  CHECK(bench.take_all("b") == Bodies{"a"});
}

TEST_CASE("forwarding: dead letters may be forwarded, and say where they come from") {
  Bench bench({.name = "orders", .forward_dead_letters_to = "grave"});
  REQUIRE(bench.create({.name = "grave"}));
  REQUIRE(bench.send("orders", {.body = "a"}));
  REQUIRE(bench.settle(bench.must_take("orders").lock,
                       {.action = Action::DeadLetter, .reason = "bad"}));
  CHECK(bench.counts("orders") == Counts{});
  const auto dead = bench.peek("grave");
  REQUIRE(dead.size() == 1);
  CHECK(dead[0]->dead_letter_source == "orders");
  CHECK(property_of(*dead[0], "DeadLetterReason") == "bad");
}

TEST_CASE("forwarding: the destination drops a message that it has seen") {
  BrokerBench bench;
  REQUIRE(bench.create({.name = "b", .requires_duplicate_detection = true}));
  REQUIRE(bench.create({.name = "a", .forward_to = "b"}));
  REQUIRE(bench.send("b", {.body = "first", .id = "1"}));
  REQUIRE(bench.send("a", {.body = "second", .id = "1"}));
  CHECK(bench.take_all("b") == Bodies{"first"});
}

// --- browsing, purge, redrive ---

TEST_CASE("peek: shows messages in any state from a number on, and locks none") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "deferred"}, {.body = "locked"}, {.body = "ready"}}));
  REQUIRE(bench.send("orders", {.body = "later", .scheduled_for = bench.clock.now() + 1h}));
  REQUIRE(bench.settle(bench.must_take("orders").lock, Action::Defer));
  bench.must_take("orders");
  CHECK(bench.peek_bodies("orders") == Bodies{"deferred", "locked", "ready", "later"});
  CHECK(bench.peek("orders", 3).size() == 2);
  CHECK(bench.peek("orders", 2, 1).size() == 1);
  CHECK(bench.peek("orders", 5).empty());
  CHECK(bench.counts("orders") == Counts{.active = 2, .locked = 1, .scheduled = 1, .deferred = 1});
}

TEST_CASE("purge: deletes what nobody holds, up to a count, a time, or by number") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}, {.body = "c"}, {.body = "d"}}));
  bench.must_take("orders");
  const auto purge = [&](std::size_t count, std::optional<TimePoint> before,
                         std::vector<SequenceNumber> only) {
    const auto purged = bench.answer<std::size_t>([&](auto done) {
      bench.broker->purge(bench.at("orders"), count, {.before = before, .only = only}, done);
    });
    return purged ? static_cast<int>(*purged) : -1;
  };
  CHECK(purge(10, bench.clock.now(), {}) == 0);
  CHECK(purge(10, {}, {1, 3, 99}) == 1);
  CHECK(purge(1, bench.clock.now() + 1us, {}) == 1);
  CHECK(bench.peek_bodies("orders") == Bodies{"a", "d"});
  bench.store.fail_writes(1);
  CHECK(purge(10, {}, {}) == -1);
  CHECK(bench.take_all("orders") == Bodies{"d"});
}

TEST_CASE("purge: of one session deletes messages of that session only") {
  Bench bench({.name = "orders", .requires_session = true});
  REQUIRE(bench.create({.name = "plain"}));
  REQUIRE(bench.send("plain", {.body = "c"}));
  REQUIRE(bench.send_all("orders", {{.body = "a", .session = "x"}, {.body = "b", .session = "y"}}));
  const auto purge = [&](std::string_view from, std::string session) {
    return bench.answer<std::size_t>(
        [&](auto done) { bench.broker->purge(bench.at(from), 10, {.session = session}, done); });
  };
  CHECK(*purge("orders", "x") == 1);
  CHECK(*purge("orders", "z") == 0);
  CHECK(bench.peek_bodies("orders") == Bodies{"b"});
  CHECK(code_of(purge("plain", "x")) == Code::Unsupported);
  CHECK(bench.peek_bodies("plain") == Bodies{"c"});
}

TEST_CASE("peek: large messages come a few at a time") {
  Bench bench;
  for (int i = 0; i < 10; ++i)
    REQUIRE(bench.send("orders", {.body = std::string(1000 * 1000, 'x')}));
  CHECK(bench.peek("orders").size() == 4);
  CHECK(bench.peek("orders", 9).size() == 2);
}

TEST_CASE("purge: of thousands goes in several writes") {
  Bench bench;
  for (int i = 0; i < 10; ++i) REQUIRE(bench.send_all("orders", std::vector<testing::Letter>(100)));
  const auto purged = bench.answer<std::size_t>(
      [&](auto done) { bench.broker->purge(bench.at("orders"), 900, {}, done); });
  REQUIRE(purged);
  CHECK(*purged == 900);
  CHECK(bench.counts("orders").active == 100);
}

TEST_CASE("redrive: dead letters go back to where they came from, as if sent anew") {
  Bench bench({.name = "orders", .max_delivery_count = 1});
  REQUIRE(bench.create({.name = "other"}));
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}, {.body = "c"}}));
  for (int i = 0; i < 3; ++i)
    REQUIRE(bench.settle(bench.must_take("orders").lock, Action::Abandon));
  const auto dead = bench.at("orders/$deadletterqueue");
  const auto redrive = [&](std::optional<Address> to, std::vector<SequenceNumber> numbers) {
    return bench.answer<std::size_t>(
        [&](auto done) { bench.broker->redrive(dead, to, numbers, bench.clock.now(), done); });
  };
  CHECK(*redrive({}, {2}) == 1);
  CHECK(*redrive(bench.at("other"), {1}) == 1);
  CHECK(*redrive({}, {}) == 1);
  CHECK(*redrive({}, {}) == 0);
  CHECK(code_of(redrive(bench.at("nobody"), {})) == Code::NotFound);
  CHECK(bench.peek("orders").at(0)->delivery_count == 0);
  CHECK(bench.take_all("orders") == Bodies{"b", "c"});
  CHECK(bench.take_all("other") == Bodies{"a"});
  CHECK(bench.counts("orders") == Counts{});
}

TEST_CASE("redrive: a message says no more why it was a dead letter") {
  Bench bench({.name = "orders"});
  amqp::Map sent;
  amqp::set_string(sent, "kept", "yes");
  REQUIRE(bench.send_all("orders", {{.body = "a", .properties = sent}, {.body = "b"}}));
  for (int i = 0; i < 2; ++i)
    REQUIRE(bench.settle(bench.must_take("orders").lock,
                         {.action = Action::DeadLetter, .reason = "Bad", .description = "Very"}));
  const auto dead = bench.at("orders/$deadletterqueue");
  CHECK(testing::property_of(*bench.peek("orders/$deadletterqueue").at(1), "DeadLetterReason") ==
        "Bad");
  CHECK(*bench.answer<std::size_t>(
            [&](auto done) { bench.broker->redrive(dead, {}, {}, bench.clock.now(), done); }) == 2);
  const auto again = bench.peek("orders");
  REQUIRE(again.size() == 2);
  for (const auto& message : again) {
    CHECK(testing::property_of(*message, "DeadLetterReason").empty());
    CHECK(testing::property_of(*message, "DeadLetterErrorDescription").empty());
    CHECK(message->dead_letter_source.empty());
  }
  CHECK(testing::property_of(*again[0], "kept") == "yes");
  CHECK(bench.take_all("orders") == Bodies{"a", "b"});
}

TEST_CASE("redrive: what is refused or cannot be written stays among the dead letters") {
  Bench bench({.name = "orders", .max_delivery_count = 1});
  REQUIRE(bench.send("orders", {.body = "a"}));
  REQUIRE(bench.settle(bench.must_take("orders").lock, Action::Abandon));
  const auto redrive = [&] {
    return bench.answer<std::size_t>([&](auto done) {
      bench.broker->redrive(bench.at("orders/$deadletterqueue"), {}, {}, bench.clock.now(), done);
    });
  };
  REQUIRE(bench.update({.name = "orders", .status = EntityStatus::SendDisabled}));
  CHECK(code_of(redrive()) == Code::PermissionDenied);
  REQUIRE(bench.update({.name = "orders"}));
  bench.store.fail_writes(1);
  CHECK(code_of(redrive()) == Code::Unavailable);
  CHECK(bench.counts("orders") == Counts{.dead_letter = 1});
  CHECK(*redrive() == 1);
}

TEST_CASE("redrive: large dead letters are read a few at a time, and all arrive") {
  Bench bench;
  for (int i = 0; i < 10; ++i) {
    REQUIRE(bench.send("orders", {.body = std::string(1000 * 1000, 'x')}));
    REQUIRE(bench.settle(bench.must_take("orders").lock, Action::DeadLetter));
  }
  const std::size_t writes = bench.store.writes();
  CHECK(*bench.answer<std::size_t>([&](auto done) {
    bench.broker->redrive(bench.at("orders/$deadletterqueue"), {}, {}, bench.clock.now(), done);
  }) == 10);
  CHECK(bench.store.writes() == writes + 2);
  CHECK(bench.counts("orders") == Counts{.active = 10});
}

TEST_CASE("schedule: who cancels a message twice at once has cancelled it") {
  Bench bench;
  const auto numbers =
      bench.schedule("orders", {.body = "a", .scheduled_for = bench.clock.now() + 1min});
  REQUIRE(numbers);
  CHECK(bench.cancel("orders", {numbers->at(0), numbers->at(0)}));
  CHECK(bench.counts("orders") == Counts{});
}

}  // namespace jobmill::broker
