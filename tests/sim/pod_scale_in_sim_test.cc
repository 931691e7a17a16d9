// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "targets/kubernetes/pod_group.h"

namespace jobmill {
namespace {

using namespace std::chrono_literals;
using targets::LeaseView;
using targets::PodAction;
using targets::PodMarks;
using targets::PodView;
using Phase = PodView::Phase;

// Requests and answers, each its own time up to this long; so do the events of each watch, which
// keep their order.
constexpr Duration kMessage = 20ms;
constexpr Duration kWatch = 40ms;
// The assumption on which PodGroup rests: from the start of a container, or from a lease that was
// lost, until its worker claims, more time passes than from our look at it to its end.
constexpr Duration kRegistration = 300ms;
constexpr Duration kLease = 5s;
constexpr int kSlots = 2;
constexpr int kMostReplicas = 6;

// What the store knows of a worker.
struct Registration {
  std::string pod;
  std::string uid;
  bool quiet = false;
  int held = 0;
  TimePoint oldest{};
};

// The process in a pod.
struct Process {
  std::string pod;
  std::string uid;
  bool alive = true;
  bool term = false;
  std::string worker;  // its registration; empty: none
};
using ProcessPtr = std::shared_ptr<Process>;

// A cluster with one workload, a store and us, in one thread and on one clock. All that happens is
// an entry of the agenda; its order is what the seed makes of the delays.
class World {
 public:
  World(unsigned seed, bool faults, bool by_ordinal)
      : random_(seed),
        faults_(faults),
        by_ordinal_(by_ordinal),
        group_("mill", {.by_ordinal = by_ordinal}) {
    spec_ = 2;
    tell_spec();
    at(1ms, [this] {
      group_.pods({}, clock_.now());
      work();
    });
    run_until([this] { return registered() == 2; });
    read();
    run_for(1s);
  }

  void live(Duration time) {
    for (int i = 0; i < 60; ++i) at(some(time), [this] { ++queued_; });
    for (int i = 0; i < 12; ++i) {
      const Duration when = some(time);
      at(when, [this] { want(static_cast<int>(random_() % (kMostReplicas + 1))); });
      at(when + some(200ms), [this] { want(static_cast<int>(random_() % (kMostReplicas + 1))); });
    }
    for (int i = 0; i < 6; ++i) at(some(time), [this] { flicker(); });
    for (int i = 0; faults_ && i < 4; ++i) {
      at(some(time), [this] { evict_one(); });
      at(some(time), [this] { crash_one(); });
      at(some(time), [this] { lose_a_lease(); });
      at(some(time), [this] { somebody_scales(); });
    }
    run_for(time + 1s);
  }

  void come_to_rest(int replicas) {
    faults_ = false;
    want(replicas);
    run_until([&] {
      const auto counts = group_.counts();
      return counts.ready == replicas && counts.starting == 0 && counts.draining == 0 &&
             spec_ == replicas && count_active() == replicas && (replicas == 0 || queued_ == 0) &&
             nobody_is_quiet();
    });
  }

 private:
  // --- time ------------------------------------------------------------------------------------
  Duration some(Duration most) {
    return Duration(std::uniform_int_distribution(Duration::rep{0}, most.count())(random_));
  }
  bool chance(unsigned percent) { return random_() % 100 < percent; }
  void at(Duration delay, std::function<void()> event) {
    agenda_.emplace(clock_.now() + delay, std::move(event));
  }
  void message(std::function<void()> event) { at(some(kMessage), std::move(event)); }
  // Events of one watch come one after the other.
  void watch(TimePoint& last, std::function<void()> event) {
    last = std::max(last, clock_.now() + some(kWatch));
    agenda_.emplace(last, std::move(event));
  }

  void run_for(Duration time) {
    bool over = false;
    at(time, [&] { over = true; });
    run_until([&] { return over; });
  }

  void run_until(const std::function<bool()>& come_true) {
    int events = 0;
    while (!come_true()) {
      if (++events == 200'000) FAIL("it goes round in circles");
      const auto next = group_.next();
      if (next && (agenda_.empty() || *next < agenda_.begin()->first)) {
        clock_.set(*next);
        group_.tick(clock_.now());
        work();
        continue;
      }
      if (agenda_.empty()) FAIL("it waits for something that never comes");
      const auto due = agenda_.extract(agenda_.begin());
      clock_.set(std::max(clock_.now(), due.key()));
      due.mapped()();
    }
  }

  // --- us --------------------------------------------------------------------------------------
  void want(int replicas) {
    group_.want(replicas, clock_.now());
    work();
  }

  void work() {
    for (auto actions = group_.take_actions(); !actions.empty(); actions = group_.take_actions()) {
      for (const PodAction& action : actions) perform(action);
    }
  }

  void perform(const PodAction& action) {
    switch (action.kind) {
      case PodAction::Kind::SetReplicas:
        return write(action.replicas, action.version);
      case PodAction::Kind::Quiet:
      case PodAction::Kind::Unquiet:
        return mark(action.worker_id, action.kind == PodAction::Kind::Quiet);
      case PodAction::Kind::Annotate:
        return annotate(action.pod, action.marks);
      case PodAction::Kind::ReadLeases:
        return read();
    }
  }

  void write(int replicas, std::uint64_t version) {
    message([this, replicas, version] {
      Result<std::uint64_t> answer = fail(Code::Timeout, "no answer");
      const bool lost = faults_ && chance(5);
      const bool unsaid = faults_ && chance(5);
      if (!lost && version != spec_version_) {
        answer = fail(Code::Conflict, "another version");
      } else if (!lost) {
        spec_ = replicas;
        tell_spec();
        if (!unsaid) answer = spec_version_;
      }
      message([this, answer] {
        group_.replicas_set(answer, clock_.now());
        work();
      });
    });
  }

  void annotate(const std::string& pod, const PodMarks& marks) {
    message([this, pod, marks] {
      Status answer = fail(Code::NotFound, "no such pod");
      if (faults_ && chance(5)) {
        answer = fail(Code::Timeout, "no answer");
      } else if (const auto it = pods_.find(pod); it != pods_.end()) {
        if (marks.deletion_cost) it->second.marks.deletion_cost = marks.deletion_cost;
        if (marks.safe_to_evict) it->second.marks.safe_to_evict = marks.safe_to_evict;
        tell_pod(pod);
        answer = {};
      }
      message([this, pod, answer] {
        group_.annotated(pod, answer, clock_.now());
        work();
      });
    });
  }

  void mark(const std::string& worker, bool quiet) {
    message([this, worker, quiet] {
      const bool lost = faults_ && chance(10);
      const bool unsaid = faults_ && chance(10);
      Status status = fail(Code::Unavailable, "try again");
      if (!lost) {
        const auto it = store_.find(worker);
        if (it != store_.end()) it->second.quiet = quiet;
        if (!unsaid) status = it != store_.end() ? Status() : fail(Code::NotFound, "it is gone");
      }
      message([this, worker, status] {
        group_.marked(worker, status, clock_.now());
        work();
      });
    });
  }

  // One read at a time. What it shows is older when it arrives.
  void read() {
    if (std::exchange(reading_, true)) {
      again_ = true;
      return;
    }
    const std::uint64_t number = group_.read_begins();
    message([this, number] {
      std::vector<LeaseView> views;
      for (const auto& [id, worker] : store_) {
        views.push_back({.replica = worker.pod,
                         .worker_id = id,
                         .quiet = worker.quiet,
                         .occupied = worker.held});
        if (worker.held > 0) views.back().oldest_start = worker.oldest;
      }
      message([this, number, views] {
        reading_ = false;
        const bool failed = faults_ && chance(5);
        if (!failed) group_.leases(number, views, clock_.now());
        work();
        if (std::exchange(again_, false) || failed) read();
      });
    });
  }

  // --- the API server --------------------------------------------------------------------------
  void tell_spec() {
    spec_version_ = ++version_;
    watch(our_spec_, [this, replicas = spec_, version = spec_version_] {
      group_.spec(replicas, version, clock_.now());
      work();
    });
    watch(controllers_spec_, [this, replicas = spec_] {
      known_spec_ = replicas;
      at(some(10ms), [this] { reconcile(); });
    });
  }

  void tell_pod(const std::string& name) {
    const auto it = pods_.find(name);
    const auto pod = it != pods_.end() ? std::optional(it->second) : std::nullopt;
    watch(our_pods_, [this, name, pod, uid = last_uid_[name]] {
      pod ? group_.pod(*pod, clock_.now()) : group_.pod_gone(name, uid, clock_.now());
      work();
    });
    watch(controllers_pods_, [this, name, pod] {
      created_.erase(name);
      if (pod)
        known_pods_.insert_or_assign(name, *pod);
      else
        known_pods_.erase(name);
      at(some(10ms), [this] { reconcile(); });
    });
  }

  // --- the controller: the workload's rules, on what its watches have shown it -----------------
  void reconcile() {
    if (by_ordinal_) return reconcile_by_ordinal();
    if (!created_.empty()) return;
    std::vector<std::string> active;
    for (const auto& [name, pod] : known_pods_) {
      if (!pod.deleting && pod.phase != Phase::Ended && !deleted_.contains(pod.uid))
        active.push_back(name);
    }
    const int surplus = static_cast<int>(active.size()) - known_spec_;
    for (int i = 0; i > surplus; --i) create("mill-" + std::to_string(++made_));
    std::ranges::sort(active, {}, [this](const std::string& name) {
      const PodView& pod = known_pods_.at(name);
      return std::tuple(pod.assigned, pod.phase == Phase::Running, pod.ready,
                        pod.marks.deletion_cost.value_or(0), -pod.created.time_since_epoch());
    });
    for (int i = 0; i < std::min(surplus, static_cast<int>(active.size())); ++i)
      remove(active[static_cast<std::size_t>(i)]);
  }

  void reconcile_by_ordinal() {
    for (int i = 0; i < known_spec_; ++i) {
      const std::string name = "mill-" + std::to_string(i);
      if (!pods_.contains(name)) create(name);
    }
    for (int i = kMostReplicas + 5; i >= known_spec_; --i) {
      const auto it = known_pods_.find("mill-" + std::to_string(i));
      if (it != known_pods_.end() && !deleted_.contains(it->second.uid)) remove(it->first);
    }
  }

  void create(const std::string& name) {
    PodView pod{.name = name,
                .uid = "uid-" + std::to_string(++uids_),
                .owner = "rs",
                .created = clock_.now()};
    created_.insert(name);
    last_uid_[name] = pod.uid;
    pods_.insert_or_assign(name, pod);
    tell_pod(name);
    at(some(50ms),
       [this, name, uid = pod.uid] { change(name, uid, [](PodView& p) { p.assigned = true; }); });
    at(50ms + some(200ms), [this, name, uid = pod.uid] { start(name, uid); });
  }

  void remove(const std::string& name) {
    const auto it = pods_.find(name);
    deleted_.insert(known_pods_.at(name).uid);
    if (it == pods_.end() || it->second.uid != known_pods_.at(name).uid || it->second.deleting)
      return;
    for (const auto& [id, worker] : store_) {
      if (worker.uid == it->second.uid) CHECK(worker.held == 0);
    }
    end(name);
  }

  // --- nodes -----------------------------------------------------------------------------------
  void change(const std::string& name, const std::string& uid,
              const std::function<void(PodView&)>& how) {
    const auto it = pods_.find(name);
    if (it == pods_.end() || it->second.uid != uid) return;
    how(it->second);
    tell_pod(name);
  }

  void start(const std::string& name, const std::string& uid) {
    const auto it = pods_.find(name);
    if (it == pods_.end() || it->second.uid != uid || it->second.deleting) return;
    run_process(name, uid);
    at(some(kMessage), [this, name, uid] {
      change(name, uid,
             [](PodView& p) { p.phase = p.phase == Phase::Ended ? p.phase : Phase::Running; });
    });
    at(kMessage + some(1s), [this, name, uid] { set_ready(name, uid, true); });
  }

  void set_ready(const std::string& name, const std::string& uid, bool ready) {
    change(name, uid, [&](PodView& p) { p.ready = ready && p.phase == Phase::Running; });
  }

  void run_process(const std::string& name, const std::string& uid) {
    auto process = std::make_shared<Process>(Process{.pod = name, .uid = uid, .worker = ""});
    processes_.insert_or_assign(name, process);
    announce_later(process);
  }

  // A pod gets TERM; its process ends when it has nothing to do.
  void end(const std::string& name) {
    const std::string uid = pods_.at(name).uid;
    change(name, uid, [](PodView& p) { p.deleting = true; });
    const auto found = processes_.find(name);
    if (found == processes_.end() || found->second->uid != uid) return gone(name, uid);
    at(some(50ms), [this, process = found->second] {
      process->term = true;
      leave(process);
    });
  }

  void gone(const std::string& name, const std::string& uid) {
    at(some(kMessage), [this, name, uid] {
      const auto it = pods_.find(name);
      if (it == pods_.end() || it->second.uid != uid) return;
      pods_.erase(it);
      tell_pod(name);
    });
  }

  void leave(const ProcessPtr& process) {
    if (!process->alive || !process->term) return;
    const auto worker = store_.find(process->worker);
    if (worker != store_.end() && worker->second.held > 0) return;  // a finished job comes here
    process->alive = false;
    if (worker != store_.end()) {
      store_.erase(worker);
      read();
    }
    gone(process->pod, process->uid);
  }

  // --- workers ---------------------------------------------------------------------------------
  void announce_later(const ProcessPtr& process) {
    at(kRegistration + some(2s), [this, process] {
      if (!process->alive || process->term || !process->worker.empty()) return;
      process->worker = "w" + std::to_string(++workers_);
      store_[process->worker] = {.pod = process->pod, .uid = process->uid};
      read();
      claim_later(process);
    });
  }

  void claim_later(const ProcessPtr& process) {
    at(some(50ms), [this, process, id = process->worker] {
      const auto worker = store_.find(id);
      if (!process->alive || process->term || worker == store_.end()) return;
      Registration& lease = worker->second;
      if (!lease.quiet && lease.held < kSlots && queued_ > 0) {
        CHECK_FALSE(deleted_.contains(process->uid));
        --queued_;
        if (lease.held++ == 0) lease.oldest = clock_.now();
        read();
        at(some(3s), [this, process, id] { finish(process, id); });
      }
      claim_later(process);
    });
  }

  void finish(const ProcessPtr& process, const std::string& id) {
    const auto worker = store_.find(id);
    if (!process->alive || worker == store_.end()) return;
    --worker->second.held;
    read();
    leave(process);
  }

  // Its jobs go back when its lease has run out.
  void expire(const std::string& id) {
    const auto worker = store_.find(id);
    if (worker == store_.end()) return;
    queued_ += worker->second.held;
    store_.erase(worker);
    read();
  }

  // --- what comes from outside -----------------------------------------------------------------
  ProcessPtr any_process() {
    std::vector<ProcessPtr> alive;
    for (const auto& [name, process] : processes_) {
      const auto pod = pods_.find(name);
      const bool runs = pod != pods_.end() && pod->second.uid == process->uid &&
                        pod->second.phase == Phase::Running && !pod->second.deleting;
      if (process->alive && runs) alive.push_back(process);
    }
    return alive.empty() ? nullptr : alive[random_() % alive.size()];
  }

  // Not while the controller has yet to act on a number: what is not ready by then goes first,
  // whatever it does. A write that is under way meets another version, since the workload's
  // status counts the ready pods.
  void flicker() {
    const auto process = any_process();
    if (process == nullptr || count_active() > spec_ || known_spec_ != spec_) return;
    set_ready(process->pod, process->uid, false);
    our_pods_ = clock_.now();
    group_.pod(pods_.at(process->pod), clock_.now());
    work();
    tell_spec();
    at(some(10s), [this, process] { set_ready(process->pod, process->uid, true); });
  }

  void evict_one() {
    if (const auto process = any_process()) end(process->pod);
  }

  // The container starts again.
  void crash_one() {
    const auto process = any_process();
    if (process == nullptr) return;
    process->alive = false;
    if (!process->worker.empty()) at(kLease, [this, id = process->worker] { expire(id); });
    change(process->pod, process->uid, [](PodView& p) { ++p.restarts; });
    run_process(process->pod, process->uid);
  }

  // A worker whose beats did not arrive announces itself anew.
  void lose_a_lease() {
    const auto process = any_process();
    if (process == nullptr || process->worker.empty()) return;
    expire(std::exchange(process->worker, ""));
    announce_later(process);
  }

  void somebody_scales() {
    if (spec_ >= kMostReplicas) return;
    ++spec_;
    tell_spec();
  }

  int count_active() const {
    return static_cast<int>(std::ranges::count_if(pods_, [](const auto& entry) {
      return !entry.second.deleting && entry.second.phase != Phase::Ended;
    }));
  }
  int registered() const { return static_cast<int>(store_.size()); }
  bool nobody_is_quiet() const {
    return std::ranges::none_of(store_, [](const auto& entry) { return entry.second.quiet; });
  }

  std::mt19937_64 random_;
  bool faults_;
  const bool by_ordinal_;
  ManualClock clock_;
  targets::PodGroup group_;
  std::multimap<TimePoint, std::function<void()>> agenda_;
  bool reading_ = false;
  bool again_ = false;

  // The API server.
  int spec_ = 0;
  std::uint64_t version_ = 0;
  std::uint64_t spec_version_ = 0;
  std::map<std::string, PodView> pods_;
  std::map<std::string, std::string> last_uid_;
  TimePoint our_spec_{}, our_pods_{}, controllers_spec_{}, controllers_pods_{};

  // The controller.
  int known_spec_ = 0;
  std::map<std::string, PodView> known_pods_;
  std::set<std::string> created_;  // and not seen yet: it waits for them
  std::set<std::string> deleted_;  // by it; uids
  int made_ = 0;
  int uids_ = 0;

  // Processes and store.
  std::map<std::string, ProcessPtr> processes_;
  std::map<std::string, Registration> store_;
  int workers_ = 0;
  int queued_ = 0;
};

void check_histories(unsigned seeds, bool faults, bool by_ordinal) {
  for (unsigned seed = 1; seed <= seeds; ++seed) {
    CAPTURE(seed);
    World world(seed, faults, by_ordinal);
    world.live(60s);
    world.come_to_rest(static_cast<int>(1 + seed % kMostReplicas));
    world.come_to_rest(0);
  }
}

}  // namespace

TEST_CASE("sim: no pod that holds a job is deleted by a scale-in") {
  check_histories(100, false, false);
}

TEST_CASE("sim: nor when answers, pods and leases are lost") { check_histories(150, true, false); }

TEST_CASE("sim: nor of a StatefulSet") {
  check_histories(50, false, true);
  check_histories(50, true, true);
}

}  // namespace jobmill
