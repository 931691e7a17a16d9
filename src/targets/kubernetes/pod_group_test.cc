// SPDX-License-Identifier: Apache-2.0
#include "targets/kubernetes/pod_group.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "conformance/scale_target.h"

namespace jobmill::targets {
namespace {

using namespace std::chrono_literals;
using Kind = PodAction::Kind;
using Phase = PodView::Phase;
using Names = std::vector<std::string>;

// A workload in a cluster that answers at once, and whose controller waits to be called.
class Cluster {
 public:
  explicit Cluster(int replicas, PodRules rules = {}) : group("mill", rules), spec(replicas) {
    group.spec(spec, version, clock.now());
    group.pods({}, clock.now());
    reconcile();
    for (const std::string& name : names()) become_ready(name);
  }

  PodGroup group;
  ManualClock clock;
  int spec;
  std::uint64_t version = 100;
  std::map<std::string, PodView> pods;
  std::vector<LeaseView> store;
  bool store_works = true;
  bool confirm = true;          // answer Quiet and Unquiet at once
  bool accept = true;           // carry out SetReplicas
  bool annotate = true;         // carry out Annotate
  std::vector<PodAction> done;  // all but ReadLeases

  void work() {
    for (auto actions = group.take_actions(); !actions.empty(); actions = group.take_actions()) {
      for (const PodAction& action : actions) perform(action);
    }
  }
  void want(int replicas) {
    group.want(replicas, clock.now());
    work();
  }
  // Time passes, with all that the group wants to do in it.
  void pass(Duration by) {
    const TimePoint end = clock.now() + by;
    for (auto next = group.next(); next && *next <= end; next = group.next()) tick_at(*next);
    tick_at(end);
  }
  void changed() {  // the store says that workers changed
    group.leases(group.read_begins(), store, clock.now());
    work();
  }
  void register_worker(const std::string& pod, int occupied = 0, Duration ago = 0s) {
    store.push_back({.replica = pod, .worker_id = "w-" + pod, .occupied = occupied});
    if (occupied > 0) store.back().oldest_start = clock.now() - ago;
    changed();
  }
  LeaseView& lease(const std::string& pod) {
    return *std::ranges::find(store, pod, &LeaseView::replica);
  }
  void occupy(const std::string& pod, int jobs) {
    lease(pod).occupied = jobs;
    lease(pod).oldest_start.reset();
    if (jobs > 0) lease(pod).oldest_start = clock.now();
    changed();
  }
  void confirm_mark(const std::string& pod, bool quiet) {
    lease(pod).quiet = quiet;
    group.marked("w-" + pod, {}, clock.now());
    work();
  }
  // Somebody else's change.
  void set_spec(int replicas) {
    spec = replicas;
    group.spec(spec, ++version, clock.now());
    work();
  }

  // --- pods ------------------------------------------------------------------------------------
  void show(const std::string& name) {
    group.pod(pods.at(name), clock.now());
    work();
  }
  void become_ready(const std::string& name, bool ready = true) {
    pods.at(name).phase = Phase::Running;
    pods.at(name).ready = ready;
    show(name);
  }
  void vanish(const std::string& name) {
    const std::string uid = pods.at(name).uid;
    pods.erase(name);
    std::erase_if(store, [&](const LeaseView& view) { return view.replica == name; });
    group.pod_gone(name, uid, clock.now());
    work();
  }
  // What the controller does: pods are made, or taken in Kubernetes' order. Returns those.
  Names reconcile() {
    Names gone;
    while (static_cast<int>(pods.size()) < spec) make();
    while (static_cast<int>(pods.size()) > spec) {
      const auto order = [](const auto& entry) {
        const PodView& pod = entry.second;
        return std::tuple(pod.assigned, pod.phase == Phase::Running, pod.ready,
                          pod.marks.deletion_cost.value_or(0), -pod.created.time_since_epoch());
      };
      gone.push_back(std::ranges::min_element(pods, {}, order)->first);
      PodView& pod = pods.at(gone.back());
      pod.deleting = true;
      show(gone.back());
      vanish(gone.back());
    }
    return gone;
  }
  Names names() const {
    Names list;
    for (const auto& [name, pod] : pods) list.push_back(name);
    return list;
  }

  // Forgets what it returns.
  Names pods_of(Kind kind) {
    Names list;
    for (const PodAction& action : done) {
      if (action.kind == kind) list.push_back(action.pod);
    }
    std::erase_if(done, [&](const PodAction& a) { return a.kind == kind; });
    return list;
  }
  std::vector<int> writes() {
    std::vector<int> list;
    for (const PodAction& action : done) {
      if (action.kind == Kind::SetReplicas) list.push_back(action.replicas);
    }
    std::erase_if(done, [&](const PodAction& a) { return a.kind == Kind::SetReplicas; });
    return list;
  }

 private:
  void tick_at(TimePoint at) {
    clock.set(at);
    group.tick(at);
    work();
  }
  void make() {
    PodView pod{.name = "mill-" + std::to_string(made_),
                .uid = "uid-" + std::to_string(made_),
                .owner = "rs",
                .assigned = true,
                .created = clock.now()};
    ++made_;
    const std::string name = pod.name;
    pods.emplace(name, std::move(pod));
    show(name);
  }
  void perform(const PodAction& action) {
    if (action.kind == Kind::ReadLeases) {
      if (store_works) group.leases(group.read_begins(), store, clock.now());
      return;
    }
    done.push_back(action);
    const bool mark = action.kind == Kind::Quiet || action.kind == Kind::Unquiet;
    if (mark && confirm) {
      lease(action.pod).quiet = action.kind == Kind::Quiet;
      group.marked(action.worker_id, {}, clock.now());
    }
    if (action.kind == Kind::SetReplicas && accept) {
      CHECK(action.version == version);
      spec = action.replicas;
      group.replicas_set(++version, clock.now());
    }
    if (action.kind == Kind::Annotate && annotate) {
      PodMarks& marks = pods.at(action.pod).marks;
      if (action.marks.deletion_cost) marks.deletion_cost = action.marks.deletion_cost;
      if (action.marks.safe_to_evict) marks.safe_to_evict = action.marks.safe_to_evict;
      group.annotated(action.pod, {}, clock.now());
      group.pod(pods.at(action.pod), clock.now());
    }
  }
  int made_ = 0;
};

// A workload of registered, idle workers.
struct Workers : Cluster {
  explicit Workers(int count, PodRules rules = {}) : Cluster(count, rules) {
    for (const std::string& name : names()) register_worker(name);
    done.clear();
  }
};

// For the contract of all targets: the controller acts whenever it can.
class PodWorld final : public scale::ScaleTargetWorld, public scale::ScaleTarget {
 public:
  scale::ScaleTarget& target() override { return *this; }
  void run_until(const std::function<bool()>& come_true) override {
    for (int i = 0; i < 100 && !come_true(); ++i) {
      cluster_.reconcile();
      for (const std::string& name : cluster_.names()) cluster_.become_ready(name);
      cluster_.pass(1s);
    }
    CHECK(come_true());
  }
  int wanted() const override { return cluster_.group.wanted(); }
  void scale_to(int replicas) override { cluster_.want(replicas); }
  scale::ReplicaCounts counts() const override { return cluster_.group.counts(); }
  std::vector<scale::Replica> replicas() const override { return cluster_.group.replicas(); }

 private:
  Cluster cluster_{0};
};

}  // namespace

TEST_CASE("pod group: the contract of a scale target") {
  scale::exercise_scale_target([] { return std::make_unique<PodWorld>(); });
}

TEST_CASE("pod group: growing is one write, at once") {
  Cluster cluster(0);
  cluster.want(5);
  CHECK(cluster.writes() == std::vector<int>{5});
  CHECK(cluster.group.counts().starting == 5);  // before there is any pod

  cluster.reconcile();
  CHECK(cluster.group.counts().starting == 5);
  cluster.become_ready("mill-0");
  CHECK(cluster.group.counts().ready == 1);
  CHECK(cluster.group.counts().current() == 5);
}

TEST_CASE("pod group: pods that are no workers go at once, as many as Kubernetes likes") {
  Cluster cluster(5);
  cluster.want(2);
  CHECK(cluster.writes() == std::vector<int>{2});
  CHECK(cluster.done.empty());  // no marks
  CHECK(cluster.group.counts().ready == 2);
  CHECK(cluster.group.counts().draining == 3);

  cluster.reconcile();
  CHECK(cluster.group.counts().draining == 0);
  CHECK(cluster.group.counts().ready == 2);
}

TEST_CASE("pod group: idle workers are marked, made cheap, and go with one write") {
  Workers cluster(5);
  cluster.occupy("mill-3", 1);
  cluster.want(2);
  CHECK(cluster.pods_of(Kind::Quiet).size() == 3);
  cluster.pass(1s);
  CHECK(cluster.writes() == std::vector<int>{2});
  CHECK(cluster.pods.at("mill-3").marks.deletion_cost.value_or(0) >= 0);

  const Names gone = cluster.reconcile();
  CHECK(std::set(gone.begin(), gone.end()).count("mill-3") == 0);
  CHECK(gone.size() == 3);
  CHECK(cluster.group.counts().current() == 2);
}

TEST_CASE("pod group: a pod that holds a job is drained first") {
  Workers cluster(2);
  cluster.occupy("mill-0", 1);
  cluster.occupy("mill-1", 1);
  cluster.want(1);
  CHECK(cluster.group.counts().draining == 1);
  cluster.pass(24h);
  CHECK(cluster.writes().empty());

  const std::string victim = cluster.pods_of(Kind::Quiet).front();
  cluster.occupy(victim, 0);
  cluster.pass(1s);
  CHECK(cluster.writes() == std::vector<int>{1});
  CHECK(cluster.reconcile() == Names{victim});
}

TEST_CASE("pod group: victims are the unready, then the idle, then those that lose the least") {
  Cluster cluster(4);
  cluster.register_worker("mill-0", 1, 60s);
  cluster.register_worker("mill-1", 2, 5s);
  cluster.register_worker("mill-2");
  cluster.register_worker("mill-3");
  cluster.become_ready("mill-3", false);
  cluster.done.clear();
  cluster.accept = false;

  cluster.want(3);
  CHECK(cluster.pods_of(Kind::Quiet) == Names{"mill-3"});
  cluster.group.replicas_set(fail(Code::Conflict, "another version"), cluster.clock.now());
  cluster.want(2);
  CHECK(cluster.pods_of(Kind::Quiet) == Names{"mill-2"});
  cluster.want(1);
  CHECK(cluster.pods_of(Kind::Quiet) == Names{"mill-1"});
  cluster.want(0);
  CHECK(cluster.pods_of(Kind::Quiet) == Names{"mill-0"});
  CHECK(cluster.group.counts().draining == 4);
}

TEST_CASE("pod group: an idle picture from before the confirmation does not count") {
  Workers cluster(1);
  cluster.confirm = false;
  cluster.want(0);
  cluster.store_works = false;
  const std::uint64_t begun = cluster.group.read_begins();
  auto view = cluster.store;
  view.front().quiet = true;
  cluster.confirm_mark("mill-0", true);
  cluster.group.leases(begun, view, cluster.clock.now());
  cluster.work();
  cluster.pass(1min);
  CHECK(cluster.writes().empty());

  cluster.changed();
  CHECK(cluster.writes() == std::vector<int>{0});
}

TEST_CASE("pod group: draining pods go back to work before new ones are asked for") {
  Workers cluster(3);
  for (const std::string& name : cluster.names()) cluster.occupy(name, 1);
  cluster.want(1);
  CHECK(cluster.pods_of(Kind::Quiet).size() == 2);
  cluster.want(3);
  CHECK(cluster.pods_of(Kind::Unquiet).size() == 2);
  CHECK(cluster.writes().empty());
  cluster.want(4);
  CHECK(cluster.writes() == std::vector<int>{4});
}

TEST_CASE("pod group: a pod for which the number went down does not come back") {
  Workers cluster(2);
  cluster.want(1);
  cluster.pass(1s);
  CHECK(cluster.writes() == std::vector<int>{1});
  cluster.done.clear();
  cluster.want(2);
  CHECK(cluster.writes() == std::vector<int>{2});
  CHECK(cluster.pods_of(Kind::Unquiet).empty());
}

TEST_CASE("pod group: unless another one went in its place") {
  Workers cluster(3);
  cluster.want(2);
  cluster.pass(1s);
  CHECK(cluster.spec == 2);
  const std::string victim = cluster.pods_of(Kind::Quiet).front();
  const std::string other = victim == "mill-0" ? "mill-1" : "mill-0";
  cluster.vanish(other);  // evicted, before the controller acted
  CHECK(cluster.pods_of(Kind::Unquiet).empty());
  cluster.pass(10s);
  CHECK(cluster.pods_of(Kind::Unquiet) == Names{victim});
  CHECK(cluster.group.counts().ready == 2);
}

TEST_CASE("pod group: pods that drain soon after each other go with one write") {
  Workers cluster(3);
  for (const std::string& name : cluster.names()) cluster.occupy(name, 1);
  cluster.want(0);
  cluster.occupy("mill-0", 0);
  cluster.pass(300ms);
  cluster.occupy("mill-1", 0);
  cluster.pass(300ms);
  CHECK(cluster.writes().empty());
  cluster.pass(1s);
  CHECK(cluster.writes() == std::vector<int>{1});
  cluster.reconcile();
  cluster.occupy("mill-2", 0);
  cluster.pass(1s);
  CHECK(cluster.writes() == std::vector<int>{0});
}

TEST_CASE("pod group: of a StatefulSet those with the highest numbers go, whatever they do") {
  Workers cluster(4, {.by_ordinal = true});
  cluster.occupy("mill-2", 1);
  cluster.want(1);
  CHECK(cluster.pods_of(Kind::Quiet) == Names{"mill-1", "mill-2", "mill-3"});
  cluster.pass(10s);
  CHECK(cluster.writes() == std::vector<int>{3});  // mill-3 is above the one that works
  CHECK_FALSE(cluster.pods.at("mill-3").marks.deletion_cost);
  cluster.vanish("mill-3");

  cluster.occupy("mill-2", 0);
  cluster.pass(10s);
  CHECK(cluster.writes() == std::vector<int>{1});
}

TEST_CASE("pod group: a StatefulSet's pod comes back when its number is wanted again") {
  Workers cluster(5, {.by_ordinal = true});
  for (const std::string& name : cluster.names()) cluster.occupy(name, 1);
  cluster.vanish("mill-4");  // it is being made anew
  cluster.want(3);
  CHECK(cluster.pods_of(Kind::Quiet) == Names{"mill-3"});
  cluster.want(4);
  CHECK(cluster.pods_of(Kind::Unquiet) == Names{"mill-3"});
}

TEST_CASE("pod group: a busy pod that is not ready keeps others from going until it drains") {
  Workers cluster(3);
  cluster.occupy("mill-0", 1);
  cluster.annotate = false;  // nobody is cheap yet
  cluster.want(2);
  const std::string first = cluster.pods_of(Kind::Quiet).front();
  cluster.become_ready("mill-0", false);
  cluster.annotate = true;
  cluster.pass(2s);
  CHECK(cluster.writes().empty());  // Kubernetes would take mill-0
  cluster.pass(5s);
  CHECK(cluster.pods_of(Kind::Quiet) == Names{"mill-0"});
  CHECK(cluster.pods_of(Kind::Unquiet) == Names{first});

  cluster.occupy("mill-0", 0);
  cluster.pass(1s);
  CHECK(cluster.writes() == std::vector<int>{2});
  CHECK(cluster.reconcile() == Names{"mill-0"});
}

TEST_CASE("pod group: a pod that runs and may be about to register counts as if it held a job") {
  Workers cluster(2);
  cluster.set_spec(3);
  cluster.reconcile();
  cluster.become_ready("mill-2", false);
  cluster.want(2);
  cluster.pass(10s);
  CHECK(cluster.writes().empty());
  cluster.register_worker("mill-2", 1);  // it was
  CHECK(cluster.pods_of(Kind::Quiet) == Names{"mill-2"});
  cluster.pass(1min);
  CHECK(cluster.writes().empty());
  cluster.occupy("mill-2", 0);
  cluster.pass(1s);
  CHECK(cluster.writes() == std::vector<int>{2});
}

TEST_CASE("pod group: one that never registers goes in the end") {
  Workers cluster(2);
  cluster.set_spec(3);
  cluster.reconcile();
  cluster.become_ready("mill-2", false);
  cluster.want(2);
  cluster.pass(31s);
  CHECK(cluster.writes() == std::vector<int>{2});
  CHECK(cluster.reconcile() == Names{"mill-2"});
}

TEST_CASE("pod group: a container that started again is about to register") {
  Workers cluster(2);
  cluster.pods.at("mill-0").restarts = 1;
  cluster.pods.at("mill-0").ready = false;
  cluster.show("mill-0");
  cluster.want(1);
  cluster.pass(10s);
  CHECK(cluster.writes().empty());  // the registration in the store is of the process before
  cluster.store.front().worker_id = "w-new";
  cluster.confirm = true;
  cluster.changed();
  cluster.pass(1s);
  CHECK(cluster.writes() == std::vector<int>{1});
  CHECK(cluster.reconcile() == Names{"mill-0"});
}

TEST_CASE("pod group: a drained pod that is not ready is made cheap all the same") {
  Workers cluster(2);
  cluster.occupy("mill-0", 1);
  cluster.become_ready("mill-1", false);
  cluster.want(1);
  cluster.pass(1s);
  CHECK(cluster.writes() == std::vector<int>{1});
  cluster.become_ready("mill-1");  // before the controller has acted
  CHECK(cluster.reconcile() == Names{"mill-1"});
}

TEST_CASE("pod group: what nobody has scheduled goes first, and needs no drain") {
  Workers cluster(2);
  cluster.set_spec(4);
  cluster.reconcile();  // two pods that are pending
  cluster.done.clear();
  cluster.want(2);
  CHECK(cluster.writes() == std::vector<int>{2});
  CHECK(cluster.reconcile() == Names{"mill-2", "mill-3"});
  CHECK(cluster.pods_of(Kind::Quiet).empty());
}

TEST_CASE("pod group: pods that vanish by themselves are no matter") {
  Workers cluster(3);
  cluster.want(1);
  cluster.pass(1s);
  cluster.reconcile();
  const std::string left = cluster.names().front();
  cluster.vanish(left);
  CHECK(cluster.group.counts().starting == 1);  // the controller makes another one
  cluster.reconcile();
  cluster.become_ready(cluster.names().front());
  CHECK(cluster.group.counts().ready == 1);
  CHECK(cluster.group.wanted() == 1);
}

TEST_CASE("pod group: a number that somebody else sets is followed") {
  Workers cluster(2);
  cluster.set_spec(4);
  CHECK(cluster.group.wanted() == 4);
  CHECK(cluster.writes().empty());
}

TEST_CASE("pod group: but not while it drains") {
  Workers cluster(3);
  for (const std::string& name : cluster.names()) cluster.occupy(name, 1);
  cluster.want(2);
  cluster.set_spec(4);
  CHECK(cluster.group.wanted() == 2);
}

TEST_CASE("pod group: an older picture of the workload is not somebody else's wish") {
  Cluster cluster(1);
  cluster.want(3);
  cluster.group.spec(1, 100, cluster.clock.now());  // on its way before our write
  CHECK(cluster.group.wanted() == 3);
  CHECK(cluster.writes() == std::vector<int>{3});
}

TEST_CASE("pod group: a write that failed is repeated, later and later; a conflict at once") {
  Cluster cluster(1);
  cluster.accept = false;
  cluster.want(3);
  cluster.group.replicas_set(fail(Code::PermissionDenied, "no"), cluster.clock.now());
  cluster.done.clear();
  cluster.pass(99ms);
  CHECK(cluster.writes().empty());
  cluster.pass(1ms);
  CHECK(cluster.writes().size() == 1);
  cluster.group.replicas_set(fail(Code::PermissionDenied, "no"), cluster.clock.now());
  cluster.pass(199ms);
  CHECK(cluster.writes().empty());
  cluster.pass(1ms);
  CHECK(cluster.writes().size() == 1);
  cluster.group.replicas_set(fail(Code::Conflict, "another version"), cluster.clock.now());
  CHECK(cluster.writes().empty());
  cluster.group.spec(1, ++cluster.version, cluster.clock.now());  // the other version
  cluster.work();
  CHECK(cluster.writes() == std::vector<int>{3});
}

TEST_CASE("pod group: a write whose answer was lost is waited for") {
  Workers cluster(2);
  cluster.accept = false;
  cluster.want(1);
  cluster.pass(1s);
  CHECK(cluster.writes() == std::vector<int>{1});
  const std::string victim = cluster.pods_of(Kind::Quiet).front();
  cluster.group.replicas_set(fail(Code::Timeout, "no answer"), cluster.clock.now());
  cluster.want(2);
  CHECK(cluster.pods_of(Kind::Unquiet).empty());  // it may be about to go

  SUBCASE("it was done") {
    cluster.spec = 1;
    cluster.group.spec(1, ++cluster.version, cluster.clock.now());
    cluster.work();
    CHECK(cluster.writes() == std::vector<int>{2});
    CHECK(cluster.pods_of(Kind::Unquiet).empty());
  }
  SUBCASE("it was not") {
    cluster.group.spec(2, ++cluster.version, cluster.clock.now());
    cluster.work();
    CHECK(cluster.pods_of(Kind::Unquiet) == Names{victim});
    CHECK(cluster.writes().empty());
  }
  SUBCASE("nothing was heard of it") {
    cluster.pass(10s);
    CHECK(cluster.pods_of(Kind::Unquiet) == Names{victim});
  }
}

TEST_CASE("pod group: a pod that went back to work is not cheap any more") {
  Workers cluster(3);
  cluster.occupy("mill-0", 1);
  cluster.occupy("mill-1", 1);
  cluster.accept = false;
  cluster.want(2);  // mill-2
  cluster.group.replicas_set(fail(Code::Conflict, "x"), cluster.clock.now());
  CHECK(cluster.pods.at("mill-2").marks.deletion_cost.value_or(0) < 0);
  cluster.want(3);
  CHECK(cluster.pods.at("mill-2").marks.deletion_cost == 0);
}

TEST_CASE("pod group: busy and idle are told to Kubernetes only now and then") {
  Workers cluster(2);
  cluster.pass(10min);
  CHECK(cluster.done.empty());  // idle: nothing to tell

  cluster.occupy("mill-0", 1);
  cluster.pass(10s);
  CHECK(cluster.pods_of(Kind::Annotate) == Names{"mill-0"});
  CHECK(cluster.pods.at("mill-0").marks == PodMarks{.deletion_cost = 1000, .safe_to_evict = false});
  for (int i = 0; i < 100; ++i) {  // job after job
    cluster.occupy("mill-0", 0);
    cluster.pass(1s);
    cluster.occupy("mill-0", 1);
    cluster.pass(1s);
  }
  CHECK(cluster.pods_of(Kind::Annotate).empty());
  cluster.occupy("mill-0", 0);
  cluster.pass(61s);
  CHECK(cluster.pods_of(Kind::Annotate) == Names{"mill-0"});
  CHECK(cluster.pods.at("mill-0").marks == PodMarks{.deletion_cost = 0, .safe_to_evict = true});
}

TEST_CASE("pod group: while two revisions live, either may lose as many") {
  Workers cluster(4);
  cluster.pods.at("mill-0").owner = "rs-old";
  cluster.pods.at("mill-1").owner = "rs-old";
  cluster.show("mill-0");
  cluster.show("mill-1");
  for (const char* name : {"mill-0", "mill-1", "mill-2"}) cluster.occupy(name, 1);
  cluster.want(3);
  cluster.pass(10s);
  CHECK(cluster.pods_of(Kind::Quiet) == Names{"mill-3"});
  CHECK(cluster.writes().empty());  // the older one would lose a busy pod

  cluster.want(0);
  for (const std::string& name : cluster.names()) cluster.occupy(name, 0);
  cluster.pass(10s);
  CHECK(cluster.writes() == std::vector<int>{0});
}

TEST_CASE("pod group: a number is reached when those that had to go do") {
  Workers cluster(2);
  cluster.occupy("mill-0", 1);
  cluster.occupy("mill-1", 1);
  CHECK(cluster.group.reached());
  cluster.want(1);
  cluster.pass(1h);
  CHECK_FALSE(cluster.group.reached());

  cluster.occupy(cluster.pods_of(Kind::Quiet).front(), 0);
  cluster.pass(1s);
  CHECK(cluster.spec == 1);
  CHECK_FALSE(cluster.group.reached());  // another one may be gone in its place
  cluster.reconcile();
  CHECK(cluster.group.reached());

  cluster.want(3);
  CHECK(cluster.group.reached());  // more are asked for at once
}

TEST_CASE("pod group: a controller that ends no pods is not waited for") {
  Workers cluster(2);
  cluster.want(1);
  cluster.pass(2s);
  CHECK(cluster.spec == 1);
  CHECK_FALSE(cluster.group.reached());
  cluster.pass(5s);
  CHECK(cluster.group.reached());
}

TEST_CASE("pod group: the drain limit ends a drain, and says what it interrupts") {
  Workers cluster(1, {.drain_limit = 1min});
  cluster.occupy("mill-0", 1);
  cluster.want(0);
  cluster.pass(59s);
  CHECK(cluster.writes().empty());
  cluster.pass(1s);
  REQUIRE(cluster.done.back().kind == Kind::SetReplicas);
  CHECK(cluster.done.back().interrupts == 1);
}

TEST_CASE("pod group: what a server before us drained goes on, or goes back to work") {
  Cluster cluster(2);
  cluster.pods.at("mill-0").marks.deletion_cost = -1000;
  cluster.show("mill-0");
  cluster.store = {{.replica = "mill-0", .worker_id = "w-mill-0", .quiet = true},
                   {.replica = "mill-1", .worker_id = "w-mill-1"}};
  cluster.changed();
  CHECK(cluster.pods_of(Kind::Unquiet) == Names{"mill-0"});
  CHECK(cluster.pods.at("mill-0").marks.deletion_cost == 0);
}

TEST_CASE("pod group: a worker that may be in another group's pod is busy, and not marked") {
  Workers cluster(2);
  cluster.lease("mill-0").shared = true;
  cluster.changed();
  CHECK(cluster.group.busy() == 1);
  cluster.want(0);
  cluster.pass(1h);
  CHECK(cluster.pods_of(Kind::Quiet) == Names{"mill-1"});
  CHECK(cluster.writes() == std::vector<int>{1});
  CHECK(cluster.reconcile() == Names{"mill-1"});

  cluster.lease("mill-0").shared = false;
  cluster.changed();
  CHECK(cluster.pods_of(Kind::Quiet) == Names{"mill-0"});
  cluster.pass(1s);
  CHECK(cluster.writes() == std::vector<int>{0});
}

TEST_CASE("pod group: the mark of a worker that may be another group's stays as it is") {
  Cluster cluster(1);
  cluster.store = {{.replica = "mill-0", .worker_id = "w-mill-0", .quiet = true, .shared = true}};
  cluster.changed();
  CHECK(cluster.pods_of(Kind::Unquiet).empty());
  cluster.group.let_be(cluster.clock.now());
  CHECK(cluster.group.at_rest());
}

TEST_CASE("pod group: what was quieted by hand stays so") {
  Cluster cluster(2);
  cluster.store = {{.replica = "mill-0", .worker_id = "w-mill-0", .quiet = true, .by_hand = true},
                   {.replica = "mill-1", .worker_id = "w-mill-1"}};
  cluster.changed();
  CHECK(cluster.pods_of(Kind::Unquiet).empty());

  cluster.occupy("mill-0", 1);
  cluster.occupy("mill-1", 1);
  cluster.want(0);
  CHECK(cluster.pods_of(Kind::Quiet) == Names{"mill-1"});
  cluster.want(2);
  CHECK(cluster.pods_of(Kind::Unquiet) == Names{"mill-1"});

  cluster.lease("mill-1").quiet = cluster.lease("mill-1").by_hand = true;
  cluster.changed();
  cluster.group.let_be(cluster.clock.now());
  cluster.work();
  CHECK(cluster.pods_of(Kind::Unquiet).empty());
  CHECK(cluster.group.at_rest());
}

TEST_CASE("pod group: what was quieted by hand, and is idle, goes without a mark of ours") {
  Workers cluster(1);
  cluster.lease("mill-0").quiet = cluster.lease("mill-0").by_hand = true;
  cluster.changed();
  cluster.want(0);
  cluster.pass(1s);
  CHECK(cluster.pods_of(Kind::Quiet).empty());
  CHECK(cluster.writes() == std::vector<int>{0});
}

TEST_CASE("pod group: let be, it sets back what it drained and scales no more") {
  Workers cluster(2);
  cluster.occupy("mill-0", 1);
  cluster.occupy("mill-1", 1);
  cluster.confirm = false;
  cluster.want(0);
  cluster.confirm_mark("mill-0", true);
  cluster.confirm_mark("mill-1", true);
  cluster.pods_of(Kind::Quiet);

  cluster.group.let_be(cluster.clock.now());
  cluster.work();
  CHECK(cluster.pods_of(Kind::Unquiet) == Names{"mill-0", "mill-1"});
  CHECK_FALSE(cluster.group.at_rest());
  cluster.confirm_mark("mill-0", false);
  cluster.confirm_mark("mill-1", false);
  CHECK(cluster.group.at_rest());
  cluster.occupy("mill-0", 0);
  cluster.pass(1h);
  CHECK(cluster.writes().empty());
}

TEST_CASE("pod group: at rest it asks for nothing") {
  Workers cluster(3);
  cluster.want(2);
  cluster.pass(1s);
  cluster.reconcile();
  cluster.pass(2min);
  cluster.done.clear();
  CHECK_FALSE(cluster.group.next());
  cluster.pass(24h);
  CHECK(cluster.done.empty());
}

}  // namespace jobmill::targets
