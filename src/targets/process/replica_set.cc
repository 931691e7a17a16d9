// SPDX-License-Identifier: Apache-2.0
#include "targets/process/replica_set.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace jobmill::targets {
namespace {

using namespace std::chrono_literals;

// The kubelet's: the first restart at once, then 10 s, doubling to 5 min; forgotten after a run of
// 10 min.
constexpr Duration kFirstBackOff = 10s;
constexpr Duration kLongestBackOff = 5min;
constexpr Duration kForgetAfter = 10min;

constexpr Duration kAskAgain = 1s;      // a store that failed is asked again this much later
constexpr std::size_t kEndedKept = 64;  // ended processes whose registration may still turn up
constexpr std::string_view kNameLetters =
    "bcdfghjklmnpqrstvwxz2456789";  // as Kubernetes': no words
constexpr int kNameLength = 5;

bool is_due(TimePoint at, TimePoint now) { return at <= now; }

}  // namespace

std::string describe(const ProcessExit& exit) {
  return exit.signal != 0 ? fmt::format("signal {}", exit.signal)
                          : fmt::format("exit code {}", exit.exit_code);
}

bool ReplicaSet::Member::occupied() const {
  return std::ranges::any_of(workers, [](const Worker& w) { return w.seen.occupied > 0; });
}

std::optional<TimePoint> ReplicaSet::Member::oldest_start() const {
  std::optional<TimePoint> oldest;
  for (const Worker& w : workers) {
    const auto& start = w.seen.oldest_start;
    if (start && (!oldest || *start < *oldest)) oldest = start;
  }
  return oldest;
}

ReplicaSet::ReplicaSet(std::string name, ReplicaRules rules, std::uint64_t seed)
    : name_(std::move(name)), rules_(rules), random_(seed) {}

// --- wishes ------------------------------------------------------------------------------------

void ReplicaSet::want(int replicas, TimePoint now) {
  wanted_ = close_at_ ? 0 : std::max(0, replicas);
  happened(now);
}

void ReplicaSet::configure(ReplicaRules rules, bool restart, TimePoint now) {
  rules_ = rules;
  if (restart) ++generation_;
  for (Member& member : members_) {
    if (rules_.ready_when == ReadyWhen::Running) {
      member.ready = member.stage == Member::Stage::Running;
    }
  }
  happened(now);
}

void ReplicaSet::shutdown(Duration grace, TimePoint now) {
  close_at_ = now + grace;
  wanted_ = 0;
  std::erase_if(members_, [](const Member& m) { return !m.runs(); });
  for (Member& member : members_) {
    if (!member.drain) drain(member, now);
    member.drain->forced = true;
    member.drain->kill_at = std::min(member.drain->kill_at, *close_at_);
  }
  happened(now);
}

// --- what happened -----------------------------------------------------------------------------

void ReplicaSet::started(std::string_view replica, std::int64_t pid, TimePoint now) {
  Member* member = find(replica);
  if (member == nullptr) return;
  member->stage = Member::Stage::Running;
  member->pid = pid;
  member->appeared = ++events_;
  member->started = now;
  member->detail.clear();
  member->restarts += member->ran_before ? 1 : 0;
  member->ran_before = true;
  member->ready = rules_.ready_when == ReadyWhen::Running;
  happened(now);
}

void ReplicaSet::start_failed(std::string_view replica, const std::string& reason, TimePoint now) {
  Member* member = find(replica);
  if (member == nullptr) return;
  if (member->drain) {
    std::erase_if(members_, [&](const Member& m) { return m.name == replica; });
  } else {
    restart(*member, reason, now);
  }
  happened(now);
}

void ReplicaSet::ready(std::string_view replica, bool ready, TimePoint now) {
  Member* member = find(replica);
  if (member == nullptr || member->stage != Member::Stage::Running) return;
  if (rules_.ready_when == ReadyWhen::Probed) member->ready = ready;
  happened(now);
}

void ReplicaSet::exited(std::string_view replica, const ProcessExit& exit, TimePoint now) {
  Member* member = find(replica);
  if (member == nullptr) return;
  const bool ordered = member->drain && member->drain->term_at;
  Ended ended{member->name, member->pid, exit, ordered, {}};
  for (const Worker& w : member->workers) {
    act({.kind = Action::Kind::Died,
         .replica = member->name,
         .worker_id = w.id,
         .exit = exit,
         .ordered = ordered});
    ended.reported.push_back(w.id);
  }
  ended_.push_back(std::move(ended));
  if (ended_.size() > kEndedKept) ended_.pop_front();

  if (member->drain) {
    std::erase_if(members_, [&](const Member& m) { return m.name == replica; });
  } else {
    if (now - member->started >= kForgetAfter) member->back_off = Duration(0);
    restart(*member, describe(exit), now);
  }
  happened(now);
}

void ReplicaSet::leases(std::uint64_t read, std::span<const LeaseView> workers, TimePoint now) {
  if (read <= picture_) return;
  picture_ = read;
  if (picture_ > last_event_) asked_.reset();
  for (Member& member : members_) {
    std::erase_if(member.workers, [&](const Worker& w) {
      return std::ranges::none_of(workers, [&](const LeaseView& v) { return v.worker_id == w.id; });
    });
  }
  for (const LeaseView& view : workers) {
    if (of_ended(view)) continue;
    if (Member* member = find(view.replica); member != nullptr && member->runs()) {
      adopt(*member, view);
    }
  }
  if (rules_.ready_when == ReadyWhen::Registered) {
    for (Member& member : members_) member.ready = !member.workers.empty();
  }
  settle(now, true);
}

// A registration outlives its process until somebody says that it is dead.
bool ReplicaSet::of_ended(const LeaseView& view) {
  const Member* member = find(view.replica);
  for (Ended& ended : ended_) {
    if (ended.replica != view.replica) continue;
    const bool same = member == nullptr || !member->runs() ||
                      (ended.pid == view.pid && member->pid != view.pid) ||
                      std::ranges::count(ended.reported, view.worker_id) > 0;
    if (!same) continue;
    if (std::ranges::count(ended.reported, view.worker_id) == 0) {
      ended.reported.push_back(view.worker_id);
      act({.kind = Action::Kind::Died,
           .replica = view.replica,
           .worker_id = view.worker_id,
           .exit = ended.exit,
           .ordered = ended.ordered});
    }
    return true;
  }
  return false;
}

void ReplicaSet::adopt(Member& member, const LeaseView& view) {
  auto known = std::ranges::find(member.workers, view.worker_id, &Worker::id);
  if (known == member.workers.end()) {
    known = member.workers.insert(known, Worker{.id = view.worker_id});
  }
  known->seen = view;
  // Somebody else set it back to run.
  const bool after = picture_ > known->confirmed;
  if (after && !known->asked && known->quiet == true && !view.quiet) known->quiet = false;
}

void ReplicaSet::marked(std::string_view worker_id, const Status& outcome, TimePoint now) {
  Worker* found = worker(worker_id);
  if (found == nullptr || !found->asked) return;
  if (outcome) {
    found->quiet = found->asked;
    found->confirmed = ++events_;
  } else {  // gone, or a store in trouble: whether the mark was set is not known
    found->quiet.reset();
    found->retry_at = now + kAskAgain;
  }
  found->asked.reset();
  happened(now);
}

void ReplicaSet::tick(TimePoint now) { settle(now, false); }

// --- decisions ---------------------------------------------------------------------------------

// Something that may matter for what the next picture leads to.
void ReplicaSet::happened(TimePoint now) {
  last_event_ = ++events_;
  settle(now, false);
}

// Brings what is towards what is wanted. `seen`: a picture of the leases has just come. Only then
// are victims chosen and idle replicas told to end.
void ReplicaSet::settle(TimePoint now, bool seen) {
  now_ = now;
  if (seen && !close_at_) {
    release(now);
    release_outdated(now);
  }
  fill(now);
  steer(now);
  for (Member& member : members_) {
    if (member.drain && member.stage == Member::Stage::Running) let_go(member, now, seen);
  }
  start_due(now);
  ask(now);
}

// More wanted: draining replicas first go back to work, then new ones are made.
void ReplicaSet::fill(TimePoint now) {
  int missing = wanted_ - counts().current();
  for (auto it = members_.rbegin(); it != members_.rend() && missing > 0; ++it) {
    if (!it->drain || it->drain->term_at || outdated(*it)) continue;
    revive(*it);
    --missing;
  }
  for (; missing > 0; --missing) {
    Member member;
    member.name = new_name();
    member.generation = generation_;
    member.start_at = now;
    members_.push_back(std::move(member));
  }
}

// Fewer wanted. The order: not yet ready, then ready without a lease, then the least work lost,
// which is the latest start of the oldest running job; among equals the youngest.
void ReplicaSet::release(TimePoint now) {
  int surplus = counts().current() - wanted_;
  if (surplus <= 0) return;
  std::vector<Member*> candidates;
  for (Member& member : members_) {
    if (!member.drain) candidates.push_back(&member);
  }
  std::ranges::reverse(candidates);
  const auto rank = [](const Member* m) {
    const auto oldest = m->oldest_start();
    return std::tuple(m->ready, m->runs(), m->occupied(),
                      oldest ? -oldest->time_since_epoch() : Duration(0));
  };
  std::ranges::stable_sort(candidates, {}, rank);
  candidates.resize(static_cast<std::size_t>(surplus));
  for (Member* member : candidates) drain(*member, now);
  std::erase_if(members_, [](const Member& m) { return m.drain && !m.runs(); });
}

// Replaces replicas of an older definition, a quarter at a time: the next one goes when its
// predecessor's successor is ready.
void ReplicaSet::release_outdated(TimePoint now) {
  const int floor = wanted_ - std::max(1, wanted_ / 4);
  for (Member& member : members_) {
    if (member.drain || !outdated(member)) continue;
    if (!member.ready || counts().ready - 1 >= floor) drain(member, now);
  }
  std::erase_if(members_, [](const Member& m) { return m.drain && !m.runs(); });
}

void ReplicaSet::drain(Member& member, TimePoint now) { member.drain = Drain{.since = now}; }

void ReplicaSet::revive(Member& member) { member.drain.reset(); }

// Sets the marks that are not as they should be.
void ReplicaSet::steer(TimePoint now) {
  for (Member& member : members_) {
    for (Worker& w : member.workers) steer(w, member, now);
  }
}

void ReplicaSet::steer(Worker& w, const Member& member, TimePoint now) {
  const bool quiet = member.drain.has_value();
  if (w.asked || w.quiet == quiet || !is_due(w.retry_at, now)) return;
  w.asked = quiet;
  act({.kind = quiet ? Action::Kind::Quiet : Action::Kind::Unquiet,
       .replica = member.name,
       .worker_id = w.id});
}

// The picture was begun after its start and after the marks of all its registrations were
// confirmed, and shows no job.
bool ReplicaSet::may_end(const Member& member) const {
  return picture_ > member.appeared && std::ranges::all_of(member.workers, [&](const Worker& w) {
           return w.quiet == true && !w.asked && picture_ > w.confirmed && w.seen.quiet &&
                  w.seen.occupied == 0;
         });
}

// A draining replica: TERM when nothing is left to do, KILL when it does not end.
void ReplicaSet::let_go(Member& member, TimePoint now, bool seen) {
  Drain& drain = *member.drain;
  if (!drain.term_at) {
    const bool late = rules_.drain_limit && is_due(drain.since + *rules_.drain_limit, now);
    if (close_at_) {
      term(member, true, "the server stops", now);
    } else if (seen && may_end(member)) {
      term(member, false, "no longer wanted", now);
    } else if (late) {
      term(member, true, "the drain limit is reached", now);
    }
    return;
  }
  if (drain.killed || !is_due(drain.kill_at, now)) return;
  if (drain.overdue == 0) drain.overdue = last_event_ = ++events_;  // a picture of now, please
  // Told to end while it was idle, and yet it holds a job: it was about to register when it got
  // TERM. Its job is not interrupted either.
  if (!drain.forced && (!seen || picture_ < drain.overdue || member.occupied())) return;
  drain.killed = true;
  interruptions_ += member.occupied() && !drain.interrupted ? 1 : 0;
  act({.kind = Action::Kind::Kill,
       .replica = member.name,
       .interrupts = member.occupied(),
       .reason = "it did not end within its grace"});
}

// By the drain limit it loses its jobs' time; a server that stops leaves it the time to end them.
void ReplicaSet::term(Member& member, bool forced, std::string reason, TimePoint now) {
  Drain& drain = *member.drain;
  drain.term_at = now;
  drain.kill_at = close_at_.value_or(now + rules_.grace);
  drain.forced = forced;
  drain.interrupted = forced && !close_at_ && member.occupied();
  interruptions_ += drain.interrupted ? 1 : 0;
  act({.kind = Action::Kind::Term,
       .replica = member.name,
       .interrupts = drain.interrupted,
       .reason = std::move(reason)});
}

bool ReplicaSet::blocked() const {
  return close_at_ || (rules_.exclusive && std::ranges::any_of(members_, [](const Member& m) {
                         return m.drain && m.runs();
                       }));
}

void ReplicaSet::start_due(TimePoint now) {
  if (blocked()) return;
  for (Member& member : members_) {
    if (member.runs() || member.drain || !is_due(member.start_at, now)) continue;
    member.stage = Member::Stage::Starting;
    act({.kind = Action::Kind::Start, .replica = member.name});
  }
}

// It ended, or could not be started, though it is wanted.
void ReplicaSet::restart(Member& member, std::string why, TimePoint now) {
  member.stage = Member::Stage::Waiting;
  member.pid = 0;
  member.ready = false;
  member.workers.clear();
  member.ran_before = true;
  member.generation = generation_;  // it starts with the definition of now
  member.start_at = now + member.back_off;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(member.back_off).count();
  member.detail =
      seconds == 0 ? why : fmt::format("waits {} s before it starts again ({})", seconds, why);
  member.back_off =
      member.back_off == 0s ? kFirstBackOff : std::min(2 * member.back_off, kLongestBackOff);
}

// --- the picture of the leases -----------------------------------------------------------------

// Whoever asks a store that does not answer asks again.
void ReplicaSet::ask(TimePoint now) {
  if (picture_ > last_event_ || (members_.empty() && ended_.empty())) return;
  if (asked_ && !is_due(*asked_ + kAskAgain, now)) return;
  asked_ = now;
  act({.kind = Action::Kind::ReadLeases});
}

std::vector<Action> ReplicaSet::take_actions() { return std::exchange(actions_, {}); }

// Instants that have passed without effect wait for an event, not for time.
std::optional<TimePoint> ReplicaSet::next() const {
  std::optional<TimePoint> earliest;
  const auto consider = [&](TimePoint at) {
    if (at > now_ && (!earliest || at < *earliest)) earliest = at;
  };
  if (asked_) consider(*asked_ + kAskAgain);
  for (const Member& member : members_) {
    if (!member.runs()) consider(member.start_at);
    for (const Worker& w : member.workers) consider(w.retry_at);
    if (!member.drain) continue;
    if (member.drain->term_at)
      consider(member.drain->kill_at);
    else if (rules_.drain_limit)
      consider(member.drain->since + *rules_.drain_limit);
  }
  return earliest;
}

// --- as it is ----------------------------------------------------------------------------------

scale::ReplicaCounts ReplicaSet::counts() const {
  scale::ReplicaCounts counts;
  for (const Member& member : members_) {
    (member.drain ? counts.draining : member.ready ? counts.ready : counts.starting) += 1;
  }
  return counts;
}

std::vector<scale::Replica> ReplicaSet::replicas() const {
  std::vector<scale::Replica> list;
  for (const Member& m : members_) {
    list.push_back({.name = m.name,
                    .phase = m.drain   ? scale::ReplicaPhase::Draining
                             : m.ready ? scale::ReplicaPhase::Ready
                                       : scale::ReplicaPhase::Starting,
                    .started = m.started,
                    .restarts = m.restarts,
                    .pid = m.pid,
                    .detail = m.detail});
  }
  return list;
}

bool ReplicaSet::waits(std::string_view replica) const {
  const Member* member = find(replica);
  return member != nullptr && !member->runs();
}

ReplicaSet::Member* ReplicaSet::find(std::string_view replica) {
  const auto it = std::ranges::find(members_, replica, &Member::name);
  return it == members_.end() ? nullptr : &*it;
}

const ReplicaSet::Member* ReplicaSet::find(std::string_view replica) const {
  const auto it = std::ranges::find(members_, replica, &Member::name);
  return it == members_.end() ? nullptr : &*it;
}

ReplicaSet::Worker* ReplicaSet::worker(std::string_view id) {
  for (Member& member : members_) {
    const auto it = std::ranges::find(member.workers, id, &Worker::id);
    if (it != member.workers.end()) return &*it;
  }
  return nullptr;
}

std::string ReplicaSet::new_name() {
  for (;;) {
    std::string name = name_ + "-";
    for (int i = 0; i < kNameLength; ++i) name += kNameLetters[random_() % kNameLetters.size()];
    if (find(name) == nullptr) return name;
  }
}

}  // namespace jobmill::targets
