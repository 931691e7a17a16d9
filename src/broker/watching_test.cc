// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "broker_bench.h"

namespace jobmill::broker {
namespace {

using namespace std::chrono_literals;
using testing::BrokerBench;
using testing::Hands;
using Action = Settlement::Action;
using Lines = std::vector<std::string>;

std::string text_of(const MessageEvent& event) {
  std::string text = std::to_string(event.sequence) + " ";
  text += event.outcome ? std::string(to_string(*event.outcome)) : "taken";
  text += " " + std::to_string(event.delivery_count);
  if (!event.holder.empty()) text += " " + event.holder;
  if (!event.reason.empty()) text += " " + event.reason;
  return text;
}

struct Bench : BrokerBench {
  explicit Bench(QueueDescription queue = {.name = "Orders"}, bool there = true) {
    listen();
    broker->watch("orders", true);
    if (there) REQUIRE(create(std::move(queue)));
    (void)told();
  }
  void listen() {
    broker->on_message([this](const MessageEvent& event) {
      CHECK(event.entity == "orders");
      lines.push_back(text_of(event));
    });
    broker->on_queue([this](const std::string& path) {
      CHECK(path == "orders");
      lines.push_back("changed");
    });
  }
  Lines told() { return std::exchange(lines, {}); }
  // Without the changes, of which several in a row say no more than one.
  Lines messages() {
    Lines all = told();
    std::erase(all, "changed");
    return all;
  }
  QueueState state() const {
    const auto state = broker->queue_state("ORDERS");
    REQUIRE(state);
    return *state;
  }
  Lines lines;
};

}  // namespace

TEST_CASE("watching: a message is taken, and completed") {
  Bench bench;
  REQUIRE(bench.send("orders", {.body = "a"}));
  CHECK(bench.told() == Lines{"changed"});
  CHECK(bench.state() == QueueState{.ready = 1});
  const Delivery held = bench.must_take("orders");
  CHECK(bench.told() == Lines{"1 taken 1", "changed"});
  CHECK(bench.state() == QueueState{.locked = 1});

  bench.broker->settle(held.lock, {}, bench.clock.now(), [](const Status&) {});
  CHECK(bench.told().empty());  // not before it is durable
  CHECK(bench.state() == QueueState{.locked = 1});
  bench.rest();
  CHECK(bench.told() == Lines{"1 completed 1", "changed"});
  CHECK(bench.state() == QueueState{});
}

TEST_CASE("watching: every way in which a lock ends is told once") {
  struct Case {
    const char* name;
    std::function<void(Bench&, const Delivery&)> end;
    Lines told;
  };
  const auto settle = [](Settlement settlement) {
    return [settlement](Bench& bench, const Delivery& held) {
      REQUIRE(bench.settle(held.lock, settlement));
    };
  };
  const std::vector<Case> cases{
      {"complete", settle({}), {"1 completed 1"}},
      {"abandon", settle({.action = Action::Abandon}), {"1 abandoned 1"}},
      {"release", settle({.action = Action::Release}), {"1 released 1"}},
      {"defer", settle({.action = Action::Defer}), {"1 deferred 1"}},
      {"dead letter",
       settle({.action = Action::DeadLetter, .reason = "Bad"}),
       {"1 dead-lettered 1 Bad"}},
      {"expiry", [](Bench& bench, const Delivery&) { bench.pass(1min); }, {"1 lock-lost 1"}},
      {"failed settlement, then expiry",
       [](Bench& bench, const Delivery& held) {
         bench.store.fail_writes(1);
         CHECK_FALSE(bench.settle(held.lock, {}));
         bench.pass(1min);
       },
       {"1 lock-lost 1"}},
      {"late settlement",
       [](Bench& bench, const Delivery& held) {
         bench.clock.advance(1min);
         CHECK_FALSE(bench.settle(held.lock, {}));
       },
       {"1 lock-lost 1"}},
      {"late renewal",
       [](Bench& bench, const Delivery& held) {
         bench.clock.advance(1min);
         CHECK_FALSE(bench.broker->renew(held.lock, bench.clock.now()));
       },
       {"1 lock-lost 1"}},
      {"deletion of the queue",
       [](Bench& bench, const Delivery&) { REQUIRE(bench.remove("orders")); },
       {"1 lock-lost 1"}},
  };
  for (const Case& one : cases) {
    CAPTURE(one.name);
    Bench bench;
    REQUIRE(bench.send("orders", {.body = "a"}));
    const Delivery held = bench.must_take("orders");
    (void)bench.told();
    one.end(bench, held);
    CHECK(bench.messages() == one.told);
  }
}

TEST_CASE("watching: a message that was delivered too often is told as a dead letter") {
  for (const bool expires : {true, false}) {
    CAPTURE(expires);
    Bench bench({.name = "orders", .max_delivery_count = 2});
    REQUIRE(bench.send("orders", {.body = "a"}));
    REQUIRE(bench.settle(bench.must_take("orders").lock, Action::Abandon));
    const Delivery held = bench.must_take("orders");
    (void)bench.told();
    if (expires) {
      bench.clock.advance(1min);
      bench.broker->tick(bench.clock.now());
      CHECK(bench.messages().empty());  // not durable yet
      bench.rest();
    } else {
      REQUIRE(bench.settle(held.lock, Action::Abandon));
    }
    CHECK(bench.messages() == Lines{"1 dead-lettered 2 MaxDeliveryCountExceeded"});
    CHECK(bench.state() == QueueState{.dead_letter = 1});
  }
}

TEST_CASE("watching: a queue that is deleted tells of dead letters that were not written yet") {
  Bench bench({.name = "orders", .max_delivery_count = 1});
  REQUIRE(bench.send("orders", {.body = "a"}));
  (void)bench.must_take("orders");
  (void)bench.told();
  bench.store.fail_writes(1);
  bench.clock.advance(1min);
  bench.broker->tick(bench.clock.now());
  bench.store.run();
  CHECK(bench.messages().empty());
  REQUIRE(bench.remove("orders"));
  CHECK(bench.messages().size() == 1);
}

TEST_CASE("watching: received and deleted is both when it is durable") {
  Bench bench;
  REQUIRE(bench.send("orders", {.body = "a"}));
  Hands hands;
  const ReceiverId id = bench.open_receiver("orders", hands, ReceiveMode::ReceiveAndDelete);
  (void)bench.told();
  bench.broker->grant(id, 1, false, bench.clock.now());
  REQUIRE(bench.store.run_one());  // it was read; its deletion waits
  CHECK(bench.messages().empty());
  CHECK(bench.state() == QueueState{.ready = 1});
  bench.rest();
  CHECK(bench.told() == Lines{"1 taken 1", "1 deleted 1", "changed"});
}

TEST_CASE("watching: deferred messages are taken by number") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}}));
  for (int i = 0; i < 2; ++i) REQUIRE(bench.settle(bench.must_take("orders").lock, Action::Defer));
  CHECK(bench.state() == QueueState{.deferred = 2});
  (void)bench.told();
  REQUIRE(bench.receive_deferred("orders", {2}));
  CHECK(bench.messages() == Lines{"2 taken 1"});
  CHECK(bench.state() == QueueState{.deferred = 2});
  REQUIRE(bench.receive_deferred("orders", {1}, {}, ReceiveMode::ReceiveAndDelete));
  CHECK(bench.messages() == Lines{"1 taken 1", "1 deleted 1"});
}

TEST_CASE("watching: who receives for a holder is named") {
  Bench bench;
  REQUIRE(bench.send("orders", {.body = "a"}));
  Hands hands;
  const auto id = bench.broker->open_receiver(
      {.address = bench.at("orders"), .holder = {"replica-1", bench.clock.now() + 1h}}, hands,
      bench.clock.now());
  REQUIRE(id);
  bench.grant(*id, 1);
  CHECK(bench.messages() == Lines{"1 taken 1 replica-1"});
  bench.broker->end_holder("replica-1", true, bench.clock.now());
  CHECK(bench.messages() == Lines{"1 abandoned 1 replica-1"});
  const Delivery held = bench.must_take("orders");
  CHECK(bench.messages() == Lines{"1 taken 2"});
}

TEST_CASE("watching: the state of a queue with sessions counts sessions") {
  Bench bench({.name = "orders", .requires_session = true});
  REQUIRE(bench.send_all("orders", {{.body = "a", .session = "s"},
                                    {.body = "b", .session = "s"},
                                    {.body = "c", .session = "t"}}));
  CHECK(bench.state() == QueueState{.ready = 2, .sessions = true});
  Hands hands;
  ReceiverId receiver = 0;
  bench.broker->open_session({.address = bench.at("orders")}, {"s", bench.clock.now()}, hands,
                             bench.clock.now(),
                             [&](Result<SessionGrant> grant) { receiver = (*grant).receiver; });
  (void)bench.told();
  bench.rest();
  CHECK(bench.state() == QueueState{.ready = 1, .locked = 1, .sessions = true});
  bench.grant(receiver, 1);
  CHECK(bench.messages() == Lines{"1 taken 1"});
  bench.pass(1min);
  CHECK(bench.told() == Lines{"1 lock-lost 1", "changed"});
  CHECK(bench.state() == QueueState{.ready = 2, .sessions = true});
}

TEST_CASE("watching: whatever changes the state of a queue is told") {
  Bench bench({}, false);
  CHECK_FALSE(bench.broker->queue_state("orders"));
  QueueDescription queue{.name = "orders", .dead_letter_on_expiration = true};
  const auto changes = [&](QueueState state) {
    const Lines told = bench.told();
    CHECK(told == Lines(told.size(), "changed"));
    CHECK_FALSE(told.empty());
    CHECK(bench.state() == state);
  };
  REQUIRE(bench.create(queue));
  changes({});
  REQUIRE(bench.schedule("orders", {.body = "a", .scheduled_for = bench.clock.now() + 1min}));
  changes({.scheduled = 1});
  bench.pass(1min);
  changes({.ready = 1});
  REQUIRE(bench.send("orders", {.body = "b", .ttl = 10s}));
  changes({.ready = 2});
  bench.pass(10s);
  changes({.ready = 1, .dead_letter = 1});
  queue.status = EntityStatus::ReceiveDisabled;
  REQUIRE(bench.update(queue));
  changes({.ready = 1, .dead_letter = 1, .receivable = false});
  queue.status = EntityStatus::SendDisabled;
  REQUIRE(bench.update(queue));
  changes({.ready = 1, .dead_letter = 1});
  REQUIRE(bench.answer<std::size_t>(
      [&](auto done) { bench.broker->purge(bench.at("orders/$deadletterqueue"), 10, {}, done); }));
  changes({.ready = 1});
  REQUIRE(bench.answer<std::size_t>(
      [&](auto done) { bench.broker->purge(bench.at("orders"), 10, {}, done); }));
  changes({});
  REQUIRE(bench.remove("orders"));
  CHECK_FALSE(bench.told().empty());
  CHECK_FALSE(bench.broker->queue_state("orders"));
}

TEST_CASE("watching: nothing is told of other queues, or when nobody watches any more") {
  Bench bench;
  REQUIRE(bench.create({.name = "bills"}));
  REQUIRE(bench.send("bills", {.body = "a"}));
  REQUIRE(bench.settle(bench.must_take("bills").lock, {}));
  CHECK(bench.told().empty());
  bench.broker->watch("ORDERS", false);
  REQUIRE(bench.send("orders", {.body = "a"}));
  CHECK(bench.told().empty());
  bench.broker->watch("Orders", true);
  REQUIRE(bench.settle(bench.must_take("orders").lock, {}));
  CHECK(bench.messages() == Lines{"1 taken 1", "1 completed 1"});
}

TEST_CASE("watching: what happens to dead letters is no message event") {
  Bench bench;
  REQUIRE(bench.send("orders", {.body = "a"}));
  REQUIRE(bench.settle(bench.must_take("orders").lock, Action::DeadLetter));
  (void)bench.told();
  REQUIRE(bench.settle(bench.must_take("orders/$deadletterqueue").lock, {}));
  const Lines told = bench.told();
  CHECK(told == Lines(told.size(), "changed"));
  CHECK(bench.state() == QueueState{});
}

// Whoever keeps books of the events has, at each change, what the broker counts.
TEST_CASE("watching: the books of takings and outcomes agree with the state, whatever happens") {
  for (unsigned seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    BrokerBench bench;
    std::set<SequenceNumber> hands;  // taken
    bool behind = false;             // events came after the last change
    bench.broker->watch("orders", true);
    bench.broker->on_message([&](const MessageEvent& event) {
      behind = true;
      if (event.outcome) {
        CHECK(hands.erase(event.sequence) == 1);
      } else {
        CHECK(hands.insert(event.sequence).second);
      }
    });
    std::optional<QueueState> known;
    bench.broker->on_queue([&](const std::string& path) {
      behind = false;
      known = *bench.broker->queue_state(path);
      // A dead letter in the making is nobody's, and its end is not durable yet.
      CHECK(known->locked <= static_cast<std::int64_t>(hands.size()));
    });
    REQUIRE(bench.create({.name = "orders", .lock_duration = 10s, .max_delivery_count = 3}));
    std::vector<std::unique_ptr<Hands>> receivers;
    std::vector<ReceiverId> ids;
    for (int i = 0; i < 3; ++i) {
      receivers.push_back(std::make_unique<Hands>());
      const ReceiverOptions options{
          .address = bench.at("orders"),
          .mode = i == 2 ? ReceiveMode::ReceiveAndDelete : ReceiveMode::PeekLock,
          .holder = {i == 1 ? "replica-1" : "", bench.clock.now() + 1h}};
      ids.push_back(*bench.broker->open_receiver(options, *receivers.back(), bench.clock.now()));
    }
    for (int step = 0; step < 300; ++step) {
      const std::size_t who = random() % 3;
      switch (random() % 8) {
        case 0:
        case 1:
          bench.post("orders", {{.body = "x"}, {.body = "y"}}, [](const Status&) {});
          break;
        case 2:
          bench.broker->grant(ids[who], static_cast<std::uint32_t>(random() % 4), false,
                              bench.clock.now());
          break;
        case 3:
        case 4:
          if (who < 2 && !receivers[who]->deliveries.empty()) {
            const LockId lock = receivers[who]->deliveries.back().lock;
            receivers[who]->deliveries.pop_back();
            bench.broker->settle(lock, {.action = static_cast<Action>(random() % 5)},
                                 bench.clock.now(), [](const Status&) {});
          }
          break;
        case 5:
          bench.clock.advance(std::chrono::milliseconds(random() % 4000));
          bench.broker->tick(bench.clock.now());
          break;
        case 6:
          if (random() % 10 == 0) {
            bench.broker->end_holder("replica-1", random() % 2 == 0, bench.clock.now());
            receivers[1]->deliveries.clear();
            ids[1] = *bench.broker->open_receiver(
                {.address = bench.at("orders"), .holder = {"replica-1", bench.clock.now() + 1h}},
                *receivers[1], bench.clock.now());
          } else if (random() % 4 == 0) {
            bench.store.fail_writes(1);
          }
          break;
        default:
          bench.store.run_one();
      }
      CHECK_FALSE(behind);
      if (known) CHECK(*known == *bench.broker->queue_state("orders"));
    }
    bench.store.fail_writes(0);
    bench.pass(1s);
    CHECK(static_cast<std::int64_t>(hands.size()) == known->locked);
    bench.broker->end_holder("replica-1", false, bench.clock.now());
    for (const ReceiverId id : ids) bench.broker->close(id, bench.clock.now());
    bench.pass(1min);
    CHECK(hands.empty());
  }
}

}  // namespace jobmill::broker
