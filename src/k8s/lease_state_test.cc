// SPDX-License-Identifier: Apache-2.0
#include "k8s/lease_state.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <vector>

using namespace std::chrono_literals;

namespace jobmill::k8s {
namespace {

using Kind = LeaseState::Request::Kind;

LeaseState::Options options(const std::string& identity) {
  return {.identity = identity, .duration = 4s, .renew_deadline = 3s, .retry = 1s};
}

Lease held_by(const std::string& holder, const std::string& version) {
  return {.holder = holder, .duration = 4s, .transitions = 3, .version = version};
}

Fault fault(Code code) { return fail(code, "why"); }

// One server's state, with its clock.
struct Server {
  ManualClock clock;
  LeaseState state{options("me")};

  std::optional<LeaseState::Request> next() { return state.next(clock.now()); }
  bool leads() const { return state.leads(clock.now()); }
  void answer(std::uint64_t number, Result<Lease> lease) {
    (void)state.answered(number, std::move(lease), clock.now());
  }
  // The request that must be due, of that kind; answered so.
  void expect(Kind kind, Result<Lease> lease) {
    const auto request = next();
    REQUIRE(request);
    REQUIRE(request->kind == kind);
    answer(request->number, std::move(lease));
  }
};

}  // namespace

TEST_CASE("lease: where there is none, it is made, and then renewed") {
  Server server;
  server.expect(Kind::Read, fault(Code::NotFound));
  const auto made = server.next();
  REQUIRE(made);
  CHECK(made->acquires);
  CHECK(made->lease == Lease{.holder = "me", .duration = 4s, .transitions = 0, .version = ""});
  CHECK_FALSE(server.leads());
  server.answer(made->number, held_by("me", "1"));
  CHECK(server.leads());
  CHECK(server.state.leader() == "me");
  CHECK_FALSE(server.next());
  CHECK(server.state.next_change(server.clock.now()) == server.clock.now() + 1s);
  server.clock.advance(1s);
  const auto renewal = server.next();
  REQUIRE(renewal);
  CHECK_FALSE(renewal->acquires);
  CHECK(renewal->lease.version == "1");
  CHECK(renewal->lease.transitions == 3);
}

TEST_CASE("lease: one that is not renewed for its duration is taken at once") {
  Server server;
  server.expect(Kind::Read, held_by("other", "7"));
  for (int i = 0; i < 3; ++i) {
    CHECK_FALSE(server.next());
    server.clock.advance(1s);
    server.expect(Kind::Read, held_by("other", "7"));
  }
  server.clock.advance(999ms);
  CHECK_FALSE(server.next());
  server.clock.advance(1ms);
  const auto taken = server.next();
  REQUIRE(taken);
  CHECK(taken->acquires);
  CHECK(taken->lease == Lease{.holder = "me", .duration = 4s, .transitions = 4, .version = "7"});
  server.answer(taken->number, held_by("me", "8"));
  CHECK(server.leads());
}

TEST_CASE("lease: a renewal that is seen begins the count anew") {
  Server server;
  server.expect(Kind::Read, held_by("other", "7"));
  server.clock.advance(1s);
  server.expect(Kind::Read, held_by("other", "8"));
  for (int i = 0; i < 3; ++i) {
    server.clock.advance(1s);
    server.expect(Kind::Read, held_by("other", "8"));
  }
  server.clock.advance(1s);
  server.expect(Kind::Write, held_by("me", "9"));
}

TEST_CASE("lease: one that was given back is taken without waiting") {
  Server server;
  server.expect(Kind::Read, held_by("", "7"));
  server.expect(Kind::Write, held_by("me", "8"));
  CHECK(server.leads());
}

TEST_CASE("lease: it is counted from when the write was begun, not from its answer") {
  Server server;
  server.expect(Kind::Read, held_by("", "7"));
  const auto write = server.next();
  server.clock.advance(2s);
  server.answer(write->number, held_by("me", "8"));
  CHECK(server.leads());
  server.clock.advance(999ms);
  CHECK(server.leads());
  server.clock.advance(1ms);
  CHECK_FALSE(server.leads());
}

TEST_CASE("lease: an answer that comes too late makes no leader") {
  Server server;
  server.expect(Kind::Read, held_by("", "7"));
  const auto write = server.next();
  server.clock.advance(3s);
  const auto read = server.next();
  REQUIRE(read);
  CHECK(read->kind == Kind::Read);
  server.answer(write->number, held_by("me", "8"));
  CHECK_FALSE(server.leads());
  server.answer(read->number, held_by("me", "8"));
  CHECK_FALSE(server.leads());  // a read never makes one
  server.expect(Kind::Write, held_by("me", "9"));
  CHECK(server.leads());
}

TEST_CASE("lease: a leader that cannot renew stops after its deadline") {
  Server server;
  server.expect(Kind::Read, held_by("", "7"));
  server.expect(Kind::Write, held_by("me", "8"));
  const TimePoint begun = server.clock.now();
  server.clock.advance(1s);
  server.expect(Kind::Write, fault(Code::Unavailable));
  while (server.leads()) {
    server.clock.set(server.state.next_change(server.clock.now()));
    if (const auto request = server.next())
      server.answer(request->number, fault(Code::Unavailable));
    REQUIRE(server.clock.now() <= begun + 3s);
  }
  CHECK(server.clock.now() == begun + 3s);
}

TEST_CASE("lease: somebody else's edit of the lease costs a leader nothing") {
  Server server;
  server.expect(Kind::Read, held_by("", "7"));
  server.expect(Kind::Write, held_by("me", "8"));
  server.clock.advance(1s);
  server.expect(Kind::Write, fault(Code::Conflict));
  server.expect(Kind::Read, held_by("me", "9"));
  CHECK(server.leads());
  server.expect(Kind::Write, held_by("me", "10"));
  CHECK(server.leads());
}

TEST_CASE("lease: a server that always reports a conflict is not hurried") {
  Server server;
  server.expect(Kind::Read, held_by("", "7"));
  server.expect(Kind::Write, fault(Code::Conflict));
  server.expect(Kind::Read, held_by("", "7"));
  server.expect(Kind::Write, fault(Code::Conflict));
  CHECK_FALSE(server.next());
  CHECK(server.state.next_change(server.clock.now()) == server.clock.now() + 1s);
}

TEST_CASE("lease: a leader that sees another stops at once") {
  Server server;
  server.expect(Kind::Read, held_by("", "7"));
  server.expect(Kind::Write, held_by("me", "8"));
  server.clock.advance(1s);
  server.expect(Kind::Write, fault(Code::Conflict));
  server.expect(Kind::Read, held_by("other", "9"));
  CHECK_FALSE(server.leads());
  CHECK(server.state.leader() == "other");
}

TEST_CASE("lease: one that somebody deleted is still its holder's for its duration") {
  Server server;
  server.expect(Kind::Read, held_by("other", "7"));
  server.clock.advance(1s);
  server.expect(Kind::Read, fault(Code::NotFound));
  CHECK_FALSE(server.next());
  server.clock.advance(3s);
  const auto made = server.next();
  REQUIRE(made);
  CHECK(made->kind == Kind::Write);
  CHECK(made->lease.version == "");
}

TEST_CASE("lease: who resigns stops at once and gives it back") {
  Server server;
  server.expect(Kind::Read, held_by("", "7"));
  server.expect(Kind::Write, held_by("me", "8"));
  server.state.resign(server.clock.now());
  CHECK_FALSE(server.leads());
  CHECK_FALSE(server.state.at_rest(server.clock.now()));
  const auto release = server.next();
  REQUIRE(release);
  CHECK(release->lease.holder == "");
  CHECK(release->lease.version == "8");
  server.answer(release->number, held_by("", "9"));
  CHECK(server.state.at_rest(server.clock.now()));
  server.clock.advance(1h);
  CHECK_FALSE(server.next());
}

TEST_CASE("lease: who resigns without holding it is at rest, who cannot write in the end, too") {
  Server server;
  server.expect(Kind::Read, held_by("other", "7"));
  server.state.resign(server.clock.now());
  CHECK(server.state.at_rest(server.clock.now()));

  Server holder;
  holder.expect(Kind::Read, held_by("", "7"));
  holder.expect(Kind::Write, held_by("me", "8"));
  holder.state.resign(holder.clock.now());
  holder.expect(Kind::Write, fault(Code::Unavailable));
  CHECK_FALSE(holder.state.at_rest(holder.clock.now()));
  holder.clock.advance(3s);
  CHECK(holder.state.at_rest(holder.clock.now()));
  CHECK_FALSE(holder.next());
}

namespace {

// An API server with one lease, a network that delays and loses, and servers that come and go,
// whose clocks show anything and differ in pace.
class Simulation {
 public:
  explicit Simulation(unsigned seed) : random_(seed) {
    for (int i = 0; i < 3; ++i) start(i, Duration(0));
  }

  // Faults for so long, then so long without: then somebody leads.
  void run(Duration faults, Duration calm) {
    calm_from_ = faults;
    while (true) {
      const auto event = events_.begin();
      if (event == events_.end() || event->first > faults + calm) break;
      now_ = event->first;
      const auto work = std::move(event->second);
      events_.erase(event);
      work();
      check();
    }
  }

  int leaders() const {
    return static_cast<int>(std::count_if(nodes_.begin(), nodes_.end(),
                                          [&](const auto& node) { return leads(*node); }));
  }

  // The leader dies, or resigns; how long until another leads.
  Duration replace_leader(bool by_resigning) {
    const Duration from = now_;
    for (const auto& node : nodes_) {
      if (!leads(*node)) continue;
      if (by_resigning) {
        node->state.resign(local(*node));
        go_on(*node);
      } else {
        node->alive = false;
      }
      break;
    }
    while (leaders() == 0) {
      const auto event = events_.begin();
      REQUIRE(event != events_.end());
      now_ = event->first;
      const auto work = std::move(event->second);
      events_.erase(event);
      work();
      check();
      REQUIRE(now_ < from + 1min);
    }
    return now_ - from;
  }

  int changes() const { return changes_; }

 private:
  struct Node {
    LeaseState state;
    Duration offset;  // of its clock
    double pace;
    bool alive = true;
    bool cut_off = false;
  };

  int below(int limit) { return std::uniform_int_distribution(0, limit - 1)(random_); }
  bool chance(int percent) { return below(100) < percent; }
  bool is_calm() const { return now_ >= calm_from_; }

  TimePoint local(const Node& node) const {
    return TimePoint(node.offset + Duration(static_cast<Duration::rep>(
                                       static_cast<double>(now_.count()) * node.pace)));
  }
  bool leads(const Node& node) const { return node.alive && node.state.leads(local(node)); }

  // Never two. Leading begins only with an answer, so a look after each event sees all.
  void check() {
    if (leaders() > 1) FAIL("two leaders");
    for (const auto& node : nodes_) {
      if (!leads(*node) || node.get() == last_) continue;
      last_ = node.get();
      ++changes_;
    }
  }

  void at(Duration when, std::function<void()> work) { events_.emplace(when, std::move(work)); }

  void start(int place, Duration when) {
    at(when, [this, place] {
      const std::string identity = "node-" + std::to_string(place) + "-" + std::to_string(++born_);
      auto node = std::make_shared<Node>(Node{.state = LeaseState(options(identity)),
                                              .offset = Duration(1s * (1 + below(1'000'000))),
                                              .pace = 0.95 + 0.01 * below(11)});
      nodes_.push_back(node);
      go_on(*node);
      if (!is_calm()) trouble(place, node);
    });
  }

  // Sometime it is cut off for a while, or resigns, or dies; then another takes its place.
  void trouble(int place, const std::shared_ptr<Node>& node) {
    at(now_ + 1ms * below(30'000), [this, place, node] {
      if (is_calm()) {
        node->cut_off = false;
        return;
      }
      const int what = below(4);
      if (what < 2) {
        node->cut_off = !node->cut_off;
        return trouble(place, node);
      }
      if (what == 2) {
        node->state.resign(local(*node));
        go_on(*node);
        at(now_ + 5s, [node] { node->alive = false; });
      } else {
        node->alive = false;
      }
      start(place, now_ + 1ms * below(3000));
    });
  }

  void go_on(Node& node) {
    if (!node.alive) return;
    if (const auto request = node.state.next(local(node))) send(node, *request);
    if (node.state.at_rest(local(node))) return;
    const Duration wait = node.state.next_change(local(node)) - local(node);
    const auto longer =
        static_cast<Duration::rep>(static_cast<double>(wait.count()) / node.pace) + 1;
    at(now_ + Duration(longer), [this, &node] { go_on(node); });
  }

  Duration delay() {
    if (is_calm() || chance(70)) return 1ms * (1 + below(5));
    return chance(80) ? Duration(1ms * below(1500)) : Duration(1ms * below(15'000));
  }

  void send(Node& node, const LeaseState::Request& request) {
    if (is_lost(node)) return refuse_later(node, request.number);
    at(now_ + delay(), [this, &node, request] {
      const Result<Lease> answer = serve(request);
      if (is_lost(node)) return refuse_later(node, request.number);
      at(now_ + delay(), [this, &node, request, answer] { tell(node, request.number, answer); });
    });
  }

  bool is_lost(const Node& node) { return !is_calm() && (node.cut_off || chance(10)); }

  // A connection that breaks is told, or nothing is.
  void refuse_later(Node& node, std::uint64_t number) {
    if (chance(50)) return;
    at(now_ + delay(), [this, &node, number] { tell(node, number, fault(Code::Unavailable)); });
  }

  void tell(Node& node, std::uint64_t number, const Result<Lease>& answer) {
    if (!node.alive) return;
    (void)node.state.answered(number, answer, local(node));
    go_on(node);
  }

  Result<Lease> serve(const LeaseState::Request& request) {
    if (request.kind == Kind::Read) {
      if (lease_.version.empty()) return fault(Code::NotFound);
      return lease_;
    }
    if (request.lease.version != lease_.version)
      return fault(request.lease.version.empty() ? Code::AlreadyExists : Code::Conflict);
    lease_ = request.lease;
    lease_.version = std::to_string(++version_);
    return lease_;
  }

  std::mt19937 random_;
  std::multimap<Duration, std::function<void()>> events_;
  Duration now_{};
  Duration calm_from_ = Duration::max();
  std::vector<std::shared_ptr<Node>> nodes_;  // also the dead, which events may still name
  Lease lease_;
  int version_ = 0;
  int born_ = 0;
  int changes_ = 0;
  const Node* last_ = nullptr;
};

}  // namespace

TEST_CASE("lease: never two leaders, whatever the network does, and one when it is well again") {
  int changes = 0;
  for (unsigned seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);  // rerun with this seed to see the same history
    Simulation simulation(seed);
    simulation.run(3min, 1min);
    REQUIRE(simulation.leaders() == 1);
    changes += simulation.changes();
  }
  CHECK(changes > 300);
}

TEST_CASE(
    "lease: another leads within duration and retry of a death, within retry of a resignation") {
  for (unsigned seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    Simulation simulation(seed);
    simulation.run(0s, 1min);
    const double slowest = 0.95;
    CHECK(simulation.replace_leader(false) <=
          Duration(static_cast<int>(5'000'000 / slowest) + 30'000));
    simulation.run(0s, 2min);
    CHECK(simulation.replace_leader(true) <=
          Duration(static_cast<int>(1'000'000 / slowest) + 30'000));
  }
}

}  // namespace jobmill::k8s
