// SPDX-License-Identifier: Apache-2.0
#include "targets/process/replica_set.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

namespace jobmill::targets {
namespace {

using namespace std::chrono_literals;
using Kind = Action::Kind;

// The owner of a ReplicaSet as it should be: processes start at once, the store is a list.
class Owner {
 public:
  explicit Owner(ReplicaRules rules) : set("mill", rules, 7) {}

  ReplicaSet set;
  ManualClock clock;
  std::vector<LeaseView> store;
  bool store_works = true;
  bool confirm = true;       // answer Quiet and Unquiet at once
  std::vector<Action> done;  // all but ReadLeases

  void work() {
    for (auto actions = set.take_actions(); !actions.empty(); actions = set.take_actions()) {
      for (const Action& action : actions) perform(action);
    }
  }
  void want(int replicas) {
    set.want(replicas, clock.now());
    work();
  }
  void pass(Duration by) {
    clock.advance(by);
    set.tick(clock.now());
    work();
  }
  void exit(const std::string& replica, ProcessExit exit = {}) {
    set.exited(replica, exit, clock.now());
    work();
  }
  void changed() {  // the store says that workers changed
    set.leases(set.read_begins(), store, clock.now());
    work();
  }
  void register_worker(const std::string& replica, int occupied = 0, Duration ago = 0s) {
    store.push_back({.replica = replica, .worker_id = "w-" + replica, .occupied = occupied});
    if (occupied > 0) store.back().oldest_start = clock.now() - ago;
    changed();
  }
  LeaseView& lease(const std::string& replica) {
    return *std::ranges::find(store, replica, &LeaseView::replica);
  }
  void confirm_mark(const std::string& replica, bool quiet) {
    lease(replica).quiet = quiet;
    set.marked("w-" + replica, {}, clock.now());
    work();
  }
  std::string name(std::size_t at) const { return set.replicas().at(at).name; }
  std::vector<std::string> names() const {
    std::vector<std::string> list;
    for (const auto& replica : set.replicas()) list.push_back(replica.name);
    return list;
  }
  // Forgets what it returns.
  std::vector<std::string> replicas_of(Kind kind) {
    std::vector<std::string> list;
    for (const Action& action : done) {
      if (action.kind == kind) list.push_back(action.replica);
    }
    std::erase_if(done, [&](const Action& a) { return a.kind == kind; });
    return list;
  }

 private:
  void perform(const Action& action) {
    if (action.kind == Kind::ReadLeases) {
      if (store_works) set.leases(set.read_begins(), store, clock.now());
      return;
    }
    done.push_back(action);
    if (action.kind == Kind::Start) set.started(action.replica, ++pid_, clock.now());
    const bool mark = action.kind == Kind::Quiet || action.kind == Kind::Unquiet;
    if (mark && confirm) {
      lease(action.replica).quiet = action.kind == Kind::Quiet;
      set.marked(action.worker_id, {}, clock.now());
    }
  }
  std::int64_t pid_ = 100;
};

// A group of registered, idle workers.
struct Workers : Owner {
  explicit Workers(int count) : Owner({.ready_when = ReadyWhen::Registered}) {
    want(count);
    for (const std::string& replica : names()) register_worker(replica);
    done.clear();
  }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("replica set: it starts what is wanted, under names of its own") {
  Owner owner({});
  owner.want(3);

  CHECK(owner.replicas_of(Kind::Start) == owner.names());
  CHECK(owner.set.counts().ready == 3);
  CHECK(owner.name(0).size() == std::string("mill-xxxxx").size());
  CHECK(owner.name(0).starts_with("mill-"));
  CHECK(owner.name(0) != owner.name(1));
}

TEST_CASE("replica set: a worker is ready while it is registered") {
  Owner owner({.ready_when = ReadyWhen::Registered});
  owner.want(1);
  CHECK(owner.set.counts().starting == 1);

  owner.register_worker(owner.name(0));
  CHECK(owner.set.counts().ready == 1);

  owner.store.clear();
  owner.changed();
  CHECK(owner.set.counts().starting == 1);
}

TEST_CASE("replica set: with a probe, the probe says what is ready") {
  Owner owner({.ready_when = ReadyWhen::Probed});
  owner.want(1);
  owner.register_worker(owner.name(0));
  CHECK(owner.set.counts().starting == 1);

  owner.set.ready(owner.name(0), true, owner.clock.now());
  CHECK(owner.set.counts().ready == 1);
  owner.set.ready(owner.name(0), false, owner.clock.now());
  CHECK(owner.set.counts().starting == 1);
}

TEST_CASE("replica set: victims are the unready, then the idle, then those that lose the least") {
  Owner owner({.ready_when = ReadyWhen::Registered});
  owner.want(4);
  const Names names = owner.names();
  owner.register_worker(names[0], 1, 60s);
  owner.register_worker(names[1], 2, 5s);
  owner.register_worker(names[2]);  // idle; names[3] is not ready
  owner.done.clear();

  owner.want(3);
  CHECK(owner.replicas_of(Kind::Term) == Names{names[3]});
  owner.want(2);
  CHECK(owner.replicas_of(Kind::Term) == Names{names[2]});
  owner.want(1);
  CHECK(owner.replicas_of(Kind::Quiet) == Names{names[2], names[1]});
  owner.want(0);
  CHECK(owner.replicas_of(Kind::Quiet) == Names{names[0]});
  CHECK(owner.replicas_of(Kind::Term).empty());  // both hold jobs
  CHECK(owner.set.counts().draining == 4);
  CHECK(owner.set.counts().current() == 0);
}

TEST_CASE("replica set: a victim that is waiting to start again just goes") {
  Owner owner({});
  owner.want(2);
  const std::string crashed = owner.name(0);
  owner.exit(crashed, {.exit_code = 1});
  owner.exit(crashed, {.exit_code = 1});  // now it waits 10 s
  owner.done.clear();

  owner.want(1);
  CHECK(owner.set.counts().ready == 1);
  CHECK(owner.set.counts().draining == 0);
  CHECK(owner.done.empty());
}

TEST_CASE("replica set: TERM waits for the confirmed mark and for the end of the work") {
  Workers owner(1);
  owner.confirm = false;
  const std::string name = owner.name(0);

  owner.want(0);
  CHECK(owner.replicas_of(Kind::Quiet) == Names{name});
  owner.lease(name).occupied = 1;  // a claim that was under way when the mark was asked for
  owner.changed();
  owner.confirm_mark(name, true);
  owner.pass(24h);
  CHECK(owner.replicas_of(Kind::Term).empty());

  owner.lease(name).occupied = 0;
  owner.changed();
  CHECK(owner.replicas_of(Kind::Term) == Names{name});
}

TEST_CASE("replica set: an idle picture from before the confirmation does not count") {
  Workers owner(1);
  owner.confirm = false;
  const std::string name = owner.name(0);
  owner.want(0);
  owner.changed();  // idle, but the mark is on its way
  CHECK(owner.replicas_of(Kind::Term).empty());

  owner.store_works = false;
  owner.confirm_mark(name, true);
  CHECK(owner.replicas_of(Kind::Term).empty());

  owner.store_works = true;
  owner.pass(1s);  // it asks again
  CHECK(owner.replicas_of(Kind::Term) == Names{name});
}

TEST_CASE("replica set: a picture that was begun before the confirmation does not count") {
  Workers owner(1);
  owner.confirm = false;
  owner.store_works = false;
  const std::string name = owner.name(0);
  owner.want(0);
  owner.changed();
  REQUIRE(owner.replicas_of(Kind::Quiet) == Names{name});

  // Read before, delivered after: it shows the worker idle and, from an earlier drain, quiet.
  const std::uint64_t read = owner.set.read_begins();
  std::vector<LeaseView> old = owner.store;
  old[0].quiet = true;
  owner.lease(name).occupied = 1;
  owner.confirm_mark(name, true);
  owner.set.leases(read, old, owner.clock.now());
  owner.work();
  CHECK(owner.replicas_of(Kind::Term).empty());

  owner.lease(name).occupied = 0;
  owner.changed();
  CHECK(owner.replicas_of(Kind::Term) == Names{name});
}

TEST_CASE("replica set: a picture from before its start does not prove that it never registered") {
  Owner owner({.ready_when = ReadyWhen::Registered});
  const std::uint64_t read = owner.set.read_begins();
  owner.store_works = false;
  owner.want(1);
  owner.want(0);
  owner.set.leases(read, {}, owner.clock.now());
  owner.work();
  CHECK(owner.replicas_of(Kind::Term).empty());
  owner.changed();
  CHECK(owner.replicas_of(Kind::Term).size() == 1);
}

TEST_CASE("replica set: draining replicas go back to work before any is started") {
  Workers owner(3);
  for (LeaseView& lease : owner.store) lease.occupied = 1;
  owner.want(0);
  owner.replicas_of(Kind::Quiet);

  owner.want(2);
  CHECK(owner.replicas_of(Kind::Unquiet).size() == 2);
  CHECK(owner.replicas_of(Kind::Start).empty());
  CHECK(owner.set.counts().ready == 2);

  owner.want(4);
  CHECK(owner.replicas_of(Kind::Unquiet).size() == 1);
  CHECK(owner.replicas_of(Kind::Start).size() == 1);
}

TEST_CASE("replica set: what got TERM does not come back") {
  Workers owner(1);
  const std::string name = owner.name(0);
  owner.want(0);
  REQUIRE(owner.replicas_of(Kind::Term) == Names{name});

  owner.want(1);
  CHECK(owner.replicas_of(Kind::Unquiet).empty());
  CHECK(owner.replicas_of(Kind::Start).size() == 1);
}

TEST_CASE("replica set: quiet and run do not overtake each other") {
  Workers owner(1);
  owner.confirm = false;
  const std::string name = owner.name(0);
  owner.want(0);
  owner.want(1);
  owner.want(0);
  owner.want(1);
  CHECK(owner.replicas_of(Kind::Quiet) == Names{name});
  CHECK(owner.replicas_of(Kind::Unquiet).empty());

  owner.confirm_mark(name, true);
  CHECK(owner.replicas_of(Kind::Unquiet) == Names{name});
  CHECK(owner.replicas_of(Kind::Term).empty());
}

TEST_CASE("replica set: a starting victim that registers meanwhile is set to quiet first") {
  Owner owner({.ready_when = ReadyWhen::Registered});
  owner.want(1);
  const std::string name = owner.name(0);
  owner.confirm = false;
  owner.store.push_back({.replica = name, .worker_id = "w-" + name});  // not told yet

  owner.want(0);
  CHECK(owner.replicas_of(Kind::Term).empty());
  CHECK(owner.replicas_of(Kind::Quiet) == Names{name});
  owner.confirm_mark(name, true);
  CHECK(owner.replicas_of(Kind::Term) == Names{name});
}

TEST_CASE("replica set: a worker that registers anew while it drains is set to quiet again") {
  Workers owner(1);
  const std::string name = owner.name(0);
  owner.lease(name).occupied = 1;
  owner.want(0);
  REQUIRE(owner.replicas_of(Kind::Quiet).size() == 1);

  owner.store[0] = {.replica = name, .worker_id = "second"};  // its first lease ran out
  owner.confirm = false;
  owner.changed();
  REQUIRE(owner.done.size() == 1);
  CHECK(owner.done[0].kind == Kind::Quiet);
  CHECK(owner.done[0].worker_id == "second");
}

TEST_CASE("replica set: somebody else's run does not let a draining worker be ended") {
  Workers owner(1);
  const std::string name = owner.name(0);
  owner.lease(name).occupied = 1;
  owner.want(0);
  owner.replicas_of(Kind::Quiet);
  owner.confirm = false;

  owner.lease(name).quiet = false;
  owner.lease(name).occupied = 0;
  owner.changed();
  CHECK(owner.replicas_of(Kind::Term).empty());
  CHECK(owner.replicas_of(Kind::Quiet) == Names{name});
}

TEST_CASE("replica set: a mark that failed is tried again") {
  Workers owner(1);
  owner.confirm = false;
  owner.want(0);
  REQUIRE(owner.replicas_of(Kind::Quiet).size() == 1);
  owner.set.marked("w-" + owner.name(0), fail(Code::Unavailable, "disk full"), owner.clock.now());
  owner.work();
  CHECK(owner.replicas_of(Kind::Quiet).empty());
  CHECK(owner.set.next());

  owner.pass(1s);
  CHECK(owner.replicas_of(Kind::Quiet).size() == 1);
  CHECK(owner.replicas_of(Kind::Term).empty());
}

TEST_CASE("replica set: a program that is no worker gets TERM, the grace, KILL") {
  Owner owner({.grace = 30s});
  owner.want(1);
  const std::string name = owner.name(0);
  owner.want(0);
  CHECK(owner.replicas_of(Kind::Term) == Names{name});
  CHECK(owner.set.next() == owner.clock.now() + 30s);

  owner.pass(29s);
  CHECK(owner.replicas_of(Kind::Kill).empty());
  owner.pass(1s);
  CHECK(owner.replicas_of(Kind::Kill) == Names{name});
  owner.exit(name, {.signal = 9});
  CHECK(owner.set.empty());
}

TEST_CASE("replica set: no KILL while a job is held, unless the drain limit is reached") {
  Owner owner({.ready_when = ReadyWhen::Registered, .grace = 30s});
  owner.want(1);
  const std::string name = owner.name(0);
  owner.want(0);
  REQUIRE(owner.replicas_of(Kind::Term) == Names{name});  // it was just about to register
  owner.register_worker(name, 1);
  owner.pass(1h);
  CHECK(owner.replicas_of(Kind::Kill).empty());

  owner.lease(name).occupied = 0;
  owner.changed();
  CHECK(owner.replicas_of(Kind::Kill) == Names{name});
  CHECK(owner.set.interruptions() == 0);
}

TEST_CASE("replica set: the drain limit ends a drain and is recorded as an interruption") {
  Owner owner({.ready_when = ReadyWhen::Registered, .grace = 30s, .drain_limit = 10min});
  owner.want(1);
  const std::string name = owner.name(0);
  owner.register_worker(name, 1);
  owner.want(0);
  owner.pass(9min);
  CHECK(owner.replicas_of(Kind::Term).empty());
  CHECK(owner.set.next() == owner.clock.now() + 1min);

  owner.pass(1min);
  REQUIRE(owner.done.size() == 3);  // Start, Quiet, Term
  CHECK(owner.done[2].kind == Kind::Term);
  CHECK(owner.done[2].interrupts);
  CHECK(owner.set.interruptions() == 1);
  owner.pass(30s);
  CHECK(owner.replicas_of(Kind::Kill) == Names{name});
  CHECK(owner.set.interruptions() == 1);
}

TEST_CASE("replica set: restarts back off as the kubelet's do") {
  Owner owner({});
  owner.want(1);
  const std::string name = owner.name(0);
  owner.replicas_of(Kind::Start);

  owner.exit(name, {.exit_code = 1});
  CHECK(owner.replicas_of(Kind::Start) == Names{name});  // the first one at once
  CHECK(owner.set.replicas()[0].restarts == 1);

  for (const auto wait : {10s, 20s, 40s, 80s, 160s, 300s, 300s}) {
    CAPTURE(wait.count());
    owner.exit(name, {.exit_code = 1});
    CHECK(owner.set.waits(name));
    CHECK(owner.set.next() == owner.clock.now() + wait);
    owner.pass(wait - 1us);
    CHECK(owner.replicas_of(Kind::Start).empty());
    owner.pass(1us);
    CHECK(owner.replicas_of(Kind::Start) == Names{name});
  }

  owner.pass(10min);
  owner.exit(name, {.signal = 11});  // it ran long enough: all is forgotten
  CHECK(owner.replicas_of(Kind::Start) == Names{name});
}

TEST_CASE("replica set: what waits says why") {
  Owner owner({});
  owner.want(1);
  owner.exit(owner.name(0), {.exit_code = 3});
  owner.exit(owner.name(0), {.signal = 11});
  CHECK(owner.set.replicas()[0].detail == "waits 10 s before it starts again (signal 11)");
  CHECK(owner.set.counts().starting == 1);
  owner.pass(10s);
  CHECK(owner.set.replicas()[0].detail.empty());
}

TEST_CASE("replica set: a program that cannot be started is tried again later") {
  ReplicaSet set("mill", {}, 1);
  ManualClock clock;
  set.want(1, clock.now());
  const std::string name = set.replicas()[0].name;
  set.take_actions();
  set.start_failed(name, "no such file", clock.now());
  REQUIRE(set.take_actions().size() >= 1);
  set.start_failed(name, "no such file", clock.now());
  CHECK(set.next() <= clock.now() + 10s);
  CHECK(set.replicas()[0].detail == "waits 10 s before it starts again (no such file)");
}

TEST_CASE("replica set: a worker whose process died is reported, and only once") {
  Workers owner(1);
  const std::string name = owner.name(0);
  owner.exit(name, {.signal = 9});
  REQUIRE(owner.replicas_of(Kind::Died) == Names{name});

  owner.changed();  // the store still lists it
  CHECK(owner.replicas_of(Kind::Died).empty());
  CHECK(owner.set.counts().ready == 0);  // the new process has not registered
}

TEST_CASE("replica set: a registration that turns up after the crash is of the dead process") {
  Owner owner({.ready_when = ReadyWhen::Registered});
  owner.want(1);
  const auto first = owner.set.replicas()[0];
  owner.store_works = false;  // nobody saw it register
  owner.exit(first.name, {.signal = 9});
  owner.store = {{.replica = first.name, .worker_id = "w", .pid = first.pid, .occupied = 1}};
  owner.store_works = true;

  owner.pass(1s);
  REQUIRE(owner.done.size() == 3);  // Start, Start, Died
  CHECK(owner.done[2].kind == Kind::Died);
  CHECK(owner.done[2].exit.signal == 9);
  CHECK_FALSE(owner.done[2].ordered);
  CHECK(owner.set.counts().ready == 0);
}

TEST_CASE("replica set: an end that was ordered is no crash") {
  Workers owner(1);
  const std::string name = owner.name(0);
  owner.want(0);
  owner.exit(name);
  REQUIRE(owner.done.size() == 3);  // Quiet, Term, Died
  CHECK(owner.done[2].kind == Kind::Died);
  CHECK(owner.done[2].ordered);
  CHECK(owner.set.empty());
}

TEST_CASE("replica set: a new definition replaces a quarter at a time, and respects the work") {
  Workers owner(4);
  const Names old = owner.names();
  for (LeaseView& lease : owner.store) {
    lease.occupied = 1;
    lease.oldest_start = owner.clock.now();
  }
  owner.set.configure({.ready_when = ReadyWhen::Registered}, true, owner.clock.now());
  owner.work();
  CHECK(owner.replicas_of(Kind::Quiet) == Names{old[0]});
  CHECK(owner.replicas_of(Kind::Term).empty());
  REQUIRE(owner.replicas_of(Kind::Start).size() == 1);

  owner.register_worker(owner.names().back());  // the successor is ready: on to the next
  CHECK(owner.replicas_of(Kind::Quiet) == Names{old[1]});
  CHECK(owner.replicas_of(Kind::Start).size() == 1);
}

TEST_CASE("replica set: a process that shares no port is replaced after its end") {
  Owner owner({.ready_when = ReadyWhen::Running, .exclusive = true});
  owner.want(1);
  const std::string old = owner.name(0);
  owner.replicas_of(Kind::Start);
  owner.set.configure({.ready_when = ReadyWhen::Running, .exclusive = true}, true,
                      owner.clock.now());
  owner.work();
  CHECK(owner.replicas_of(Kind::Term) == Names{old});
  CHECK(owner.replicas_of(Kind::Start).empty());

  owner.exit(old);
  CHECK(owner.replicas_of(Kind::Start).size() == 1);
}

TEST_CASE("replica set: a server that stops gives its grace to all and kills the rest") {
  Workers owner(2);
  const Names names = owner.names();
  owner.lease(names[0]).occupied = 1;
  owner.changed();

  owner.set.shutdown(20s, owner.clock.now());
  owner.work();
  CHECK(owner.replicas_of(Kind::Term) == names);
  owner.exit(names[1]);
  owner.want(5);
  CHECK(owner.replicas_of(Kind::Start).empty());

  owner.pass(20s);
  CHECK(owner.replicas_of(Kind::Kill) == Names{names[0]});
  owner.exit(names[0], {.signal = 9});
  CHECK(owner.set.empty());
  CHECK(owner.set.interruptions() == 1);
}

TEST_CASE("replica set: at rest it asks for nothing") {
  Workers owner(2);
  owner.set.take_actions();
  owner.pass(1h);
  CHECK(owner.done.empty());
  CHECK_FALSE(owner.set.next());
}

}  // namespace jobmill::targets
