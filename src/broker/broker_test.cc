// SPDX-License-Identifier: Apache-2.0
#include "broker/broker.h"

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "broker_bench.h"

namespace jobmill::broker {
namespace {

using namespace std::chrono_literals;
using testing::BrokerBench;
using testing::code_of;
using testing::Hands;
using Action = Settlement::Action;
using Bodies = BrokerBench::Bodies;

struct Bench : BrokerBench {
  explicit Bench(QueueDescription queue = {.name = "orders"}) { REQUIRE(create(queue)); }
};

}  // namespace

// --- entities ---

TEST_CASE("broker: a queue is there when it is durable, and after a crash") {
  BrokerBench bench;
  bool made = false;
  bench.broker->create("", {.name = "Orders"}, bench.clock.now(),
                       [&](const Status& status) { made = bool(status); });
  CHECK_FALSE(bench.broker->exists(bench.at("orders")));
  bench.rest();
  CHECK(made);
  bench.crash();
  const auto info = bench.broker->queue("ORDERS");
  REQUIRE(info);
  CHECK(info->description.name == "Orders");
  CHECK(info->name_space == "sbemulatorns");
}

TEST_CASE("broker: a path belongs to one queue, and the complaint names its namespace") {
  Bench bench;
  REQUIRE(bench.status([&](auto done) { bench.broker->put_namespace("other", "{}", done); }));
  const Status again = bench.create({.name = "ORDERS"}, "other");
  CHECK(code_of(again) == Code::AlreadyExists);
  CHECK(again.error().message.find("sbemulatorns") != std::string::npos);
  CHECK(code_of(bench.create({.name = "b"}, "nowhere")) == Code::NotFound);
}

TEST_CASE("broker: what is fixed at creation cannot change, the rest can") {
  Bench bench;
  CHECK(code_of(bench.update({.name = "orders", .requires_session = true})) ==
        Code::InvalidArgument);
  CHECK(code_of(bench.update({.name = "orders", .requires_duplicate_detection = true})) ==
        Code::InvalidArgument);
  CHECK(code_of(bench.update({.name = "nobody"})) == Code::NotFound);
  REQUIRE(bench.update({.name = "orders", .max_delivery_count = 3}));
  bench.crash();
  CHECK(bench.broker->queue("orders")->description.max_delivery_count == 3);
}

TEST_CASE("broker: it tells of entities that came, changed or went, after the commit") {
  Bench bench;
  std::vector<std::pair<std::string, Broker::Change>> told;
  bench.broker->on_entities_changed(
      [&](const std::string& path, Broker::Change change) { told.emplace_back(path, change); });
  REQUIRE(bench.update({.name = "orders", .status = EntityStatus::SendDisabled}));
  REQUIRE(bench.remove("orders"));
  REQUIRE(bench.create({.name = "Bills"}));
  const decltype(told) all{{"orders", Broker::Change::Changed},
                           {"orders", Broker::Change::Gone},
                           {"bills", Broker::Change::Made}};
  CHECK(told == all);
}

TEST_CASE("broker: a removed queue takes its messages, locks and receivers with it") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}}));
  const Delivery held = bench.must_take("orders");
  Hands hands;
  bench.open_receiver("orders", hands);
  REQUIRE(bench.remove("orders"));
  CHECK(hands.end == Code::NotFound);
  CHECK(code_of(bench.settle(held.lock, {})) == Code::Conflict);
  CHECK(code_of(bench.send("orders", {.body = "c"})) == Code::NotFound);
  REQUIRE(bench.create({.name = "orders"}));
  CHECK(bench.peek_bodies("orders").empty());
  CHECK(bench.broker->queues().size() == 1);
}

TEST_CASE("broker: a queue whose removal could not be written goes on") {
  Bench bench;
  REQUIRE(bench.send("orders", {.body = "a"}));
  bench.store.fail_writes(1);
  CHECK(code_of(bench.remove("orders")) == Code::Unavailable);
  CHECK(bench.take_all("orders") == Bodies{"a"});
}

TEST_CASE("broker: a disabled queue refuses what its status says, and ends its receivers") {
  Bench bench;
  Hands hands;
  bench.open_receiver("orders", hands);
  REQUIRE(bench.update({.name = "orders", .status = EntityStatus::ReceiveDisabled}));
  CHECK(hands.end == Code::PermissionDenied);
  CHECK(code_of(bench.broker->open_receiver({.address = bench.at("orders")}, hands,
                                            bench.clock.now())) == Code::PermissionDenied);
  CHECK(bench.send("orders", {.body = "a"}));
  REQUIRE(bench.update({.name = "orders", .status = EntityStatus::SendDisabled}));
  CHECK(code_of(bench.send("orders", {.body = "b"})) == Code::PermissionDenied);
  CHECK(bench.take_all("orders") == Bodies{"a"});
}

TEST_CASE("broker: what is being deleted for a receiver comes before it is ended") {
  for (const bool written : {true, false}) {
    CAPTURE(written);
    Bench bench;
    REQUIRE(bench.send("orders", {.body = "a"}));
    Hands hands;
    const ReceiverId id = bench.open_receiver("orders", hands, ReceiveMode::ReceiveAndDelete);
    bench.broker->update({.name = "orders", .status = EntityStatus::ReceiveDisabled},
                         bench.clock.now(), [](const Status& status) { CHECK(status); });
    bench.broker->grant(id, 2, false, bench.clock.now());
    bench.store.run_reads();
    REQUIRE(bench.store.run_one());  // it is disabled, the deletion still waits
    bench.broker->grant(id, 2, false, bench.clock.now());
    CHECK_FALSE(hands.end);
    bench.store.fail_writes(written ? 0 : 1);
    bench.rest();
    CHECK(hands.end == Code::PermissionDenied);
    CHECK(hands.bodies() == (written ? Bodies{"a"} : Bodies{}));
    CHECK(bench.counts("orders").active == (written ? 0 : 1));
    bench.pass(2s);
    CHECK(bench.counts("orders").active == (written ? 0 : 1));
  }
}

TEST_CASE("broker: a namespace is removed with its queues; the default one stays") {
  BrokerBench bench;
  REQUIRE(bench.status([&](auto done) { bench.broker->put_namespace("other", "{}", done); }));
  REQUIRE(bench.create({.name = "a"}, "other"));
  REQUIRE(bench.create({.name = "b"}));
  CHECK(bench.broker->namespaces().size() == 2);
  REQUIRE(bench.status([&](auto done) { bench.broker->remove_namespace("other", done); }));
  CHECK_FALSE(bench.broker->exists(bench.at("a")));
  CHECK(bench.broker->exists(bench.at("b")));
  CHECK(code_of(bench.status([&](auto done) {
          bench.broker->remove_namespace("sbemulatorns", done);
        })) == Code::Unsupported);
  bench.crash();
  CHECK(bench.broker->namespaces().size() == 1);
}

TEST_CASE("broker: the root rule signs for everything, other rules where they were made") {
  BrokerBench bench;
  QueueDescription queue{.name = "a"};
  queue.rules = {{.name = "listen", .rights = {2}, .primary_key = Secret("k")}};
  REQUIRE(bench.create(queue));
  REQUIRE(bench.create({.name = "b"}));
  REQUIRE(bench.status([&](auto done) {
    bench.broker->put_namespace_rules("sbemulatorns", {{.name = "all", .rights = {1}}}, done);
  }));
  bench.crash();
  const auto names = [&](std::string_view path) {
    Bodies found;
    for (const auto& rule : bench.broker->rules(path)) found.push_back(rule.name);
    std::sort(found.begin(), found.end());
    return found;
  };
  CHECK(names("A") == Bodies{"RootManageSharedAccessKey", "all", "listen"});
  CHECK(names("b") == Bodies{"RootManageSharedAccessKey", "all"});
  CHECK(bench.broker->namespaces()[0].rules[0].primary_key.equals("key"));
}

TEST_CASE("broker: an idle queue deletes itself, one with a receiver does not") {
  Bench bench({.name = "orders", .auto_delete_on_idle = 5min});
  Hands hands;
  const auto receiver = bench.open_receiver("orders", hands);
  bench.pass(1h);
  CHECK(bench.broker->exists(bench.at("orders")));
  bench.broker->close(receiver, bench.clock.now());
  bench.pass(4min);
  REQUIRE(bench.send("orders", {.body = "still in use"}));
  bench.pass(4min);
  CHECK(bench.broker->exists(bench.at("orders")));
  bench.pass(1min);
  CHECK_FALSE(bench.broker->exists(bench.at("orders")));
}

// --- sending ---

TEST_CASE("broker: a message is visible and answered when it is durable, not before") {
  Bench bench;
  Hands hands;
  bench.grant(bench.open_receiver("orders", hands), 1);
  bool sent = false;
  bench.post("orders", {{.body = "a"}}, [&](const Status& status) { sent = bool(status); });
  bench.broker->tick(bench.clock.now());
  CHECK_FALSE(sent);
  CHECK(hands.deliveries.empty());
  CHECK(bench.counts("orders").active == 0);
  bench.rest();
  CHECK(sent);
  CHECK(hands.bodies() == Bodies{"a"});
}

TEST_CASE("broker: messages of one send are stored all or none") {
  Bench bench;
  const std::string good = testing::encode({.body = "a"});
  const std::vector<std::string_view> views{good, "not a message"};
  CHECK(code_of(bench.status([&](auto done) {
          bench.broker->send(bench.at("orders"), views, bench.clock.now(), done);
        })) == Code::InvalidArgument);
  CHECK(bench.peek_bodies("orders").empty());
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}}));
  CHECK(bench.take_all("orders") == Bodies{"a", "b"});
}

TEST_CASE("broker: a send that could not be written is refused, and its number is lost") {
  Bench bench;
  bench.store.fail_writes(1);
  CHECK(code_of(bench.send("orders", {.body = "a"})) == Code::Unavailable);
  CHECK(bench.counts("orders") == Counts{});
  REQUIRE(bench.send("orders", {.body = "b"}));
  CHECK(bench.must_take("orders").message->sequence == 2);
}

TEST_CASE("broker: a sequence number is never given twice, also over crashes") {
  Bench bench;
  SequenceNumber last = 0;
  for (int round = 0; round < 4; ++round) {
    bench.post("orders", {{.body = "lost"}}, [](const Status&) {});
    if (round == 1) bench.store.fail_writes(1);
    if (round == 2) bench.crash();
    bench.rest();
    REQUIRE(bench.send("orders", {.body = "kept"}));
    const auto messages = bench.peek("orders", last + 1);
    REQUIRE_FALSE(messages.empty());
    CHECK(messages.front()->sequence > last);
    last = messages.back()->sequence;
    bench.take_all("orders");
    bench.crash();
  }
}

TEST_CASE("broker: a full queue refuses messages until there is room") {
  Bench bench({.name = "orders", .max_size_mb = 1});
  const std::string big(600 * 1024, 'x');
  REQUIRE(bench.send("orders", {.body = big}));
  CHECK(code_of(bench.send("orders", {.body = big})) == Code::Exhausted);
  bench.crash();
  CHECK(code_of(bench.send("orders", {.body = big})) == Code::Exhausted);
  bench.take_all("orders");
  CHECK(bench.broker->queue("orders")->size_bytes == 0);
  CHECK(bench.send("orders", {.body = big}));
}

TEST_CASE("broker: a message has a largest size") {
  Bench bench({.name = "orders", .max_message_kb = 256});
  CHECK(code_of(bench.send("orders", {.body = std::string(256 * 1024, 'x')})) ==
        Code::InvalidArgument);
  CHECK(bench.send("orders", {.body = std::string(255 * 1024, 'x')}));
}

TEST_CASE("broker: nothing can be sent to dead letters, or without a session where one is needed") {
  Bench bench;
  REQUIRE(bench.create({.name = "sessions", .requires_session = true}));
  CHECK(code_of(bench.send("orders/$deadletterqueue", {.body = "a"})) == Code::Unsupported);
  CHECK(code_of(bench.send("sessions", {.body = "a"})) == Code::Unsupported);
  CHECK(code_of(bench.send("nobody", {.body = "a"})) == Code::NotFound);
}

TEST_CASE("broker: a repeated message id is accepted and dropped, within one send as well") {
  Bench bench({.name = "orders", .requires_duplicate_detection = true, .duplicate_window = 1min});
  REQUIRE(bench.send_all("orders", {{.body = "a", .id = "1"}, {.body = "b", .id = "1"}}));
  REQUIRE(bench.send("orders", {.body = "c", .id = "1"}));
  REQUIRE(bench.send("orders", {.body = "d", .id = "1", .partition_key = "p"}));
  bench.crash();
  REQUIRE(bench.send("orders", {.body = "e", .id = "1"}));
  CHECK(bench.take_all("orders") == Bodies{"a", "d"});
  bench.pass(61s);
  REQUIRE(bench.send("orders", {.body = "f", .id = "1"}));
  CHECK(bench.take_all("orders") == Bodies{"f"});
}

TEST_CASE("broker: the repetition of a message that was not written is not accepted either") {
  Bench bench({.name = "orders", .requires_duplicate_detection = true});
  std::vector<bool> accepted;
  const auto note = [&](const Status& status) { accepted.push_back(bool(status)); };
  bench.store.fail_writes(1);
  bench.post("orders", {{.body = "a", .id = "1"}}, note);
  bench.post("orders", {{.body = "a", .id = "1"}}, note);
  bench.rest();
  CHECK(accepted == std::vector{false, false});
  REQUIRE(bench.send("orders", {.body = "a", .id = "1"}));
  CHECK(bench.take_all("orders") == Bodies{"a"});
}

// --- receiving ---

TEST_CASE("broker: messages come in the order of their numbers, as many as there is credit") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}, {.body = "c"}}));
  Hands hands;
  const auto receiver = bench.open_receiver("orders", hands);
  bench.grant(receiver, 2);
  CHECK(hands.bodies() == Bodies{"a", "b"});
  CHECK(bench.counts("orders") == Counts{.active = 3, .locked = 2});
  bench.grant(receiver, 1);
  CHECK(hands.bodies() == Bodies{"a", "b", "c"});
  REQUIRE(bench.send("orders", {.body = "d"}));
  CHECK(hands.deliveries.size() == 3);
}

TEST_CASE("broker: a receiver is never called from within a call") {
  Bench bench;
  REQUIRE(bench.send("orders", {.body = "a"}));
  Hands hands;
  const auto receiver = bench.open_receiver("orders", hands);
  bench.broker->grant(receiver, 0, true, bench.clock.now());
  CHECK(hands.drains == 0);
  bench.broker->grant(receiver, 1, true, bench.clock.now());
  CHECK(hands.deliveries.empty());
  bench.rest();
  CHECK(hands.deliveries.size() == 1);
}

TEST_CASE("broker: it asks to be called when it has something to say") {
  Bench bench;
  std::vector<TimePoint> asked;
  bench.broker->on_next_due([&](TimePoint at) { asked.push_back(at); });
  Hands hands;
  const auto receiver = bench.open_receiver("orders", hands);
  bench.broker->grant(receiver, 1, true, bench.clock.now());
  REQUIRE(asked.size() == 1);
  CHECK(asked[0] <= bench.clock.now());
  bench.broker->tick(bench.clock.now());
  CHECK(hands.drains == 1);
}

TEST_CASE("broker: the most recent grant comes first, grants of one instant take turns") {
  Bench bench;
  Hands early, late, later;
  const auto first = bench.open_receiver("orders", early);
  const auto second = bench.open_receiver("orders", late);
  const auto third = bench.open_receiver("orders", later);
  bench.grant(first, 10);
  bench.clock.advance(1s);
  bench.broker->grant(second, 2, false, bench.clock.now());
  bench.broker->grant(third, 2, false, bench.clock.now());
  for (const char* body : {"1", "2", "3", "4", "5"}) REQUIRE(bench.send("orders", {.body = body}));
  CHECK(late.bodies() == Bodies{"1", "3"});
  CHECK(later.bodies() == Bodies{"2", "4"});
  CHECK(early.bodies() == Bodies{"5"});
}

TEST_CASE("broker: a drain delivers what is there and ends the rest of the credit") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}}));
  Hands hands;
  const auto receiver = bench.open_receiver("orders", hands);
  bench.grant(receiver, 10, true);
  CHECK(hands.bodies() == Bodies{"a", "b"});
  CHECK(hands.drains == 1);
  REQUIRE(bench.send("orders", {.body = "c"}));
  CHECK(hands.deliveries.size() == 2);
  bench.grant(receiver, 1, true);  // all of it is used
  CHECK(hands.drains == 2);
}

TEST_CASE("broker: receive-and-delete deletes first, and delivers without a lock") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}, {.body = "c"}}));
  Hands hands;
  const auto receiver = bench.open_receiver("orders", hands, ReceiveMode::ReceiveAndDelete);
  bench.grant(receiver, 5, true);
  CHECK(hands.bodies() == Bodies{"a", "b", "c"});
  CHECK(hands.last().lock == 0);
  CHECK(hands.drains == 1);
  CHECK(bench.counts("orders") == Counts{});
  bench.grant(receiver, 5);
  REQUIRE(bench.send("orders", {.body = "d"}));
  CHECK(hands.deliveries.size() == 4);
  bench.crash();
  CHECK(bench.peek_bodies("orders").empty());
}

TEST_CASE("broker: who asks again gets no more than that, deletions under way included") {
  for (const bool sessions : {false, true}) {
    CAPTURE(sessions);
    Bench bench({.name = "orders", .requires_session = sessions});
    for (const char* body : {"a", "b", "c"})
      REQUIRE(bench.send("orders", {.body = body, .session = sessions ? "s" : ""}));
    std::optional<SessionGrant> granted;
    Hands hands;
    ReceiverId receiver = 0;
    const ReceiverOptions options{.address = bench.at("orders"),
                                  .mode = ReceiveMode::ReceiveAndDelete};
    if (sessions) {
      bench.broker->open_session(
          options, {.id = "s", .give_up_at = bench.clock.now()}, hands, bench.clock.now(),
          [&](Result<SessionGrant> answer) { granted = *std::move(answer); });
      bench.rest();
      receiver = granted->receiver;
    } else {
      receiver = *bench.broker->open_receiver(options, hands, bench.clock.now());
    }
    bench.broker->grant(receiver, 2, false, bench.clock.now());
    bench.broker->tick(bench.clock.now());
    REQUIRE(bench.store.run_one());                             // their bodies are read
    bench.broker->grant(receiver, 2, true, bench.clock.now());  // the two are being deleted
    bench.rest();
    CHECK(hands.bodies() == Bodies{"a", "b"});
    CHECK(hands.drains == 1);
    CHECK(bench.counts("orders").active == 1);
  }
}

TEST_CASE("broker: a message that could not be deleted is not sent, and stays in its place") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}}));
  Hands hands;
  bench.store.fail_writes(1);
  bench.grant(bench.open_receiver("orders", hands, ReceiveMode::ReceiveAndDelete), 2);
  CHECK(hands.deliveries.empty());
  CHECK(bench.counts("orders").active == 2);
  bench.pass(1s);
  CHECK(hands.bodies() == Bodies{"a", "b"});
}

TEST_CASE("broker: when bodies cannot be read nothing is lost, and it is tried again") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}}));
  Hands hands;
  bench.store.fail_reads(1);
  bench.grant(bench.open_receiver("orders", hands), 2);
  CHECK(hands.deliveries.empty());
  bench.pass(1s);
  CHECK(hands.bodies() == Bodies{"a", "b"});
}

TEST_CASE("broker: what a receiver has not got when it goes is for others, without counting") {
  Bench bench;
  REQUIRE(bench.send("orders", {.body = "a"}));
  Hands gone, there;
  const auto receiver = bench.open_receiver("orders", gone);
  bench.broker->grant(receiver, 1, false, bench.clock.now());
  bench.broker->close(receiver, bench.clock.now());
  bench.rest();
  CHECK(gone.deliveries.empty());
  bench.grant(bench.open_receiver("orders", there), 1);
  CHECK(there.last().message->delivery_count == 0);
}

TEST_CASE("broker: more messages than one read holds come all, in order") {
  Bench bench;
  Bodies sent;
  for (int i = 0; i < 700; ++i) {
    sent.push_back(std::to_string(i));
    REQUIRE(bench.send("orders", {.body = sent.back()}));
  }
  Hands hands;
  bench.grant(bench.open_receiver("orders", hands), 1000);
  CHECK(hands.bodies() == sent);
}

TEST_CASE("broker: a crash ends every lock without counting") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}}));
  const Delivery first = bench.must_take("orders");
  bench.crash();
  CHECK_FALSE(bench.broker->find(first.token));
  const Delivery again = bench.must_take("orders");
  CHECK(testing::body_of(*again.message) == "a");
  CHECK(again.message->delivery_count == 0);
}

}  // namespace jobmill::broker
