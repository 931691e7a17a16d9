// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "scale/target.h"

namespace jobmill::targets {

// When a running process counts as ready.
enum class ReadyWhen {
  Running,     // at once: nothing says otherwise
  Registered,  // while it is registered as a worker
  Probed,      // while ready() says so
};

struct ReplicaRules {
  ReadyWhen ready_when = ReadyWhen::Running;
  Duration grace = std::chrono::seconds(30);  // between TERM and KILL
  std::optional<Duration> drain_limit = {};   // none: a drain lasts as long as the work does
  bool exclusive = false;  // two cannot live at once (one port): the old one ends before the new
};

// How a process ended.
struct ProcessExit {
  int exit_code = 0;
  int signal = 0;  // 0: it exited by itself
  std::int64_t peak_rss_bytes = 0;
  bool out_of_memory = false;  // the kernel killed it for its memory, as far as its cgroup tells
  std::string detail = {};     // what it wrote to stderr last, at most 64 KiB
};
std::string describe(const ProcessExit& exit);  // "exit code 1", "signal 9"

// What the job store says of one worker that a replica's process registered.
struct LeaseView {
  std::string replica = {};  // JOBMILL_REPLICA
  std::string worker_id = {};
  std::int64_t pid = 0;
  bool quiet = false;                          // claims nothing more
  bool by_hand = false;                        // quiet since somebody said so: no autoscaler
  bool shared = false;                         // `replica` names others as well, of other groups
  int occupied = 0;                            // jobs it holds
  std::optional<TimePoint> oldest_start = {};  // of the jobs it holds
};

// What the owner of a ReplicaSet has to do, in this order.
struct Action {
  enum class Kind {
    Start,       // a process for `replica`; answer started() or start_failed()
    Quiet,       // set `worker_id` to quiet; answer marked()
    Unquiet,     // set it back to run; answer marked()
    Term,        // ask the process to end
    Kill,        // end it
    ReadLeases,  // read the store and call leases()
    Died,        // `worker_id` ended as `exit` says; its jobs may go back
  };
  Kind kind = Kind::Start;
  std::string replica = {};
  std::string worker_id = {};
  ProcessExit exit = {};
  bool ordered = false;     // Died: it ended because we told it to
  bool interrupts = false;  // Term, Kill: it still holds jobs
  std::string reason = {};  // for the log
};

// Decides for one group of equal processes: which to start, which to let go and when, so that
// scaling in never interrupts a job. It does nothing by itself: it is told what happened and the
// time, and says what to do.
//
// A replica that is to go is first set to `quiet`, a mark that every claim checks in its own
// transaction. Only a picture of the leases that was begun after the mark was confirmed, and shows
// no job, leads to TERM: from then on nothing can reach it. A replica that no picture since its
// start shows as registered gets TERM at once: to hold a job it would have to register, be answered
// and claim in the time that reading takes. Should it manage that, it is not killed for it. If more
// are wanted again, draining replicas go back to work before any is started.
class ReplicaSet {
 public:
  ReplicaSet(std::string name, ReplicaRules rules, std::uint64_t seed);

  // --- wishes --------------------------------------------------------------------------------
  void want(int replicas, TimePoint now);
  // New rules; with `restart` also a new definition: replicas are replaced a quarter at a time,
  // each one drained like a victim of scale-in.
  void configure(ReplicaRules rules, bool restart, TimePoint now);
  // TERM for all; after `grace` KILL, whatever they hold. Nothing is started any more.
  void shutdown(Duration grace, TimePoint now);

  // --- what happened -------------------------------------------------------------------------
  void started(std::string_view replica, std::int64_t pid, TimePoint now);
  void start_failed(std::string_view replica, const std::string& reason, TimePoint now);
  void ready(std::string_view replica, bool ready, TimePoint now);  // ReadyWhen::Probed
  void exited(std::string_view replica, const ProcessExit& exit, TimePoint now);
  // A picture of the leases: call read_begins() before the store is read, and give its number with
  // what was seen. What was confirmed in between cannot be in the picture. Numbers that are older
  // than the last one are ignored.
  std::uint64_t read_begins() { return ++events_; }
  void leases(std::uint64_t read, std::span<const LeaseView> workers, TimePoint now);
  void marked(std::string_view worker_id, const Status& outcome, TimePoint now);
  void tick(TimePoint now);

  std::vector<Action> take_actions();
  std::optional<TimePoint> next() const;  // call tick() then

  // --- as it is ------------------------------------------------------------------------------
  int wanted() const { return wanted_; }
  scale::ReplicaCounts counts() const;
  std::vector<scale::Replica> replicas() const;
  bool waits(std::string_view replica) const;  // has no process and waits for its next start
  bool empty() const { return members_.empty(); }
  int interruptions() const { return interruptions_; }  // drains that ended with jobs in hand

 private:
  // One registration of a process. Its mark is set by one command at a time, so that quiet and run
  // cannot overtake each other on their way to the store.
  struct Worker {
    std::string id = {};
    LeaseView seen = {};
    std::optional<bool> quiet = false;  // what the store confirmed; nothing: unknown
    std::optional<bool> asked = {};     // the command on its way
    std::uint64_t confirmed = 0;        // when `quiet` became so
    TimePoint retry_at{};
  };

  struct Drain {
    TimePoint since{};
    std::optional<TimePoint> term_at = {};
    TimePoint kill_at = TimePoint::max();
    bool forced = false;  // KILL also when it holds jobs
    bool killed = false;
    std::uint64_t overdue = 0;  // when its grace was over, as a number of events_
    bool interrupted = false;
  };

  struct Member {
    enum class Stage { Waiting, Starting, Running };
    std::string name = {};
    int generation = 0;
    Stage stage = Stage::Waiting;
    TimePoint start_at{};
    TimePoint started{};
    std::int64_t pid = 0;
    std::uint64_t appeared = 0;  // when the process started, as a number of events_
    bool ready = false;
    int restarts = 0;
    bool ran_before = false;
    Duration back_off{};
    std::string detail = {};
    std::vector<Worker> workers = {};
    std::optional<Drain> drain = {};

    bool runs() const { return stage != Stage::Waiting; }
    bool occupied() const;
    std::optional<TimePoint> oldest_start() const;
  };

  // A process that is gone. Its registration may be found later than its end.
  struct Ended {
    std::string replica = {};
    std::int64_t pid = 0;
    ProcessExit exit = {};
    bool ordered = false;
    std::vector<std::string> reported = {};
  };

  Member* find(std::string_view replica);
  const Member* find(std::string_view replica) const;
  Worker* worker(std::string_view id);
  std::string new_name();
  void act(Action action) { actions_.push_back(std::move(action)); }

  void happened(TimePoint now);
  void settle(TimePoint now, bool seen);
  void fill(TimePoint now);
  void release(TimePoint now);
  void release_outdated(TimePoint now);
  void drain(Member& member, TimePoint now);
  void revive(Member& member);
  void steer(TimePoint now);
  void steer(Worker& worker, const Member& member, TimePoint now);
  void let_go(Member& member, TimePoint now, bool seen);
  void term(Member& member, bool forced, std::string reason, TimePoint now);
  void start_due(TimePoint now);
  void restart(Member& member, std::string why, TimePoint now);
  void ask(TimePoint now);
  bool may_end(const Member& member) const;
  bool blocked() const;
  bool outdated(const Member& member) const { return member.generation != generation_; }
  bool of_ended(const LeaseView& view);
  void adopt(Member& member, const LeaseView& view);

  const std::string name_;
  ReplicaRules rules_;
  std::mt19937_64 random_;
  int wanted_ = 0;
  int generation_ = 0;
  int interruptions_ = 0;
  std::optional<TimePoint> close_at_;  // shutting down: what runs then is killed
  std::uint64_t events_ = 0;           // counts what happened and the reads, in one order
  std::uint64_t last_event_ = 0;       // that a picture should show
  std::uint64_t picture_ = 0;          // the read whose picture came last
  std::optional<TimePoint> asked_;     // a picture was asked for and has not come
  TimePoint now_{};                    // of the last call
  std::vector<Member> members_;        // in the order of their creation
  std::deque<Ended> ended_;
  std::vector<Action> actions_;
};

}  // namespace jobmill::targets
