// SPDX-License-Identifier: Apache-2.0
#include "targets/kubernetes/pod_group.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace jobmill::targets {
namespace {

using namespace std::chrono_literals;
using Kind = PodAction::Kind;
using Phase = PodView::Phase;

constexpr Duration kAskAgain = 1s;  // a store that failed is asked again this much later
// From the start of a container until its worker is registered: a large program on a busy node.
constexpr Duration kRegistersWithin = 30s;
// Readiness may flicker; a busy pod that has not been ready for so long is what Kubernetes would
// take first, and so it is a victim in place of another one.
constexpr Duration kLongUnready = 5s;
// Pods whose jobs end soon after each other go with one write.
constexpr Duration kTogether = 1s;
// Controllers see pods and replicas by two watches: costs get a lead.
constexpr Duration kLead = 50ms;
// A pod for which spec.replicas went down, and which is not ended though no more than that many
// are left: another one has gone by itself. So long may the news of a deletion take.
constexpr Duration kTakeBack = 5s;
constexpr Duration kUnsure = 5s;  // for a write whose answer was lost to be seen
constexpr Duration kFirstBackOff = 100ms;
constexpr Duration kLongestBackOff = 30s;

constexpr int kDrainedCost = -1000;
constexpr int kBusyCost = 1000;
constexpr Duration kMarksPause = 10s;   // between two rounds of marks of busy and idle pods
constexpr Duration kIdleFor = 60s;      // before a pod is marked as idle
constexpr Duration kMarksEchoed = 10s;  // within which a pod shows what it was given
constexpr Duration kMarksAgain = 5s;    // after marks that could not be set

enum Stage { kUnassigned, kAssigned, kUnready, kReady };

bool is_due(TimePoint at, TimePoint now) { return at <= now; }

// The server may have done it.
bool is_unsure(Code code) {
  return code == Code::Unavailable || code == Code::Timeout || code == Code::Internal;
}

bool shows(const PodMarks& seen, const PodMarks& asked) {
  return (!asked.deletion_cost || seen.deletion_cost == asked.deletion_cost) &&
         (!asked.safe_to_evict || seen.safe_to_evict == asked.safe_to_evict);
}

// What of the wish the pod does not show. An absent cost counts as 0, an absent permission as
// given.
std::optional<PodMarks> difference(const PodMarks& seen, const PodMarks& wish) {
  PodMarks marks;
  if (wish.deletion_cost && seen.deletion_cost.value_or(0) != *wish.deletion_cost)
    marks.deletion_cost = wish.deletion_cost;
  if (wish.safe_to_evict && seen.safe_to_evict.value_or(true) != *wish.safe_to_evict)
    marks.safe_to_evict = wish.safe_to_evict;
  if (marks == PodMarks{}) return std::nullopt;
  return marks;
}

int ordinal(std::string_view pod) {
  const std::string_view digits = pod.substr(pod.rfind('-') + 1);
  int number = -1;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

}  // namespace

// --- one pod -----------------------------------------------------------------------------------

bool PodGroup::Member::occupied() const { return std::ranges::any_of(workers, &Worker::occupied); }

bool PodGroup::Member::registered() const {
  return std::ranges::any_of(workers, [this](const Worker& w) { return w.first > appeared; });
}

std::optional<TimePoint> PodGroup::Member::oldest_start() const {
  std::optional<TimePoint> oldest;
  for (const Worker& w : workers) {
    const auto& start = w.seen.oldest_start;
    if (start && (!oldest || *start < *oldest)) oldest = start;
  }
  return oldest;
}

int PodGroup::Member::stage() const {
  if (pod.phase == Phase::Pending) return pod.assigned ? kAssigned : kUnassigned;
  return pod.ready ? kReady : kUnready;
}

int PodGroup::Member::cost() const { return pod.marks.deletion_cost.value_or(0); }

int PodGroup::Member::lowest_cost() const {
  return std::min(cost(), annotating ? annotating->marks.deletion_cost.value_or(cost()) : cost());
}

int PodGroup::Member::highest_cost() const {
  return std::max(cost(), annotating ? annotating->marks.deletion_cost.value_or(cost()) : cost());
}

// --- wishes ------------------------------------------------------------------------------------

PodGroup::PodGroup(std::string name, PodRules rules) : name_(std::move(name)), rules_(rules) {}

void PodGroup::want(int replicas, TimePoint now) {
  wanted_ = std::max(0, replicas);
  happened(now);
}

void PodGroup::configure(PodRules rules, TimePoint now) {
  rules_ = rules;
  settle(now, false);
}

void PodGroup::let_be(TimePoint now) {
  closing_ = true;
  for (auto& [name, member] : members_) member.drains_since.reset();
  settle(now, false);
}

// --- what happened -----------------------------------------------------------------------------

void PodGroup::spec(int replicas, std::uint64_t version, TimePoint now) {
  if (version != 0 && version < version_) return;
  // Our write names the version that it changes: at a newer one with another number it can no
  // longer succeed.
  if (sent_ && sent_->unsure && version > sent_->version) arrived(replicas == sent_->replicas);
  const bool ours = spec_ == replicas || (sent_ && sent_->replicas == replicas);
  if (!wanted_ || (spec_ && !ours && !shrinking())) wanted_ = replicas;
  if (version != version_ && std::exchange(conflict_, false)) write_at_ = now;
  version_ = version;
  if (std::exchange(spec_, replicas) == replicas) return settle(now, false);
  happened(now);
}

void PodGroup::pods(std::vector<PodView> all, TimePoint now) {
  listed_ = true;
  std::erase_if(members_, [&](const auto& entry) {
    return std::ranges::find(all, entry.first, &PodView::name) == all.end();
  });
  for (PodView& pod : all) take(std::move(pod), now);
  happened(now);
}

void PodGroup::pod(PodView pod, TimePoint now) {
  take(std::move(pod), now) ? happened(now) : settle(now, false);
}

void PodGroup::pod_gone(std::string_view name, std::string_view uid, TimePoint now) {
  const Member* member = find(name);
  if (member == nullptr || member->pod.uid != uid) return;
  members_.erase(members_.find(name));
  happened(now);
}

// True: something that may matter for who goes.
bool PodGroup::take(PodView pod, TimePoint now) {
  auto it = members_.find(pod.name);
  if (it != members_.end() && it->second.pod.uid != pod.uid) {  // a StatefulSet's next of this name
    members_.erase(it);
    it = members_.end();
  }
  if (it == members_.end()) {
    Member member{.appeared = ++events_, .unregistered_since = now, .unready_since = now};
    it = members_.emplace(pod.name, std::move(member)).first;
    it->second.pod = std::move(pod);
    return true;
  }
  Member& member = it->second;
  const PodView& was = member.pod;
  const bool began =
      pod.phase == Phase::Running && (was.phase != Phase::Running || was.restarts != pod.restarts);
  if (began) {
    member.appeared = ++events_;
    member.unregistered_since = now;
  }
  if (was.ready && !pod.ready) member.unready_since = now;
  const bool matters = began || was.phase != pod.phase || was.ready != pod.ready ||
                       was.deleting != pod.deleting || was.assigned != pod.assigned;
  if (member.annotating && shows(pod.marks, member.annotating->marks)) {
    member.annotating.reset();
    member.shown_at = now;
  }
  member.pod = std::move(pod);
  return matters;
}

void PodGroup::leases(std::uint64_t read, std::span<const LeaseView> workers, TimePoint now) {
  if (read <= picture_) return;
  picture_ = read;
  if (picture_ > last_event_) asked_.reset();
  for (const LeaseView& view : workers) {
    if (Member* member = find(view.replica)) adopt(*member, view);
  }
  for (auto& [name, member] : members_) {
    const bool was_registered = member.registered();
    std::erase_if(member.workers, [this](const Worker& w) { return w.last != picture_; });
    if (was_registered && !member.registered()) member.unregistered_since = now;
    if (member.occupied()) member.last_busy = now;
  }
  settle(now, true);
}

// A mark that is found on a new registration is of a server before this one, which drained the pod.
void PodGroup::adopt(Member& member, const LeaseView& view) {
  are_workers_ = true;
  auto known = std::ranges::find(member.workers, view.worker_id,
                                 [](const Worker& w) { return w.seen.worker_id; });
  if (known == member.workers.end())
    known = member.workers.insert(known, Worker{.first = picture_, .quiet = view.quiet});
  known->seen = view;
  known->last = picture_;
  // Somebody else set it back to run, or to quiet.
  if (picture_ <= known->confirmed || known->asked) return;
  if (known->quiet == true && !view.quiet) known->quiet = false;
  if (view.by_hand) known->quiet = true;
}

void PodGroup::marked(std::string_view worker_id, const Status& outcome, TimePoint now) {
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

void PodGroup::replicas_set(const Result<std::uint64_t>& version, TimePoint now) {
  if (!sent_) return;
  if (version) {
    if (*version == 0 || *version >= version_) {
      spec_ = sent_->replicas;
      version_ = *version;
    }
    arrived(true);
    return happened(now);
  }
  const Code code = version.error().code;
  conflict_ = code == Code::Conflict;
  back_off_ = back_off_ == 0s ? kFirstBackOff : std::min(2 * back_off_, kLongestBackOff);
  write_at_ = now + back_off_;
  if (is_unsure(code))
    sent_->unsure = now + kUnsure;
  else
    arrived(false);
  happened(now);
}

void PodGroup::annotated(std::string_view pod, const Status& outcome, TimePoint now) {
  Member* member = find(pod);
  if (member == nullptr || outcome || is_unsure(outcome.error().code))
    return;  // the watch shows it
  member->annotating.reset();
  member->annotate_at = now + kMarksAgain;
  settle(now, false);
}

void PodGroup::tick(TimePoint now) { settle(now, false); }

// --- decisions ---------------------------------------------------------------------------------

// Something that may matter for what the next picture leads to.
void PodGroup::happened(TimePoint now) {
  last_event_ = ++events_;
  settle(now, false);
}

// Brings what is towards what is wanted. `seen`: a picture of the leases has just come. Only then
// are victims chosen and spec.replicas lowered.
void PodGroup::settle(TimePoint now, bool seen) {
  now_ = now;
  if (sent_ && sent_->unsure && is_due(*sent_->unsure, now)) arrived(false);
  if (known() && !closing_) {
    take_back_released(now);
    if (seen) choose_victims(now);
    exchange_unready(now, seen);
    grow(now);
    shrink(now, seen);
  }
  steer(now);
  annotate(now);
  ask(now);
}

// What became of the write. Pods that should have gone with it and will not are victims again.
void PodGroup::arrived(bool done) {
  for (auto& [name, member] : members_) {
    if (!done && member.released == sent_->since) member.released.reset();
  }
  if (done) back_off_ = Duration(0);
  if (done) write_at_ = TimePoint{};
  sent_.reset();
}

// As many pods as there shall be, and among them one that was to go: another one went instead.
void PodGroup::take_back_released(TimePoint now) {
  if (sent_) return;
  const bool complete = count([](const Member& m) { return m.active(); }) <= goal();
  for (auto& [name, member] : members_) {
    if (!member.released || !member.active() || !is_due(*member.released + kTakeBack, now))
      continue;
    if (rules_.by_ordinal ? slot(member) >= goal() : !complete) continue;
    member.released.reset();
    member.drains_since.reset();
  }
}

// More wanted: draining pods first go back to work, those with the most work to lose first; then
// new ones are asked for.
void PodGroup::grow(TimePoint now) {
  std::vector<Member*> draining;
  for (auto& [name, member] : members_) {
    if (member.drains()) draining.push_back(&member);
  }
  std::ranges::stable_sort(draining, {}, [](const Member* m) {
    const auto oldest = m->oldest_start();
    return std::tuple(-m->stage(), !oldest, oldest.value_or(TimePoint{}));
  });
  int missing = *wanted_ - current();
  for (Member* member : draining) {
    const bool comes_back = rules_.by_ordinal ? slot(*member) < *wanted_ : missing-- > 0;
    if (comes_back) member->drains_since.reset();
  }
  if (*wanted_ > goal() && !sent_ && is_due(write_at_, now)) send(*wanted_, now);
}

// Fewer wanted. The order is Kubernetes' own as far as nobody can change it: what does not run,
// what is not ready. Then ready without a job, then the least work lost, which is the latest start
// of the oldest running job; among equals the youngest.
void PodGroup::choose_victims(TimePoint now) {
  if (rules_.by_ordinal) return choose_by_ordinal(now);
  int surplus = current() - *wanted_ - unmade();
  std::vector<Member*> candidates;
  for (auto& [name, member] : members_) {
    if (member.serves()) candidates.push_back(&member);
  }
  std::ranges::stable_sort(candidates, {}, [](const Member* m) {
    const auto oldest = m->oldest_start();
    return std::tuple(m->stage(), m->occupied(), oldest ? -oldest->time_since_epoch() : Duration(0),
                      -m->pod.created.time_since_epoch());
  });
  for (Member* member : candidates) {
    if (surplus-- <= 0) return;
    member->drains_since = now;
  }
}

// Of a StatefulSet those with the highest numbers; what is above spec.replicas ends without us.
void PodGroup::choose_by_ordinal(TimePoint now) {
  for (auto& [name, member] : members_) {
    if (!member.serves() || slot(member) < *wanted_) continue;
    member.drains_since = now;
    if (slot(member) >= goal()) member.released = now;
  }
}

// Kubernetes takes what is not ready before what costs little: a busy pod that is not ready keeps
// all others from going, unless it drains itself. Then one of the others may stay.
void PodGroup::exchange_unready(TimePoint now, bool seen) {
  if (rules_.by_ordinal) return;
  for (auto& [name, member] : members_) {
    if (!member.serves() || member.stage() != kUnready || drained(member)) continue;
    if (!is_due(member.unready_since + kLongUnready, now)) continue;
    const auto other = std::ranges::find_if(members_, [](const auto& entry) {
      return entry.second.drains() && entry.second.pod.ready;
    });
    if (other == members_.end()) return;
    if (!seen) return look_again();
    other->second.drains_since.reset();
    member.drains_since = now;
  }
}

// Sets the marks that are not as they should be.
void PodGroup::steer(TimePoint now) {
  for (auto& [name, member] : members_) {
    for (Worker& w : member.workers) steer(w, member, now);
  }
}

void PodGroup::steer(Worker& w, const Member& member, TimePoint now) {
  const bool quiet = member.leaves();
  if (w.asked || w.quiet == quiet || !is_due(w.retry_at, now)) return;
  if (w.seen.shared || (w.seen.by_hand && w.quiet == true)) return;
  w.asked = quiet;
  act({.kind = quiet ? Kind::Quiet : Kind::Unquiet,
       .pod = member.pod.name,
       .worker_id = w.seen.worker_id});
}

// Lowers spec.replicas as far as only drained pods can go. What has drained is looked at once more:
// since then its process may have registered anew.
void PodGroup::shrink(TimePoint now, bool seen) {
  if (sent_ || lowest() >= goal()) return could_shrink_since_.reset();
  if (!could_shrink_since_) could_shrink_since_ = now;
  if (!is_due(shrink_at(), now)) return;
  seen ? send(lowest(), now) : look_again();
}

// Asks for a picture of now, unless one is on its way.
void PodGroup::look_again() {
  if (picture_ > last_event_) last_event_ = ++events_;
}

TimePoint PodGroup::shrink_at() const {
  TimePoint at = std::max(write_at_, now_);
  for (const auto& [name, member] : members_) {
    if (!member.drains()) continue;
    at = std::max(at, drained(member) ? member.shown_at + kLead : *could_shrink_since_ + kTogether);
  }
  return at;
}

void PodGroup::send(int replicas, TimePoint now) {
  PodAction action{.kind = Kind::SetReplicas, .replicas = replicas, .version = version_};
  sent_ = Sent{.replicas = replicas, .version = version_, .since = now};
  if (replicas < spec_) {
    release(replicas, now);
    action.interrupts = count([&](const Member& m) { return m.released == now && m.occupied(); });
  }
  could_shrink_since_.reset();
  act(std::move(action));
}

// Those that are expected to go with it: they cannot come back.
void PodGroup::release(int replicas, TimePoint now) {
  const auto order = in_order();
  int going = static_cast<int>(order.size()) - replicas;
  for (const Member* one : order) {
    const bool goes = rules_.by_ordinal ? slot(*one) >= replicas : drained(*one) && going-- > 0;
    if (goes && !one->released) find(one->pod.name)->released = now;
  }
}

// The picture was begun after it began to run and after the marks of all its registrations were
// confirmed, and shows no job.
bool PodGroup::drained(const Member& member) const {
  if (overdue(member)) return true;
  if (picture_ <= member.appeared || in_doubt(member)) return false;
  return std::ranges::all_of(member.workers, [this](const Worker& w) {
    return w.quiet == true && !w.asked && picture_ > w.confirmed && w.seen.quiet && !w.occupied();
  });
}

bool PodGroup::in_doubt(const Member& member) const {
  return are_workers_ && member.pod.phase == Phase::Running && !member.registered() &&
         !is_due(member.unregistered_since + kRegistersWithin, now_);
}

bool PodGroup::overdue(const Member& member) const {
  return rules_.drain_limit && member.drains_since &&
         is_due(*member.drains_since + *rules_.drain_limit, now_);
}

int PodGroup::slot(const Member& member) const {
  return ordinal(member.pod.name) - rules_.first_ordinal;
}

// The active pods as Kubernetes takes them, at worst: one that may go can become ready meanwhile,
// and among equals, where it decides by what we do not see, those that must not go come first.
std::vector<const PodGroup::Member*> PodGroup::in_order() const {
  std::vector<std::pair<std::tuple<std::string_view, int, int, bool>, const Member*>> keyed;
  for (const auto& [name, member] : members_) {
    if (!member.active()) continue;
    const bool may_go = drained(member);
    const int stage = may_go && member.stage() == kUnready ? kReady : member.stage();
    keyed.emplace_back(std::tuple(std::string_view(member.pod.owner), stage,
                                  may_go ? member.highest_cost() : member.lowest_cost(), may_go),
                       &member);
  }
  std::ranges::stable_sort(keyed, {}, [](const auto& entry) { return entry.first; });
  std::vector<const Member*> order;
  for (const auto& entry : keyed) order.push_back(entry.second);
  return order;
}

// How many pods may go at once without harm. While a Deployment has pods of two revisions, any of
// them may lose as many.
int PodGroup::expendable() const {
  const auto order = in_order();
  int least = static_cast<int>(order.size());
  for (std::size_t i = 0; i < order.size();) {
    int before = 0;
    bool harmless = true;
    const std::string& owner = order[i]->pod.owner;
    for (; i < order.size() && order[i]->pod.owner == owner; ++i) {
      harmless = harmless && drained(*order[i]);
      before += harmless ? 1 : 0;
    }
    if (!harmless) least = std::min(least, before);
  }
  return least;
}

int PodGroup::lowest() const {
  if (!rules_.by_ordinal) {
    const int pods = count([](const Member& m) { return m.active(); });
    return std::max(*wanted_, pods - expendable());
  }
  int least = std::min(*wanted_, goal());
  for (const auto& [name, member] : members_) {
    if (member.active() && slot(member) < goal() && !drained(member))
      least = std::max(least, slot(member) + 1);
  }
  return least;
}

// --- marks for Kubernetes ----------------------------------------------------------------------

void PodGroup::annotate(TimePoint now) {
  bool round = false;
  for (auto& [name, member] : members_) {
    if (member.annotating && is_due(member.annotating->since + kMarksEchoed, now))
      member.annotating.reset();
    const auto due = due_marks(member);
    if (!due || !is_due(due->at, now)) continue;
    round = round || due->at >= marks_at_;
    member.annotating = Asked{.marks = due->marks, .since = now};
    act({.kind = Kind::Annotate, .pod = name, .marks = due->marks});
  }
  if (round) marks_at_ = now + kMarksPause;
}

// A drained pod is told apart from the others at once. Busy and idle, which is for those who end
// pods without asking us, only now and then: a pod that works all the time is marked once.
std::optional<PodGroup::Due> PodGroup::due_marks(const Member& member) const {
  if (!member.active() || member.released || member.annotating) return std::nullopt;
  PodMarks wish;
  TimePoint at = member.annotate_at;
  const bool held_cheap = member.cost() <= kDrainedCost;
  if (member.drains() && drained(member)) {
    wish = {.deletion_cost = cost_to_go_first(member), .safe_to_evict = true};
    if (!wish.deletion_cost) return std::nullopt;
  } else if (are_workers_ && !member.leaves() && held_cheap) {
    wish = {.deletion_cost = member.occupied() ? kBusyCost : 0,
            .safe_to_evict = !member.occupied()};
  } else if (closing_ || member.workers.empty()) {
    return std::nullopt;
  } else if (member.occupied()) {
    wish = {.deletion_cost = kBusyCost, .safe_to_evict = false};
    at = std::max(at, marks_at_);
  } else {
    wish = {.deletion_cost = 0, .safe_to_evict = true};
    at = std::max({at, marks_at_, member.last_busy + kIdleFor});
  }
  if (rules_.by_ordinal) wish.deletion_cost.reset();
  if (const auto marks = difference(member.pod.marks, wish)) return Due{*marks, at};
  return std::nullopt;
}

// Nothing: it does already, or cost does not decide.
std::optional<int> PodGroup::cost_to_go_first(const Member& member) const {
  if (member.stage() < kUnready) return std::nullopt;
  std::optional<int> cheapest;
  for (const auto& [name, other] : members_) {
    if (!other.active() || other.pod.owner != member.pod.owner) continue;
    if (drained(other)) continue;
    cheapest = std::min(cheapest.value_or(other.lowest_cost()), other.lowest_cost());
  }
  if (!cheapest || member.cost() < *cheapest) return std::nullopt;
  if (*cheapest == std::numeric_limits<int>::min()) return std::nullopt;
  return std::min(kDrainedCost, *cheapest - 1);
}

// --- the picture of the leases -----------------------------------------------------------------

// Whoever asks a store that does not answer asks again. Growing needs no picture.
void PodGroup::ask(TimePoint now) {
  if (picture_ > last_event_ || !shrinking() || closing_) return;
  if (asked_ && !is_due(*asked_ + kAskAgain, now)) return;
  asked_ = now;
  act({.kind = Kind::ReadLeases});
}

bool PodGroup::shrinking() const {
  return known() &&
         (goal() > wanted() || count([](const Member& m) { return m.active() && m.leaves(); }) > 0);
}

std::vector<PodAction> PodGroup::take_actions() { return std::exchange(actions_, {}); }

// Instants that have passed without effect wait for an event, not for time.
std::optional<TimePoint> PodGroup::next() const {
  std::optional<TimePoint> earliest;
  const auto consider = [&](TimePoint at) {
    if (at > now_ && (!earliest || at < *earliest)) earliest = at;
  };
  const bool shrinks = !closing_ && shrinking();
  if (asked_ && shrinks) consider(*asked_ + kAskAgain);
  if (sent_ && sent_->unsure) consider(*sent_->unsure);
  if (known() && goal() != wanted()) consider(write_at_);
  if (could_shrink_since_) consider(shrink_at());
  for (const auto& [name, member] : members_) {
    for (const Worker& w : member.workers) consider(w.retry_at);
    if (member.annotating) consider(member.annotating->since + kMarksEchoed);
    if (const auto due = due_marks(member)) consider(due->at);
    if (!shrinks || !member.active()) continue;
    if (member.released) consider(*member.released + kTakeBack);
    if (in_doubt(member)) consider(member.unregistered_since + kRegistersWithin);
    if (member.stage() == kUnready) consider(member.unready_since + kLongUnready);
    if (member.drains_since && rules_.drain_limit)
      consider(*member.drains_since + *rules_.drain_limit);
  }
  return earliest;
}

// --- as it is ----------------------------------------------------------------------------------

int PodGroup::count(const std::function<bool(const Member&)>& which) const {
  return static_cast<int>(
      std::ranges::count_if(members_, [&](const auto& entry) { return which(entry.second); }));
}

int PodGroup::current() const {
  return goal() - count([](const Member& m) { return m.drains(); });
}

int PodGroup::unmade() const {
  return std::max(0, goal() - count([](const Member& m) { return m.active() && !m.released; }));
}

scale::ReplicaCounts PodGroup::counts() const {
  scale::ReplicaCounts counts;
  for (const auto& [name, member] : members_) {
    if (member.pod.phase == Phase::Ended) continue;
    (!member.serves()           ? counts.draining
     : member.stage() == kReady ? counts.ready
                                : counts.starting) += 1;
  }
  counts.starting += unmade();
  return counts;
}

std::vector<scale::Replica> PodGroup::replicas() const {
  using scale::ReplicaPhase;
  std::vector<scale::Replica> list;
  for (const auto& [name, member] : members_) {
    if (member.pod.phase == Phase::Ended) continue;
    list.push_back({.name = name,
                    .phase = !member.serves()           ? ReplicaPhase::Draining
                             : member.stage() == kReady ? ReplicaPhase::Ready
                                                        : ReplicaPhase::Starting,
                    .started = member.pod.created,
                    .restarts = member.pod.restarts,
                    .pid = 0,
                    .detail = ""});
  }
  for (int i = 0; i < unmade(); ++i) {
    list.push_back({.name = fmt::format("{}-?", name_), .detail = "its pod is not made yet"});
  }
  return list;
}

bool PodGroup::reached() const {
  const auto is_to_go = [this](const Member& m) {
    return m.active() && m.released && !is_due(*m.released + kTakeBack, now_);
  };
  return known() && !sent_ && spec_ == wanted_ && count(is_to_go) == 0;
}

int PodGroup::busy() const {
  return count([](const Member& m) { return m.active() && m.occupied(); });
}

bool PodGroup::at_rest() const {
  return !sent_ && std::ranges::all_of(members_, [](const auto& entry) {
    const Member& m = entry.second;
    return m.leaves() || std::ranges::all_of(m.workers, [](const Worker& w) {
             return !w.asked && (w.quiet == false || w.seen.by_hand || w.seen.shared);
           });
  });
}

PodGroup::Member* PodGroup::find(std::string_view pod) {
  const auto it = members_.find(pod);
  return it == members_.end() ? nullptr : &it->second;
}

const PodGroup::Member* PodGroup::find(std::string_view pod) const {
  const auto it = members_.find(pod);
  return it == members_.end() ? nullptr : &it->second;
}

PodGroup::Worker* PodGroup::worker(std::string_view id) {
  for (auto& [name, member] : members_) {
    for (Worker& w : member.workers) {
      if (w.seen.worker_id == id) return &w;
    }
  }
  return nullptr;
}

}  // namespace jobmill::targets
