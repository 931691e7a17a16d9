// SPDX-License-Identifier: Apache-2.0
#include <memory>
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
using Bodies = BrokerBench::Bodies;

// A receiver that asked for a session.
struct Asker {
  Hands hands{};
  ReceiverId id = 0;
  std::optional<Result<SessionGrant>> answer{};

  bool granted() const { return answer && bool(*answer); }
  std::string session() const { return granted() ? (*answer)->id : ""; }
};

struct Bench : BrokerBench {
  Bench() { REQUIRE(create({.name = "s", .requires_session = true, .max_delivery_count = 3})); }

  void send_to(const std::string& session, const Bodies& bodies) {
    for (const std::string& body : bodies) REQUIRE(send("s", {.body = body, .session = session}));
  }
  std::shared_ptr<Asker> ask(std::optional<std::string> session = {}, Duration patience = 60s,
                             ReceiveMode mode = ReceiveMode::PeekLock) {
    auto asker = std::make_shared<Asker>();
    asker->id = broker->open_session(
        {.address = at("s"), .mode = mode}, {session, clock.now() + patience}, asker->hands,
        clock.now(), [asker](Result<SessionGrant> answer) { asker->answer = std::move(answer); });
    CHECK_FALSE(asker->answer);  // never from within the call
    rest();
    return asker;
  }
  // As rest(), but nothing is written meanwhile.
  void rest_unwritten() {
    for (int i = 0; i < 10; ++i) {
      store.run_reads();
      broker->tick(clock.now());
    }
  }
  void end(const std::shared_ptr<Asker>& asker, bool by_time) {
    if (by_time) {
      clock.advance(1min);
    } else {
      broker->close(asker->id, clock.now());
    }
    rest_unwritten();
  }
  // Holds the session and wants all of it, with nothing written in the meantime.
  std::shared_ptr<Asker> follow(const std::string& session) {
    auto next = std::make_shared<Asker>();
    next->id = broker->open_session(
        {.address = at("s")}, {session, clock.now() + 1min}, next->hands, clock.now(),
        [next](Result<SessionGrant> answer) { next->answer = std::move(answer); });
    rest_unwritten();
    broker->grant(next->id, 10, false, clock.now());
    rest_unwritten();
    CHECK(next->granted());
    return next;
  }
  void close(const std::shared_ptr<Asker>& asker) {
    broker->close(asker->id, clock.now());
    rest();
  }
};

}  // namespace

TEST_CASE("sessions: the messages of one session go to one receiver, in order, up to its credit") {
  Bench bench;
  bench.send_to("x", {"x1", "x2", "x3"});
  bench.send_to("y", {"y1"});
  const auto x = bench.ask();
  REQUIRE(x->granted());
  CHECK(x->session() == "x");
  CHECK((*x->answer)->receiver == x->id);
  CHECK((*x->answer)->locked_until == bench.clock.now() + 1min);
  const auto y = bench.ask();
  CHECK(y->session() == "y");
  bench.grant(x->id, 2);
  CHECK(x->hands.bodies() == Bodies{"x1", "x2"});
  CHECK(x->hands.last().locked_until == (*x->answer)->locked_until);
  bench.grant(x->id, 2);
  bench.send_to("x", {"x4"});
  CHECK(x->hands.bodies() == Bodies{"x1", "x2", "x3", "x4"});
  CHECK(y->hands.deliveries.empty());
}

TEST_CASE("sessions: who asks for any session waits for one, in the order of arrival") {
  Bench bench;
  const auto first = bench.ask();
  const auto second = bench.ask();
  const auto third = bench.ask();
  CHECK_FALSE(first->answer);
  bench.broker->close(second->id, bench.clock.now());  // its link goes first
  bench.send_to("x", {"1"});
  bench.send_to("y", {"2"});
  CHECK(first->session() == "x");
  CHECK(third->session() == "y");
  CHECK_FALSE(second->answer);
}

TEST_CASE("sessions: who waited for too long is told so") {
  Bench bench;
  const auto asker = bench.ask({}, 10s);
  bench.pass(9s);
  CHECK_FALSE(asker->answer);
  bench.pass(1s);
  REQUIRE(asker->answer);
  CHECK(code_of(*asker->answer) == Code::Timeout);
  bench.send_to("x", {"1"});
  CHECK(bench.ask()->session() == "x");
}

TEST_CASE("sessions: a session with only deferred or locked messages is not next available") {
  Bench bench;
  bench.send_to("x", {"1"});
  const auto holder = bench.ask("x");
  bench.grant(holder->id, 1);
  REQUIRE(bench.settle(holder->hands.last().lock, Action::Defer));
  bench.close(holder);
  CHECK_FALSE(bench.ask()->granted());
}

TEST_CASE("sessions: a named session may be taken before it has messages, by one receiver") {
  Bench bench;
  const auto holder = bench.ask("x");
  CHECK(holder->session() == "x");
  const auto other = bench.ask("x");
  REQUIRE(other->answer);
  CHECK(code_of(*other->answer) == Code::Conflict);
  bench.grant(holder->id, 1);
  bench.send_to("x", {"1"});
  CHECK(holder->hands.bodies() == Bodies{"1"});
  bench.close(holder);
  CHECK(bench.ask("x")->granted());
}

TEST_CASE("sessions: entities with and without sessions are not mixed up") {
  Bench bench;
  REQUIRE(bench.create({.name = "plain"}));
  Hands hands;
  CHECK(code_of(bench.broker->open_receiver({.address = bench.at("s")}, hands,
                                            bench.clock.now())) == Code::Unsupported);
  std::optional<Code> code;
  bench.broker->open_session({.address = bench.at("plain")}, {"x", {}}, hands, bench.clock.now(),
                             [&](const Result<SessionGrant>& answer) { code = code_of(answer); });
  CHECK_FALSE(code);
  bench.rest();
  CHECK(code == Code::Unsupported);
}

TEST_CASE("sessions: when its link closes, messages in flight return to the front uncounted") {
  Bench bench;
  bench.send_to("x", {"1", "2", "3"});
  const auto first = bench.ask("x");
  bench.grant(first->id, 2);
  bench.close(first);
  CHECK(code_of(bench.settle(first->hands.last().lock, {})) == Code::Conflict);
  const auto second = bench.ask();
  bench.grant(second->id, 10);
  CHECK(second->hands.bodies() == Bodies{"1", "2", "3"});
  CHECK(second->hands.deliveries[0].message->delivery_count == 0);
}

TEST_CASE("sessions: a lost lock ends the receiver, and its messages count") {
  Bench bench;
  bench.send_to("x", {"1", "2"});
  const auto first = bench.ask("x");
  bench.grant(first->id, 1);
  bench.pass(30s);
  const auto until = bench.broker->renew_session(bench.at("s"), "x", bench.clock.now());
  REQUIRE(until);
  CHECK(*until == bench.clock.now() + 1min);
  bench.pass(59s);
  CHECK_FALSE(first->hands.end);
  bench.pass(1s);
  CHECK(first->hands.end == Code::Conflict);
  CHECK(code_of(bench.broker->renew_session(bench.at("s"), "x", bench.clock.now())) ==
        Code::Conflict);
  const auto second = bench.ask();
  bench.grant(second->id, 2);
  CHECK(second->hands.bodies() == Bodies{"1", "2"});
  CHECK(second->hands.deliveries[0].message->delivery_count == 1);
  CHECK(second->hands.deliveries[1].message->delivery_count == 0);
}

TEST_CASE("sessions: a message whose session lock was lost too often is dead-lettered") {
  Bench bench;
  bench.send_to("x", {"1"});
  for (int i = 0; i < 3; ++i) {
    const auto asker = bench.ask();
    REQUIRE(asker->granted());
    bench.grant(asker->id, 1);
    REQUIRE(asker->hands.deliveries.size() == 1);
    bench.pass(1min);
  }
  CHECK(bench.counts("s") == Counts{.dead_letter = 1});
  CHECK(bench.take_all("s/$deadletterqueue") == Bodies{"1"});  // without sessions
}

TEST_CASE("sessions: a settlement that is being written when the session ends still counts") {
  Bench bench;
  bench.send_to("x", {"1", "2"});
  const auto asker = bench.ask("x");
  bench.grant(asker->id, 2);
  std::vector<bool> settled;
  const auto note = [&](const Status& status) { settled.push_back(bool(status)); };
  bench.broker->settle(asker->hands.deliveries[0].lock, {}, bench.clock.now(), note);
  bench.store.run();
  bench.store.fail_writes(1);
  bench.broker->settle(asker->hands.deliveries[1].lock, {}, bench.clock.now(), note);
  bench.close(asker);
  CHECK(settled == std::vector{true, false});
  const auto next = bench.ask("x");
  bench.grant(next->id, 2);
  CHECK(next->hands.bodies() == Bodies{"2"});
}

// Nobody gets it twice, and nobody gets what is behind it before its fate is known.
TEST_CASE("sessions: a message whose deletion is being written when the session ends") {
  for (const bool by_time : {false, true}) {
    for (const bool received_and_deleted : {false, true}) {
      for (const bool written : {false, true}) {
        CAPTURE(by_time);
        CAPTURE(received_and_deleted);
        CAPTURE(written);
        Bench bench;
        bench.send_to("x", {"1", "2"});
        const auto first = bench.ask(
            "x", 60s, received_and_deleted ? ReceiveMode::ReceiveAndDelete : ReceiveMode::PeekLock);
        bench.broker->grant(first->id, 1, false, bench.clock.now());
        bench.rest_unwritten();
        if (!received_and_deleted)
          bench.broker->settle(first->hands.last().lock, {}, bench.clock.now(),
                               [&](const Status& status) { CHECK(bool(status) == written); });
        REQUIRE(bench.store.waiting() == 1);
        bench.store.fail_writes(written ? 0 : 1);
        bench.end(first, by_time);
        const auto next = bench.follow("x");
        CHECK(next->hands.bodies() == Bodies{});
        bench.rest();
        bench.pass(2s);  // after a failure it pauses
        CHECK(next->hands.bodies() == (written ? Bodies{"2"} : Bodies{"1", "2"}));
        CHECK(first->hands.end == (by_time ? std::optional(Code::Conflict) : std::nullopt));
        // A link that went gets nothing more; one that only lost its session does.
        const bool got = !received_and_deleted || (by_time && written);
        CHECK(first->hands.bodies() == (got ? Bodies{"1"} : Bodies{}));
      }
    }
  }
}

TEST_CASE("sessions: an abandoned message comes again before those behind it") {
  Bench bench;
  bench.send_to("x", {"1", "2"});
  const auto asker = bench.ask("x");
  bench.grant(asker->id, 1);
  REQUIRE(bench.settle(asker->hands.last().lock, Action::Abandon));
  bench.grant(asker->id, 2);
  CHECK(asker->hands.bodies() == Bodies{"1", "1", "2"});
}

TEST_CASE("sessions: deferred messages do not block, and need the session's lock") {
  Bench bench;
  bench.send_to("x", {"1", "2"});
  const auto asker = bench.ask("x");
  bench.grant(asker->id, 1);
  const SequenceNumber number = asker->hands.last().message->sequence;
  REQUIRE(bench.settle(asker->hands.last().lock, Action::Defer));
  bench.grant(asker->id, 1);
  CHECK(asker->hands.bodies() == Bodies{"1", "2"});
  CHECK(code_of(bench.receive_deferred("s", {number}, "y")) == Code::Conflict);
  const auto received = bench.receive_deferred("s", {number}, "x");
  REQUIRE(received);
  CHECK(received->at(0).locked_until == (*asker->answer)->locked_until);
  bench.close(asker);
  CHECK(bench.counts("s") == Counts{.active = 1, .deferred = 1});
  CHECK(code_of(bench.receive_deferred("s", {number}, "x")) == Code::Conflict);
}

TEST_CASE("sessions: receive-and-delete and drain work as without sessions") {
  Bench bench;
  bench.send_to("x", {"1", "2"});
  const auto asker = bench.ask("x", 60s, ReceiveMode::ReceiveAndDelete);
  bench.grant(asker->id, 5, true);
  CHECK(asker->hands.bodies() == Bodies{"1", "2"});
  CHECK(asker->hands.drains == 1);
  CHECK(bench.counts("s") == Counts{});
  bench.send_to("x", {"3"});
  CHECK(asker->hands.deliveries.size() == 2);
}

TEST_CASE("sessions: a message of a session is renewed with its session only") {
  Bench bench;
  bench.send_to("x", {"1"});
  const auto asker = bench.ask("x");
  bench.grant(asker->id, 1);
  CHECK(code_of(bench.broker->renew(asker->hands.last().lock, bench.clock.now())) ==
        Code::Unsupported);
}

TEST_CASE("sessions: a state outlives messages and crashes until it is removed") {
  Bench bench;
  const auto put = [&](std::optional<std::string> state) {
    return bench.status([&](auto done) {
      bench.broker->set_session_state(bench.at("s"), "x", state, bench.clock.now(), done);
    });
  };
  const auto get = [&] {
    const auto state = bench.broker->session_state(bench.at("s"), "x");
    REQUIRE(state);
    return state->value_or("none");
  };
  CHECK(get() == "none");
  REQUIRE(put("half done"));
  bench.crash();
  CHECK(get() == "half done");
  bench.store.fail_writes(1);
  CHECK(code_of(put("done")) == Code::Unavailable);
  CHECK(get() == "half done");
  REQUIRE(put({}));
  bench.crash();
  CHECK(get() == "none");
}

TEST_CASE("sessions: listed are those with messages or a state, or whose state changed since") {
  Bench bench;
  bench.send_to("b", {"1"});
  bench.send_to("a", {"1"});
  const TimePoint before = bench.clock.now();
  bench.clock.advance(1s);
  REQUIRE(bench.status([&](auto done) {
    bench.broker->set_session_state(bench.at("s"), "c", "state", bench.clock.now(), done);
  }));
  const auto held = bench.ask("d");
  const auto list = [&](std::optional<TimePoint> since, std::size_t skip, std::size_t top) {
    const auto ids = bench.broker->sessions(bench.at("s"), since, skip, top);
    REQUIRE(ids);
    return *ids;
  };
  CHECK(list({}, 0, 10) == Bodies{"a", "b", "c"});
  CHECK(list({}, 1, 1) == Bodies{"b"});
  CHECK(list(before, 0, 10) == Bodies{"c"});
  CHECK(list(bench.clock.now(), 0, 10).empty());
}

TEST_CASE("sessions: when the entity is deleted, who waits and who holds one is told") {
  Bench bench;
  const auto waiting = bench.ask();
  const auto holding = bench.ask("x");
  bench.send_to("x", {"1"});
  bench.grant(holding->id, 1);
  REQUIRE(bench.remove("s"));
  REQUIRE(waiting->answer);
  CHECK(code_of(*waiting->answer) == Code::NotFound);
  CHECK(holding->hands.end == Code::NotFound);
}

}  // namespace jobmill::broker
