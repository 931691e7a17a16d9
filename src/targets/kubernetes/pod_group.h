// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "scale/target.h"
#include "targets/process/replica_set.h"

namespace jobmill::targets {

// What a pod's annotations tell Kubernetes about ending it.
struct PodMarks {
  std::optional<int> deletion_cost = {};   // controller.kubernetes.io/pod-deletion-cost
  std::optional<bool> safe_to_evict = {};  // cluster-autoscaler.kubernetes.io/safe-to-evict
  bool operator==(const PodMarks&) const = default;
};

// A pod of the workload, as the API server shows it.
struct PodView {
  enum class Phase { Pending, Running, Ended };  // Ended: Succeeded or Failed, holds no place
  std::string name = {};
  std::string uid = {};
  std::string owner = {};  // uid of its controller: a Deployment has one for each revision
  Phase phase = Phase::Pending;
  bool assigned = false;  // to a node
  bool ready = false;     // its condition says so, and its node is alive
  bool deleting = false;
  TimePoint created{};
  int restarts = 0;
  PodMarks marks = {};
};

struct PodRules {
  // A StatefulSet's pods go by their number, the highest first, whatever they cost.
  bool by_ordinal = false;
  int first_ordinal = 0;
  std::optional<Duration> drain_limit = {};  // none: a drain lasts as long as the work does
};

// What the owner of a PodGroup has to do, in this order.
struct PodAction {
  enum class Kind {
    SetReplicas,  // spec.replicas, if it is still at `version`; answer replicas_set()
    Quiet,        // set `worker_id` to quiet; answer marked()
    Unquiet,      // set it back to run; answer marked()
    Annotate,     // give `pod` these marks; answer annotated()
    ReadLeases,   // read the store and call leases()
  };
  Kind kind = Kind::ReadLeases;
  int replicas = 0;
  std::uint64_t version = 0;  // resourceVersion; 0: not known
  std::string pod = {};
  std::string worker_id = {};
  PodMarks marks = {};
  int interrupts = 0;  // SetReplicas: pods that go though they hold jobs: the drain limit
};

// Decides for one workload of a cluster when its spec.replicas is set, so that scaling in never
// interrupts a job. It does nothing by itself: it is told what happened and the time, and says what
// to do.
//
// Growing is one write, at once; pods that drain go back to work before new ones are asked for.
// Shrinking takes longer, since it is Kubernetes that picks the pods: those that are not running,
// then those that are not ready, then the lowest deletion cost. Victims are chosen in that order,
// among ready ones first those without a job, then those with the least work to lose. A victim's
// workers are set to `quiet`, a mark that every claim checks in its own transaction. Only a picture
// of the leases that was begun after the mark was confirmed, and shows no job, makes it drained.
// Then its deletion cost is set below that of the others, and spec.replicas is lowered to where
// Kubernetes, in its order, meets drained pods only.
//
// A worker whose name several pods have is taken for busy in each of them, and keeps the mark that
// it has: it may be another group's.
//
// A worker that somebody quieted by hand serves, and stays as it is: it is as good as marked when
// it is to go, and not set back to work.
//
// A pod that no picture shows as registered may be about to: where pods are known to be workers,
// one that has been running for less than half a minute counts as if it held a job. That knowledge
// comes from the pictures, so a workload whose first worker is just starting can be mistaken for
// another program, which is scaled at once.
//
// Left to Kubernetes is what happens between a write and its execution: a busy pod that stops being
// ready in these milliseconds goes before the drained one.
class PodGroup {
 public:
  PodGroup(std::string name, PodRules rules);

  // --- wishes --------------------------------------------------------------------------------
  void want(int replicas, TimePoint now);
  void configure(PodRules rules, TimePoint now);
  // Scales no more, and sets back to work what drains.
  void let_be(TimePoint now);

  // --- what happened -------------------------------------------------------------------------
  // Of the workload, after each change. A number that is not ours is followed, unless we are
  // shrinking. Older versions than known ones are ignored.
  void spec(int replicas, std::uint64_t version, TimePoint now);
  void pods(std::vector<PodView> all, TimePoint now);
  void pod(PodView pod, TimePoint now);
  void pod_gone(std::string_view name, std::string_view uid, TimePoint now);
  // A picture of the leases: call read_begins() before the store is read, and give its number with
  // what was seen. What was confirmed in between cannot be in the picture. Workers belong to the
  // pod that their `replica` names.
  std::uint64_t read_begins() { return ++events_; }
  void leases(std::uint64_t read, std::span<const LeaseView> workers, TimePoint now);
  void marked(std::string_view worker_id, const Status& outcome, TimePoint now);
  void replicas_set(const Result<std::uint64_t>& version, TimePoint now);  // the new one
  void annotated(std::string_view pod, const Status& outcome, TimePoint now);
  void tick(TimePoint now);

  std::vector<PodAction> take_actions();
  std::optional<TimePoint> next() const;  // call tick() then

  // --- as it is ------------------------------------------------------------------------------
  bool known() const { return spec_ && listed_; }  // nothing is decided before
  int wanted() const { return wanted_.value_or(0); }
  int asked_for() const { return spec_.value_or(0); }  // spec.replicas
  // spec.replicas is what is wanted, and those that were to go with it do, or another one did. A
  // controller that is slow to end them is not waited for.
  bool reached() const;
  scale::ReplicaCounts counts() const;
  std::vector<scale::Replica> replicas() const;
  int busy() const;  // pods that hold a job
  bool owns(std::string_view pod) const { return find(pod) != nullptr; }
  bool at_rest() const;  // after let_be(): nothing is left to be set back

 private:
  // One registration of a pod's process. Its mark is set by one command at a time, so that quiet
  // and run cannot overtake each other on their way to the store.
  struct Worker {
    LeaseView seen = {};
    std::uint64_t first = 0;  // picture that showed it
    std::uint64_t last = 0;
    std::optional<bool> quiet = {};  // what the store confirmed; nothing: unknown
    std::optional<bool> asked = {};  // the command on its way
    std::uint64_t confirmed = 0;     // when `quiet` became so
    TimePoint retry_at{};

    bool occupied() const { return seen.occupied > 0 || seen.shared; }
  };

  struct Asked {
    PodMarks marks = {};
    TimePoint since{};
  };

  struct Member {
    PodView pod = {};
    std::uint64_t appeared = 0;      // or began to run, or again, as a number of events_
    TimePoint unregistered_since{};  // for the pictures; counts while it runs
    TimePoint unready_since{};
    std::vector<Worker> workers = {};
    std::optional<TimePoint> drains_since = {};
    std::optional<TimePoint> released = {};  // spec.replicas went down for it
    TimePoint last_busy{};
    std::optional<Asked> annotating = {};  // until the pod shows it
    TimePoint annotate_at{};               // not before
    TimePoint shown_at{};                  // when it showed what was asked last

    bool active() const { return !pod.deleting && pod.phase != PodView::Phase::Ended; }
    bool drains() const { return active() && drains_since && !released; }
    bool serves() const { return active() && !drains_since && !released; }
    bool leaves() const { return drains_since || released || pod.deleting; }
    bool occupied() const;
    bool registered() const;  // by the process that runs now
    std::optional<TimePoint> oldest_start() const;
    int stage() const;  // Kubernetes takes the lower ones first
    int cost() const;
    int lowest_cost() const;  // a write of another one may be on its way
    int highest_cost() const;
  };
  using Members = std::map<std::string, Member, std::less<>>;

  // A write of spec.replicas on its way.
  struct Sent {
    int replicas = 0;
    std::uint64_t version = 0;
    TimePoint since{};
    std::optional<TimePoint> unsure = {};  // no answer came: whether it was done will be seen
  };

  struct Due {
    PodMarks marks = {};
    TimePoint at{};
  };

  Member* find(std::string_view pod);
  const Member* find(std::string_view pod) const;
  Worker* worker(std::string_view id);
  void act(PodAction action) { actions_.push_back(std::move(action)); }

  bool take(PodView pod, TimePoint now);
  void adopt(Member& member, const LeaseView& view);
  void happened(TimePoint now);
  void settle(TimePoint now, bool seen);
  void arrived(bool done);
  void take_back_released(TimePoint now);
  void grow(TimePoint now);
  void choose_victims(TimePoint now);
  void choose_by_ordinal(TimePoint now);
  void exchange_unready(TimePoint now, bool seen);
  void steer(TimePoint now);
  void steer(Worker& worker, const Member& member, TimePoint now);
  void shrink(TimePoint now, bool seen);
  void look_again();
  void send(int replicas, TimePoint now);
  void release(int replicas, TimePoint now);
  void annotate(TimePoint now);
  void ask(TimePoint now);

  int goal() const { return sent_ ? sent_->replicas : spec_.value_or(0); }
  int count(const std::function<bool(const Member&)>& which) const;
  int current() const;
  int unmade() const;  // asked for, and no pod yet
  bool shrinking() const;
  bool in_doubt(const Member& member) const;
  bool overdue(const Member& member) const;
  bool drained(const Member& member) const;
  int slot(const Member& member) const;  // of a StatefulSet's pod, from 0
  int lowest() const;
  int expendable() const;
  std::vector<const Member*> in_order() const;
  TimePoint shrink_at() const;
  std::optional<Due> due_marks(const Member& member) const;
  std::optional<int> cost_to_go_first(const Member& member) const;

  const std::string name_;
  PodRules rules_;
  std::optional<int> wanted_;
  std::optional<int> spec_;  // spec.replicas
  std::uint64_t version_ = 0;
  bool listed_ = false;
  bool closing_ = false;
  bool are_workers_ = false;  // some pod was seen registered
  std::optional<Sent> sent_;  // the write on its way
  bool conflict_ = false;     // the last one met another version
  Duration back_off_{};
  TimePoint write_at_{};  // not before
  std::optional<TimePoint> could_shrink_since_;
  TimePoint marks_at_{};            // when busy and idle pods may be marked again
  std::uint64_t events_ = 0;        // counts what happened and the reads, in one order
  std::uint64_t last_event_ = 0;    // that a picture should show
  std::uint64_t picture_ = 0;       // the read whose picture came last
  std::optional<TimePoint> asked_;  // a picture was asked for and has not come
  TimePoint now_{};                 // of the last call
  Members members_;
  std::vector<PodAction> actions_;
};

}  // namespace jobmill::targets
