// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "store/sqlite/sqlite_file.h"
#include "store/sqlite/sqlite_job_store.h"
#include "targets/process/replica_set.h"

namespace jobmill {
namespace {

using namespace std::chrono_literals;
using targets::Action;
using targets::LeaseView;
using targets::ProcessExit;

// Every message takes its own time, up to this long: requests, answers, notices of exits.
constexpr Duration kMessage = 4ms;
// The one assumption: who registers has its answer later than a picture of the leases takes from
// the store to a signal. See ReplicaSet.
constexpr Duration kRead = 10ms;
constexpr Duration kRegistration = 11ms;
constexpr int kSlots = 2;
constexpr int kMostReplicas = 6;

// A worker process, as the jobmill library behaves: it registers, claims while it has free slots,
// and on TERM ends its jobs, says good-bye and exits.
struct Process {
  std::string name;
  std::int64_t pid = 0;
  bool alive = true;
  bool term = false;
  bool claiming = false;
  bool leaving = false;
  std::string worker_id;
  int held = 0;
  Duration pause = 1ms;  // between claims; longer and longer while there is nothing to do
};
using ProcessPtr = std::shared_ptr<Process>;

// A server, its store and its processes, in one thread and on one clock. All that happens is an
// entry of the agenda; its order is what the seed makes of the delays.
class World {
 public:
  explicit World(unsigned seed, bool faults)
      : random_(seed), faults_(faults), set_("mill", rules(), seed) {
    file_ = std::move(*sqlite::SqliteFile::open(":memory:"));
    sqlite::JobStoreOptions options;
    options.lease = 1h;  // no beats here: who is dead is known by its exit
    store_ = std::move(*sqlite::open_job_store(*file_, clock_.now(), options));
  }

  void live(Duration time) {
    for (int i = 0; i < 24; ++i) at(some(time), [this] { insert(); });
    for (int i = 0; i < 10; ++i) {
      // A wish, and sometimes another one while that is carried out.
      const Duration when = some(time);
      at(when, [this] { want(static_cast<int>(random_() % (kMostReplicas + 1))); });
      at(std::min(time, when + some(20ms)),
         [this] { want(static_cast<int>(random_() % (kMostReplicas + 1))); });
    }
    for (int i = 0; i < 3; ++i) {
      at(some(time), [this] { one_quits(); });
      if (faults_) at(some(time), [this] { crash_one(); });
    }
    bool over = false;
    at(time, [&] { over = true; });
    run_until([&] { return over; });
  }

  void finish_work() {
    longest_pause_ = 1s;
    want(3);
    promote();
    run_until([this] { return succeeded_ == inserted_.size(); });
  }

  void scale_to_zero() {
    want(0);
    run_until([this] { return at_rest(); });
  }

  void shut_down() {
    closing_ = true;
    set_.shutdown(1h, clock_.now());
    work();
    run_until([this] { return at_rest(); });
  }

  void check_end(bool stopped_early = false) {
    CHECK(store_->workers(clock_.now())->empty());
    CHECK(set_.interruptions() == 0);
    for (const std::string& id : inserted_) {
      const auto job = store_->get(id);
      REQUIRE(job);
      const bool done = job->state == jobs::JobState::Succeeded;
      CHECK((done || (stopped_early && job->state == jobs::JobState::Enqueued)));
      if (faults_) continue;
      // ENQUEUED, PROCESSING, SUCCEEDED: at most one run, neither crashed nor released.
      CHECK(store_->history(id)->size() == (done ? 3 : 1));
      CHECK(job->crashes == 0);
    }
  }

 private:
  static targets::ReplicaRules rules() {
    return {.ready_when = targets::ReadyWhen::Registered, .grace = 30s};
  }

  // --- time ------------------------------------------------------------------------------------
  Duration some(Duration most) {
    return Duration(std::uniform_int_distribution(Duration::rep{0}, most.count())(random_));
  }
  bool chance(unsigned percent) { return random_() % 100 < percent; }
  void at(Duration delay, std::function<void()> event) {
    agenda_.emplace(clock_.now() + delay, std::move(event));
  }
  void message(std::function<void()> event) { at(some(kMessage), std::move(event)); }

  void run_until(const std::function<bool()>& come_true) {
    int events = 0;
    while (!come_true()) {
      if (++events == 100'000) FAIL("it goes round in circles");
      const auto next = set_.next();
      if (next && (agenda_.empty() || *next < agenda_.begin()->first)) {
        clock_.set(*next);
        set_.tick(clock_.now());
        work();
        continue;
      }
      if (agenda_.empty()) FAIL("it waits for something that never comes");
      const auto due = agenda_.extract(agenda_.begin());
      clock_.set(std::max(clock_.now(), due.key()));
      due.mapped()();
      check_always();
    }
  }

  bool at_rest() { return set_.empty() && agenda_.empty() && !set_.next(); }

  void check_always() {
    const auto counts = set_.counts();
    const bool within = counts.current() >= set_.wanted() && counts.current() <= kMostReplicas;
    if (!within) FAIL_CHECK("replicas out of bounds: " << counts.current());
  }

  // --- the control thread ----------------------------------------------------------------------
  void want(int replicas) {
    set_.want(replicas, clock_.now());
    work();
  }

  void work() {
    for (auto actions = set_.take_actions(); !actions.empty(); actions = set_.take_actions()) {
      for (const Action& action : actions) perform(action);
    }
  }

  void perform(const Action& action) {
    switch (action.kind) {
      case Action::Kind::Start:
        return start(action.replica);
      case Action::Kind::Quiet:
      case Action::Kind::Unquiet:
        return mark(action.worker_id, action.kind == Action::Kind::Quiet);
      case Action::Kind::Term:
        check_no_lease(action.replica);
        return term(processes_.at(action.replica));
      case Action::Kind::Kill:
        check_no_lease(action.replica);
        return exit(processes_.at(action.replica), {.signal = 9});
      case Action::Kind::ReadLeases:
        return read();
      case Action::Kind::Died:
        return bury(action);
    }
  }

  void check_no_lease(const std::string& replica) {
    if (closing_ || !processes_.at(replica)->alive) return;
    const auto workers = store_->workers(clock_.now());
    for (const jobs::Worker& worker : *workers) {
      if (worker.spec.pid == processes_.at(replica)->pid) CHECK(worker.occupied == 0);
    }
  }

  void start(const std::string& replica) {
    // A name that is new, while one that drains could have gone on?
    if (!processes_.contains(replica)) CHECK_FALSE(one_could_come_back());
    if (faults_ && chance(5)) {
      processes_.emplace(replica, std::make_shared<Process>());
      processes_.at(replica)->alive = false;
      return set_.start_failed(replica, "no memory", clock_.now());
    }
    auto process = std::make_shared<Process>();
    process->name = replica;
    process->pid = ++last_pid_;
    processes_.insert_or_assign(replica, process);
    set_.started(replica, process->pid, clock_.now());
    at(some(20ms), [this, process] { announce(process); });
  }

  bool one_could_come_back() {
    return std::ranges::any_of(set_.replicas(), [this](const scale::Replica& replica) {
      return replica.phase == scale::ReplicaPhase::Draining && !processes_.at(replica.name)->term;
    });
  }

  void mark(const std::string& worker_id, bool quiet) {
    message([this, worker_id, quiet] {
      const bool lost = faults_ && chance(10);    // the request
      const bool unsaid = faults_ && chance(10);  // its answer
      Status status = fail(Code::Unavailable, "try again");
      if (!lost) {
        const auto state = quiet ? jobs::WorkerState::Quiet : jobs::WorkerState::Run;
        const Status done = store_->set_worker_state(worker_id, state, {}, clock_.now());
        if (!unsaid) status = done;
      }
      workers_changed();
      message([this, worker_id, status] {
        set_.marked(worker_id, status, clock_.now());
        work();
      });
    });
  }

  void bury(const Action& action) {
    message([this, action] {
      const jobs::Crash crash{.signal = action.exit.signal, .exit_code = action.exit.exit_code};
      // NotFound: it had said good-bye itself.
      (void)(action.ordered ? store_->leave(action.worker_id, clock_.now())
                            : store_->worker_died(action.worker_id, crash, clock_.now()));
      workers_changed();
    });
  }

  // A job that crashed twice waits before it runs again.
  void promote() {
    if (succeeded_ == inserted_.size()) return;
    REQUIRE(store_->promote_due(clock_.now()));
    at(1s, [this] { promote(); });
  }

  // One read at a time, as the server does it. What it shows is older when it arrives.
  void read() {
    if (std::exchange(reading_, true)) {
      again_ = true;
      return;
    }
    const std::uint64_t number = set_.read_begins();
    at(some(kRead / 2), [this, number] {
      std::vector<LeaseView> views;
      const auto workers = store_->workers(clock_.now());
      for (const jobs::Worker& worker : *workers) {
        views.push_back({.replica = worker.spec.replica,
                         .worker_id = worker.id,
                         .pid = worker.spec.pid,
                         .quiet = worker.state != jobs::WorkerState::Run,
                         .occupied = worker.occupied,
                         .oldest_start = worker.oldest_start});
      }
      // In an order that does not hang on ids, so that a seed is one history.
      std::ranges::sort(views, {}, &LeaseView::pid);
      at(some(kRead / 2), [this, number, views] { arrived(number, views); });
    });
  }

  void arrived(std::uint64_t number, const std::vector<LeaseView>& views) {
    reading_ = false;
    const bool failed = faults_ && chance(5);
    if (!failed) set_.leases(number, views, clock_.now());
    work();
    if (std::exchange(again_, false) || failed) read();
  }

  void workers_changed() { read(); }  // the store's notice

  // --- the processes ---------------------------------------------------------------------------
  void announce(const ProcessPtr& process) {
    if (!process->alive || process->term) return;
    message([this, process] {  // also when it is dead by now
      jobs::WorkerSpec spec;
      spec.name = spec.replica = process->name;
      spec.pid = process->pid;
      spec.concurrency = kSlots;
      const auto registration = store_->announce(spec, clock_.now());
      REQUIRE(registration);
      workers_changed();
      at(kRegistration + some(kMessage), [this, process, id = registration->worker_id] {
        if (!process->alive) return;
        process->worker_id = id;
        process->term ? leave(process) : claim(process);
      });
    });
  }

  void claim(const ProcessPtr& process) {
    if (!process->alive || process->term || process->leaving) return;
    if (process->held == kSlots) return claim_later(process);
    process->claiming = true;
    message([this, process, free = kSlots - process->held] {
      jobs::ClaimRequest request;
      request.worker_id = process->worker_id;
      request.limit = free;
      const auto claimed = store_->claim(request, clock_.now());
      if (claimed && process->alive) CHECK((!process->term || claimed->jobs.empty() || closing_));
      if (claimed && !claimed->jobs.empty()) workers_changed();
      message([this, process, claimed] {
        process->claiming = false;
        if (!process->alive) return;
        process->pause = std::min(2 * process->pause, longest_pause_);
        if (claimed) {
          for (const jobs::ClaimedJob& job : claimed->jobs) run(process, job);
        }
        process->term ? leave(process) : claim_later(process);
      });
    });
  }

  void claim_later(const ProcessPtr& process) {
    at(1ms + some(process->pause), [this, process] { claim(process); });
  }

  void run(const ProcessPtr& process, const jobs::ClaimedJob& job) {
    ++process->held;
    process->pause = 1ms;
    at(some(30ms), [this, process, id = job.job.id, token = job.lock_token] {
      if (!process->alive) return;
      message([this, process, id, token] {
        jobs::Settlement done;
        done.job_id = id;
        done.lock_token = token;
        const auto settled = store_->settle({}, {&done, 1}, clock_.now());
        REQUIRE(settled);
        succeeded_ += settled->front().status ? 1 : 0;
        // Nobody took it away from a process that lives.
        if (process->alive) CHECK(settled->front().status);
        workers_changed();
        message([this, process] {
          --process->held;
          if (process->term) leave(process);
        });
      });
    });
  }

  void term(const ProcessPtr& process) {
    process->term = true;
    leave(process);
  }

  // When its work is done. Half of the programs forget to say good-bye.
  void leave(const ProcessPtr& process) {
    if (!process->alive || process->held > 0 || process->claiming) return;
    if (std::exchange(process->leaving, true)) return;
    message([this, process] {
      if (!process->worker_id.empty() && chance(50)) {
        (void)store_->leave(process->worker_id, clock_.now());  // NotFound: it was seen dead
        workers_changed();
      }
      exit(process, {});
    });
  }

  void exit(const ProcessPtr& process, const ProcessExit& how) {
    if (!std::exchange(process->alive, false)) return;
    message([this, name = process->name, how] {
      set_.exited(name, how, clock_.now());
      work();
    });
  }

  // --- what comes from outside -----------------------------------------------------------------
  void insert() {
    jobs::JobSpec spec;
    spec.kind = "sample";
    spec.max_crashes = 1000;
    const auto result = store_->insert({&spec, 1}, clock_.now());
    REQUIRE(result);
    inserted_.insert(result->jobs.front().id);
  }

  ProcessPtr any_process() {
    std::vector<ProcessPtr> alive;
    for (const auto& [name, process] : processes_) {
      if (process->alive) alive.push_back(process);
    }
    return alive.empty() ? nullptr : alive[random_() % alive.size()];
  }

  void crash_one() {
    if (const auto process = any_process()) exit(process, {.signal = 11});
  }

  // Ends by itself when it has nothing to do, perhaps just when it is to be drained.
  void one_quits() {
    const auto process = any_process();
    if (process != nullptr && process->held == 0 && !process->claiming) leave(process);
  }

  std::mt19937_64 random_;
  const bool faults_;
  ManualClock clock_;
  std::unique_ptr<sqlite::SqliteFile> file_;
  std::unique_ptr<jobs::JobStoreOwner> store_;
  targets::ReplicaSet set_;
  std::multimap<TimePoint, std::function<void()>> agenda_;
  std::map<std::string, ProcessPtr> processes_;
  std::set<std::string> inserted_;
  std::size_t succeeded_ = 0;
  std::int64_t last_pid_ = 0;
  Duration longest_pause_ = 10ms;
  bool closing_ = false;
  bool reading_ = false;
  bool again_ = false;
};

}  // namespace

TEST_CASE("sim: scaling in interrupts no job, whatever overtakes what") {
  for (unsigned seed = 1; seed <= 350; ++seed) {
    CAPTURE(seed);  // rerun with this seed to see the same history
    World world(seed, false);
    world.live(250ms);
    const bool stop_early = seed % 4 == 0;
    if (!stop_early) world.finish_work();
    stop_early ? world.shut_down() : world.scale_to_zero();
    world.check_end(stop_early);
  }
}

TEST_CASE("sim: with crashes and lost answers no job is lost, and everything drains") {
  for (unsigned seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    World world(seed, true);
    world.live(250ms);
    world.finish_work();
    world.scale_to_zero();
    world.check_end();
  }
}

}  // namespace jobmill
