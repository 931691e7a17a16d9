// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <optional>
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
using Action = Settlement::Action;

struct Bench : BrokerBench {
  explicit Bench(QueueDescription queue = {.name = "orders", .lock_duration = 5s}) {
    REQUIRE(create(std::move(queue)));
    deadline = clock.now() + 10min;
  }
  ReceiverOptions options(ReceiveMode mode = ReceiveMode::PeekLock) const {
    return {.address = at("orders"), .mode = mode, .holder = {"replica-1", deadline}};
  }
  ReceiverId hold(Hands& hands, std::uint32_t credit = 10) {
    const auto id = broker->open_receiver(options(), hands, clock.now());
    REQUIRE(id);
    grant(*id, credit);
    return *id;
  }
  void end(bool count) {
    broker->end_holder("replica-1", count, clock.now());
    rest();
  }
  std::vector<std::string> recorded() const {
    std::vector<std::string> all;
    for (const HolderOutcome& one : store.outcomes())
      all.push_back(one.holder + " " + one.entity + " " + std::to_string(one.sequence) + " " +
                    one.outcome);
    return all;
  }
  std::optional<TimePoint> deadline;
};
using Records = std::vector<std::string>;

}  // namespace

TEST_CASE("holder: its locks last as long as it may run, without renewals") {
  Bench bench;
  REQUIRE(bench.send("orders", {.body = "a"}));
  Hands hands;
  bench.hold(hands);
  CHECK(hands.last().locked_until == bench.deadline);
  bench.pass(60s);
  CHECK(bench.counts("orders").locked == 1);
  bench.pass(9min - 1s);
  REQUIRE(bench.settle(hands.last().lock, Action::Complete));
  CHECK(bench.counts("orders").total() == 0);
}

TEST_CASE("holder: at its deadline its locks run out") {
  Bench bench;
  REQUIRE(bench.send("orders", {.body = "a"}));
  Hands hands;
  const ReceiverId receiver = bench.hold(hands, 1);
  bench.broker->close(receiver, bench.clock.now());
  bench.pass(10min);
  CHECK(bench.must_take("orders").message->delivery_count == 1);
}

TEST_CASE("holder: a renewal never shortens a lock") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}}));
  Hands hands;
  bench.hold(hands, 1);
  const LockId lock = hands.last().lock;
  CHECK(*bench.broker->renew(lock, bench.clock.now()) == bench.deadline);
  bench.pass(10min - 2s);  // the last seconds, in which a lock is as anybody's
  CHECK(*bench.broker->renew(lock, bench.clock.now()) == *bench.deadline + 3s);
  bench.hold(hands, 1);
  CHECK(hands.last().locked_until == *bench.deadline + 3s);
}

TEST_CASE("holder: without a deadline its locks are as anybody's, but they end with it") {
  Bench bench;
  bench.deadline.reset();
  REQUIRE(bench.send("orders", {.body = "a"}));
  Hands hands;
  bench.hold(hands);
  CHECK(hands.last().locked_until == bench.clock.now() + 5s);
  bench.end(false);
  CHECK(bench.must_take("orders").message->delivery_count == 0);
}

TEST_CASE("holder: when it ends, its messages are back at once, counted or not") {
  for (const bool count : {true, false}) {
    CAPTURE(count);
    Bench bench;
    REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}, {.body = "c"}}));
    Hands hands;
    bench.hold(hands, 2);
    const Delivery others = bench.must_take("orders");
    bench.end(count);
    CHECK(bench.counts("orders").locked == 1);  // the other's
    const Delivery again = bench.must_take("orders");
    CHECK(body_of(*again.message) == "a");
    CHECK(again.message->delivery_count == (count ? 1u : 0u));
    CHECK(code_of(bench.settle(hands.last().lock, {})) == Code::Conflict);
    CHECK(bench.settle(others.lock, {}));
    CHECK_FALSE(hands.end);  // nobody is there to be told
  }
}

TEST_CASE("holder: its receivers get nothing more, whatever they ask for") {
  Bench bench;
  Hands hands;
  const ReceiverId receiver = bench.hold(hands);
  bench.end(true);
  bench.grant(receiver, 10);
  REQUIRE(bench.send("orders", {.body = "a"}));
  CHECK(hands.deliveries.empty());
  CHECK(bench.must_take("orders").message->delivery_count == 0);
  bench.broker->close(receiver, bench.clock.now());
}

TEST_CASE("holder: what is read for it when it ends goes to others") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}}));
  Hands hands;
  const auto receiver = bench.broker->open_receiver(bench.options(), hands, bench.clock.now());
  bench.broker->grant(*receiver, 2, false, bench.clock.now());  // asks the store, which waits
  bench.broker->end_holder("replica-1", true, bench.clock.now());
  bench.rest();
  CHECK(hands.deliveries.empty());
  CHECK(bench.must_take("orders").message->delivery_count == 0);

  const LockId other = bench.must_take("orders").lock;
  REQUIRE(bench.settle(other, Action::Defer));
  const SequenceNumber number = 2;
  std::optional<Code> refused;
  bench.broker->receive(bench.options(), {}, std::span(&number, 1), bench.clock.now(),
                        [&](const auto& got) {
                          if (!got) refused = got.error().code;
                        });
  bench.broker->end_holder("replica-1", true, bench.clock.now());
  bench.rest();
  CHECK(refused == Code::Conflict);
  CHECK(bench.counts("orders").deferred == 1);
}

TEST_CASE("holder: a message that may be delivered once is a dead letter when it ends") {
  Bench bench({.name = "orders", .max_delivery_count = 1});
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}}));
  Hands hands;
  bench.hold(hands, 1);
  bench.end(true);
  const auto dead = bench.peek("orders/$deadletterqueue");
  REQUIRE(dead.size() == 1);
  CHECK(body_of(*dead[0]) == "a");
  CHECK(testing::property_of(*dead[0], "DeadLetterReason") == "MaxDeliveryCountExceeded");
  CHECK(bench.recorded() == Records{"replica-1 orders 1 dead-lettered"});

  bench.hold(hands, 1);
  bench.end(false);
  CHECK(bench.counts("orders") == Counts{.active = 1, .dead_letter = 1});
}

TEST_CASE("holder: a settlement under way when it ends wins, if it can be written") {
  for (const Action action :
       {Action::Complete, Action::Abandon, Action::Defer, Action::DeadLetter}) {
    for (const bool written : {true, false}) {
      CAPTURE(static_cast<int>(action));
      CAPTURE(written);
      Bench bench;
      REQUIRE(bench.send("orders", {.body = "a"}));
      Hands hands;
      bench.hold(hands, 1);
      std::optional<bool> settled;
      bench.broker->settle(hands.last().lock, {.action = action}, bench.clock.now(),
                           [&](const Status& status) { settled = static_cast<bool>(status); });
      if (!written) bench.store.fail_writes(1);
      bench.end(true);
      CHECK(settled == written);
      const Counts counts = bench.counts("orders");
      CHECK(counts.locked == 0);
      CHECK(counts.active == (!written || action == Action::Abandon ? 1 : 0));
      if (counts.active == 1) CHECK(bench.must_take("orders").message->delivery_count == 1);
    }
  }
}

TEST_CASE("holder: the lock of a session lasts as long, and ends with it") {
  Bench bench({.name = "orders", .lock_duration = 5s, .requires_session = true});
  REQUIRE(bench.send_all("orders", {{.body = "a", .session = "s"}, {.body = "b", .session = "s"}}));
  Hands hands;
  std::optional<SessionGrant> granted;
  bench.broker->open_session(bench.options(), {"s", bench.clock.now()}, hands, bench.clock.now(),
                             [&](Result<SessionGrant> grant) { granted = *std::move(grant); });
  bench.rest();
  REQUIRE(granted);
  CHECK(granted->locked_until == bench.deadline);
  bench.grant(granted->receiver, 2);
  CHECK(hands.last().locked_until == bench.deadline);
  bench.pass(60s);
  CHECK(*bench.broker->renew_session(bench.at("orders"), "s", bench.clock.now()) == bench.deadline);
  REQUIRE(bench.settle(hands.last().lock, Action::Complete));
  CHECK(bench.recorded() == Records{"replica-1 orders 2 completed"});
  bench.end(true);

  Hands others;
  std::optional<ReceiverId> next;
  bench.broker->open_session({.address = bench.at("orders")}, {"s", bench.clock.now()}, others,
                             bench.clock.now(),
                             [&](Result<SessionGrant> grant) { next = (*grant).receiver; });
  bench.rest();
  REQUIRE(next);
  bench.grant(*next, 2);
  REQUIRE(others.deliveries.size() == 1);
  CHECK(others.last().message->delivery_count == 1);
}

TEST_CASE("holder: who waits for a session and ends is not served") {
  Bench bench({.name = "orders", .requires_session = true});
  Hands hands;
  bool answered = false;
  bench.broker->open_session(bench.options(), {.give_up_at = bench.clock.now() + 1h}, hands,
                             bench.clock.now(), [&](const auto&) { answered = true; });
  bench.end(true);
  REQUIRE(bench.send("orders", {.body = "a", .session = "s"}));
  CHECK_FALSE(answered);
  CHECK(bench.broker->queue_state("orders")->ready == 1);
}

TEST_CASE("holder: what it did is written with its settlements, what others did is not") {
  Bench bench;
  REQUIRE(bench.send_all("orders", {{.body = "a"}, {.body = "b"}, {.body = "c"}, {.body = "d"}}));
  Hands hands;
  bench.hold(hands, 3);
  std::vector<Action> actions{Action::Complete, Action::DeadLetter, Action::Defer};
  for (std::size_t i = 0; i < actions.size(); ++i) {
    bench.store.fail_writes(1);
    CHECK_FALSE(bench.settle(hands.deliveries[i].lock, actions[i]));
    bench.pass(1s);
    REQUIRE(bench.settle(hands.deliveries[i].lock, actions[i]));
  }
  REQUIRE(bench.settle(bench.must_take("orders").lock, {}));
  const Records expected{"replica-1 orders 1 completed", "replica-1 orders 2 dead-lettered",
                         "replica-1 orders 3 deferred"};
  CHECK(bench.recorded() == expected);
  CHECK_FALSE(bench.store.outcomes()[0].message_id.empty());

  REQUIRE(bench.send("orders", {.body = "e"}));
  const auto deletes = bench.broker->open_receiver(bench.options(ReceiveMode::ReceiveAndDelete),
                                                   hands, bench.clock.now());
  bench.grant(*deletes, 1);
  CHECK(bench.recorded().back() == "replica-1 orders 5 deleted");
}

}  // namespace jobmill::broker
