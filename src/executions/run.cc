// SPDX-License-Identifier: Apache-2.0
#include "executions/run.h"

#include <algorithm>
#include <array>
#include <utility>

namespace jobmill::executions {
namespace {

constexpr std::string_view kTimeout = "timeout";
constexpr std::string_view kStalled = "stalled";
// Who computes no more than this part of the time only keeps connections open.
constexpr int kBusyPart = 100;
// Looks at a replica within stalledAfter.
constexpr int kLooks = 4;
constexpr Duration kLeastPause = std::chrono::milliseconds(100);
constexpr std::string_view kServerStopped = "ServerStopped";
constexpr std::string_view kServerRestarted = "ServerRestarted";
constexpr std::string_view kExitedWithoutSettling = "ExitedWithoutSettling";
constexpr std::string_view kTooManyDeliveries = "MaxDeliveryCountExceeded";
constexpr std::string_view kCompleted = "completed";
// Reasons that a second attempt meets again.
constexpr std::array<std::string_view, 3> kHopeless{"ImageNotRunnable", "NameNotResolvable",
                                                    "StartError"};
// Of those that an execution took; it is stored as a whole with each change.
constexpr std::size_t kMessagesKept = 100;

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

std::string first_word(std::string_view reason) {
  return std::string(reason.substr(0, reason.find_first_of(": ")));
}

bool is_hopeless(std::string_view reason) {
  return std::find(kHopeless.begin(), kHopeless.end(), first_word(reason)) != kHopeless.end();
}

std::string words(const ReplicaEnd& end) {
  if (end.out_of_memory) return "oom";
  if (end.signal != 0) return "signal " + std::to_string(end.signal);
  return "exit " + std::to_string(end.exit_code);
}

bool is_success(const ReplicaEnd& end) {
  return !end.out_of_memory && end.signal == 0 && end.exit_code == 0;
}

// The pause after that many failures.
Duration pause_after(int failures, const Backoff& backoff) {
  Duration pause = backoff.first;
  for (int i = 1; i < failures && pause < backoff.longest; ++i) pause *= 2;
  return std::min(pause, backoff.longest);
}

// Nothing was said about it. Who abandons a message himself has said what he wants.
bool is_left(const TakenMessage& message) {
  const bool gone_back = message.outcome == "abandoned" || (message.outcome == "dead-lettered" &&
                                                            message.reason == kTooManyDeliveries);
  return message.outcome.empty() || message.outcome == "lock-lost" ||
         (gone_back && message.at_the_end);
}

bool is_settled(const TakenMessage& message) {
  return is_one_of(message.outcome, {kCompleted, "deferred", "dead-lettered", "deleted"});
}

bool same_delivery(const TakenMessage& message, std::string_view replica, std::string_view entity,
                   std::int64_t sequence) {
  return message.sequence == sequence && message.replica == replica && message.entity == entity;
}

}  // namespace

Run::Run(Execution execution)
    : execution_(std::move(execution)), tracks_(execution_.replicas.size()) {
  for (std::size_t i = 0; i < execution_.replicas.size(); ++i) {
    by_name_.emplace(execution_.replicas[i].name, i);
    if (!execution_.replicas[i].finished()) active_.push_back(i);
  }
  for (TakenMessage& message : std::exchange(execution_.messages, {})) took(std::move(message));
}

std::optional<std::size_t> Run::index_of(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? std::nullopt : std::optional(found->second);
}

const Replica* Run::replica(std::string_view name) const {
  const auto i = index_of(name);
  return i ? &execution_.replicas[*i] : nullptr;
}

// The runner has it: it starts, runs or was told to end.
bool Run::is_out(std::size_t i) const {
  const Replica& replica = execution_.replicas[i];
  return !replica.finished() && replica.state != ReplicaState::Pending;
}

Reservations::Share Run::share() const {
  if (execution_.finished()) return {};
  return {.reserved = std::max(0, execution_.reserves - taken_), .taken = taken_};
}

const Replica* Run::idle_replica() const {
  for (const std::size_t i : active_)
    if (execution_.replicas[i].state == ReplicaState::Running && tracks_[i].taken == 0)
      return &execution_.replicas[i];
  return nullptr;
}

bool Run::all_quiet() const {
  return std::none_of(active_.begin(), active_.end(), [&](std::size_t i) { return is_out(i); });
}

// --- what happened ------------------------------------------------------------------------------

void Run::started(std::string_view name, ProcessMark mark, TimePoint now) {
  const auto i = index_of(name);
  if (!i || !is_out(*i) || execution_.replicas[*i].started) return;
  Replica& replica = execution_.replicas[*i];
  replica.mark = std::move(mark);
  replica.started = now;
  if (execution_.started.replica_timeout)
    replica.deadline = now + *execution_.started.replica_timeout;
  if (replica.state == ReplicaState::Starting) replica.state = ReplicaState::Running;
  if (!execution_.began) execution_.began = now;
  tracks_[*i].alive = tracks_[*i].measured = now;
  changed_ = true;
}

void Run::identified(std::string_view name, TimePoint now) {
  const auto i = index_of(name);
  if (!i || !is_out(*i) || execution_.replicas[*i].identified) return;
  execution_.replicas[*i].identified = now;
  changed_ = true;
}

void Run::wrote(std::string_view name, TimePoint now) {
  if (const auto i = index_of(name)) tracks_[*i].alive = now;
}

void Run::used(std::string_view name, std::optional<Duration> cpu, TimePoint now) {
  const auto i = index_of(name);
  const auto limit = execution_.started.options.stalled_after;
  if (!i || !limit || !std::exchange(tracks_[*i].asked, false)) return;
  Track& track = tracks_[*i];
  const Duration allowed = (now - std::exchange(track.measured, now)) / kBusyPart;
  const Duration before = std::exchange(track.computed, cpu.value_or(track.computed));
  // Less than before: one of its processes ended.
  const bool busy = !cpu || *cpu < before || *cpu - before > allowed;
  if (busy) track.alive = now;
  track.stalled = now - track.alive >= *limit;
}

void Run::start_failed(std::string_view name, std::string reason, bool later, TimePoint now) {
  const auto i = index_of(name);
  if (!i || !is_out(*i)) return;
  if (tracks_[*i].ordered) return end_as_told(*i, now);
  if (later) return try_later(*i, std::move(reason), now);
  fail_replica(*i, reason, now);
  if (is_hopeless(reason)) conclude({ExecutionStatus::Failed, std::move(reason)});
}

void Run::try_later(std::size_t i, std::string reason, TimePoint now) {
  Replica& replica = execution_.replicas[i];
  replica.state = ReplicaState::Pending;
  // Not the back-off of the job: that may be none, and a secret takes as long as it takes.
  replica.due = now + pause_after(++tracks_[i].tries, Backoff());
  replica.reason = reason;
  if (!verdict_) execution_.reason = std::move(reason);
  changed_ = true;
}

void Run::ended(std::string_view name, ReplicaEnd end, TimePoint now) {
  const auto i = index_of(name);
  if (!i || !is_out(*i)) return;
  Replica& replica = execution_.replicas[*i];
  const bool success = is_success(end) && replica.reason.empty();
  const std::string reason = replica.reason.empty() ? words(end) : replica.reason;
  const bool ordered = tracks_[*i].ordered;
  // One that was told to end while it started may never have run.
  if (replica.started || !ordered) replica.end = std::move(end);
  if (ordered) return end_as_told(*i, now);
  if (!replica.started) replica.started = now;  // it was so quick that nobody told
  if (!execution_.began) execution_.began = now;
  if (success) return succeed(*i, now);
  fail_replica(*i, reason, now);
}

void Run::ending(std::string_view name) {
  const auto i = index_of(name);
  if (!i || !is_out(*i) || std::exchange(tracks_[*i].ending, true)) return;
  taken_ -= tracks_[*i].taken;
}

void Run::took(TakenMessage message) {
  const auto i = index_of(message.replica);
  if (!i) return;
  auto& messages = execution_.messages;
  const bool again = std::any_of(messages.begin(), messages.end(), [&](const TakenMessage& other) {
    return same_delivery(other, message.replica, message.entity, message.sequence);
  });
  const ReplicaState state = execution_.replicas[*i].state;
  if (!again) ++tracks_[*i].taken;
  if (!again && state <= ReplicaState::Succeeded && !tracks_[*i].ending) ++taken_;
  if (messages.size() >= kMessagesKept) {
    const auto old = std::find_if(messages.begin(), messages.end(),
                                  [](const TakenMessage& one) { return !one.outcome.empty(); });
    messages.erase(old == messages.end() ? messages.begin() : old);
  }
  tracks_[*i].alive = std::max(tracks_[*i].alive, message.taken);
  messages.push_back(std::move(message));
  changed_ = true;
}

void Run::settled(std::string_view replica, std::string_view entity, std::int64_t sequence,
                  std::string_view outcome, std::string_view reason, TimePoint now) {
  auto& messages = execution_.messages;
  const auto held = std::find_if(messages.begin(), messages.end(), [&](const TakenMessage& one) {
    return one.outcome.empty() && same_delivery(one, replica, entity, sequence);
  });
  if (held == messages.end()) return;
  held->outcome = outcome;
  held->reason = reason;
  held->ended = now;
  const auto i = index_of(replica);
  if (!i) return;
  tracks_[*i].alive = now;
  held->at_the_end = tracks_[*i].ending;
  changed_ = true;
}

void Run::hurry(TimePoint now) {
  for (const std::size_t i : active_)
    if (tracks_[i].tries > 0 && execution_.replicas[i].state == ReplicaState::Pending)
      execution_.replicas[i].due = now;
}

void Run::stop(std::string reason) {
  execution_.stopping = true;
  conclude({ExecutionStatus::Stopped, std::move(reason)});
}

void Run::halt() { halted_ = true; }

void Run::restore(const std::vector<TakenMessage>& settled, TimePoint now) {
  for (const TakenMessage& message : settled) learn(message);
  for (const std::size_t i : std::vector(active_))
    if (is_out(i)) lose(i, now);
  if (execution_.status == ExecutionStatus::Degraded)
    conclude({ExecutionStatus::Failed, execution_.reason});
  if (execution_.stopping) stop(execution_.reason);
}

// An outcome that was kept with a settlement. The execution may have known of it, or not even of
// the delivery.
void Run::learn(const TakenMessage& message) {
  auto& messages = execution_.messages;
  const auto same = std::find_if(messages.rbegin(), messages.rend(), [&](const TakenMessage& one) {
    return same_delivery(one, message.replica, message.entity, message.sequence);
  });
  const bool held = same != messages.rend() && same->outcome.empty();
  if (same != messages.rend() && same->outcome == message.outcome) return;
  if (!held) return messages.push_back(message);
  same->outcome = message.outcome;
  same->reason = message.reason;
  same->ended = message.ended;
}

// --- ends of replicas ---------------------------------------------------------------------------

// It is finished, one way or the other.
void Run::leave(std::size_t i, ReplicaState state, std::string reason, TimePoint now) {
  Replica& replica = execution_.replicas[i];
  replica.state = state;
  replica.reason = std::move(reason);
  replica.due.reset();
  replica.ended = now;
  tracks_[i].kill_at.reset();
  std::erase(active_, i);
  // What a failed one took goes back, and its successor needs it.
  const int counted = std::exchange(tracks_[i].ending, false) ? 0 : tracks_[i].taken;
  taken_ += (state == ReplicaState::Succeeded ? tracks_[i].taken : 0) - counted;
  changed_ = true;
}

void Run::succeed(std::size_t i, TimePoint now) {
  leave(i, ReplicaState::Succeeded, std::string(left_unsettled(i) ? kExitedWithoutSettling : ""),
        now);
  ++execution_.succeeded;
  if (!complete()) return;
  const bool warn =
      std::any_of(execution_.replicas.begin(), execution_.replicas.end(),
                  [](const Replica& replica) { return replica.reason == kExitedWithoutSettling; });
  conclude({ExecutionStatus::Succeeded,
            warn ? std::string(kExitedWithoutSettling) +
                       ": a replica ended with exit 0 and left a message unsettled"
                 : std::string()});
}

void Run::fail_replica(std::size_t i, std::string reason, TimePoint now) {
  leave(i, ReplicaState::Failed, std::move(reason), now);
  ++execution_.failures;
  unjudged_.push_back(i);
}

// The end that we ordered. When only the server ends, the work goes on with the next one, unless
// it was just done.
void Run::end_as_told(std::size_t i, TimePoint now) {
  if (!halted_ || verdict_) return leave(i, ReplicaState::Stopped, {}, now);
  if (work_of(i) == Work::Completed) return succeed(i, now);
  leave(i, ReplicaState::Stopped, std::string(kServerStopped), now);
  successors_.push_back({.attempt = execution_.replicas[i].attempt + 1});
}

void Run::lose(std::size_t i, TimePoint now) {
  const Work work = bound() ? work_of(i) : Work::None;
  leave(i, ReplicaState::Lost, std::string(kServerRestarted), now);
  if (work == Work::Completed) ++execution_.succeeded;
  if (work == Work::Completed && complete())
    conclude({ExecutionStatus::Succeeded,
              std::string(kServerRestarted) + ": its work was done before the server ended"});
  if (work == Work::Settled)
    conclude({ExecutionStatus::Failed,
              std::string(kServerRestarted) + ": what it took was settled, but nothing completed"});
  if (work == Work::None || work == Work::Open)
    successors_.push_back({.attempt = execution_.replicas[i].attempt + 1});
}

// The first word counts, but who asks for a stop wants it to be said.
void Run::conclude(Verdict verdict) {
  const bool stop_failing = verdict.status == ExecutionStatus::Stopped && verdict_ &&
                            verdict_->status == ExecutionStatus::Failed;
  if (verdict_ && !stop_failing) return;
  verdict_ = std::move(verdict);
  changed_ = true;
}

// --- what became of messages --------------------------------------------------------------------

// The last delivery of each message that the replica took: it may have given one back and taken it
// again.
std::vector<const TakenMessage*> Run::last_deliveries(std::size_t i) const {
  const std::string& name = execution_.replicas[i].name;
  std::map<std::pair<std::string_view, std::int64_t>, const TakenMessage*> last;
  for (const TakenMessage& message : execution_.messages)
    if (message.replica == name) last[{message.entity, message.sequence}] = &message;
  std::vector<const TakenMessage*> all;
  for (const auto& [key, message] : last) all.push_back(message);
  return all;
}

bool Run::left_unsettled(std::size_t i) const {
  const auto last = last_deliveries(i);
  return std::any_of(last.begin(), last.end(),
                     [](const auto* message) { return is_left(*message); });
}

Run::Work Run::work_of(std::size_t i) const {
  Work work = Work::None;
  for (const TakenMessage* message : last_deliveries(i)) {
    if (!is_settled(*message)) return Work::Open;
    if (work != Work::Completed)
      work = message->outcome == kCompleted ? Work::Completed : Work::Settled;
  }
  return work;
}

// "; its message was dead-lettered: MaxDeliveryCountExceeded"
std::string Run::message_words(std::size_t i) const {
  const std::string& name = execution_.replicas[i].name;
  const auto last =
      std::find_if(execution_.messages.rbegin(), execution_.messages.rend(),
                   [&](const TakenMessage& message) { return message.replica == name; });
  if (last == execution_.messages.rend() || last->outcome.empty()) return {};
  return (tracks_[i].taken > 1 ? "; its last message was " : "; its message was ") + last->outcome +
         (last->reason.empty() ? "" : ": " + last->reason);
}

// Of a replica that has no successor because no message is left for one.
std::string Run::nothing_left_words(std::size_t i) const {
  const std::string& reason = execution_.replicas[i].reason;
  if (tracks_[i].taken == 0)
    return "NoMessage: the replica ended with " + reason + " without a message, and none is ready";
  const bool gone = work_of(i) != Work::Open;
  return reason + message_words(i) + (gone ? "" : ", and none is ready");
}

std::string Run::too_many_words(std::size_t i) const {
  const std::string why = execution_.replicas[i].reason + (bound() ? message_words(i) : "");
  const int limit = execution_.started.retry_limit;
  if (limit == 0) return why;
  return why + "; " + std::to_string(execution_.failures) + " failures exceed the retry limit of " +
         std::to_string(limit);
}

// --- what is to be done -------------------------------------------------------------------------

bool Run::step(const World& world, Executions::Actions& actions) {
  for (const std::size_t i : std::exchange(unjudged_, {})) judge(i, world);
  if (verdict_) {
    stop_rest(world, actions);
  } else {
    for (const Successor& successor : std::exchange(successors_, {}))
      add_replica(successor.attempt, successor.due, world);
    if (!halted_) fill(world);
    if (!halted_) start_due(world, actions);
  }
  if (halted_)
    for (const std::size_t i : active_) tell_to_end(i, true, world, actions);
  time_out(world, actions);
  look_for_life(world, actions);
  kill_late(world, actions);
  update_status(world.now);
  return std::exchange(changed_, false);
}

// Whether a failed replica has a successor.
void Run::judge(std::size_t i, const World& world) {
  if (verdict_) return;
  const Replica& replica = execution_.replicas[i];
  const bool too_many = execution_.failures > execution_.started.retry_limit;
  const bool ran = replica.end.has_value();
  // Others that still run have messages in hand, maybe: they are not stopped for it.
  if (bound() && ran && !world.message_left())
    return conclude({ExecutionStatus::Failed, nothing_left_words(i), too_many});
  if (too_many) return conclude({ExecutionStatus::Failed, too_many_words(i)});
  const Duration pause = pause_after(execution_.failures, execution_.started.options.backoff);
  successors_.push_back({.attempt = replica.attempt + 1, .due = *replica.ended + pause});
}

void Run::add_replica(int attempt, std::optional<TimePoint> due, const World& world) {
  Replica replica;
  do replica.name = execution_.name + "-" + world.suffix();
  while (by_name_.contains(replica.name));
  replica.attempt = attempt;
  replica.created = world.now;
  replica.due = due;
  by_name_.emplace(replica.name, execution_.replicas.size());
  active_.push_back(execution_.replicas.size());
  execution_.replicas.push_back(std::move(replica));
  tracks_.emplace_back();
  changed_ = true;
}

void Run::fill(const World& world) {
  const int missing = execution_.started.completions - execution_.succeeded;
  const int wanted = std::min(execution_.started.parallelism, missing);
  while (static_cast<int>(active_.size()) < wanted) add_replica(1, std::nullopt, world);
}

void Run::start_due(const World& world, Executions::Actions& actions) {
  for (const std::size_t i : active_) {
    Replica& replica = execution_.replicas[i];
    if (replica.state != ReplicaState::Pending || (replica.due && *replica.due > world.now))
      continue;
    replica.state = ReplicaState::Starting;
    replica.due.reset();
    replica.reason.clear();
    execution_.reason.clear();
    actions.start.push_back({execution_.name, replica.name});
    changed_ = true;
  }
}

void Run::stop_rest(const World& world, Executions::Actions& actions) {
  successors_.clear();
  drop_pending(world);
  if (!verdict_->stop_rest) return;
  for (const std::size_t i : active_) tell_to_end(i, true, world, actions);
}

void Run::drop_pending(const World& world) {
  for (const std::size_t i : std::vector(active_))
    if (execution_.replicas[i].state == ReplicaState::Pending)
      leave(i, ReplicaState::Stopped, {}, world.now);
}

void Run::time_out(const World& world, Executions::Actions& actions) {
  for (const std::size_t i : active_) {
    Replica& replica = execution_.replicas[i];
    const bool runs = replica.state == ReplicaState::Running;
    if (!runs || !replica.deadline || *replica.deadline > world.now) continue;
    replica.reason = kTimeout;
    tell_to_end(i, false, world, actions);
  }
}

Duration Run::pause_between_looks() const {
  return std::max(*execution_.started.options.stalled_after / kLooks, kLeastPause);
}

// One that writes nothing, takes and settles nothing and does not compute is ended, and has failed.
void Run::look_for_life(const World& world, Executions::Actions& actions) {
  if (!execution_.started.options.stalled_after) return;
  for (const std::size_t i : active_) {
    Replica& replica = execution_.replicas[i];
    Track& track = tracks_[i];
    if (replica.state != ReplicaState::Running) continue;
    if (track.stalled) {
      replica.reason = kStalled;
      tell_to_end(i, false, world, actions);
    } else if (!track.asked && track.measured + pause_between_looks() <= world.now) {
      track.asked = true;
      actions.look.push_back(replica.name);
    }
  }
}

void Run::tell_to_end(std::size_t i, bool ordered, const World& world,
                      Executions::Actions& actions) {
  Replica& replica = execution_.replicas[i];
  if (replica.state != ReplicaState::Starting && replica.state != ReplicaState::Running) return;
  replica.state = ReplicaState::Stopping;
  tracks_[i].ordered = ordered;
  tracks_[i].kill_at = world.now + execution_.started.options.stop_grace;
  actions.stop.push_back({.replica = replica.name, .kill = false, .ordered = ordered});
  changed_ = true;
}

void Run::kill_late(const World& world, Executions::Actions& actions) {
  for (const std::size_t i : active_) {
    Track& track = tracks_[i];
    if (!track.kill_at || *track.kill_at > world.now) continue;
    track.kill_at.reset();
    actions.stop.push_back(
        {.replica = execution_.replicas[i].name, .kill = true, .ordered = track.ordered});
  }
}

void Run::update_status(TimePoint now) {
  ExecutionStatus status =
      execution_.began ? ExecutionStatus::Running : ExecutionStatus::Processing;
  if (verdict_ && verdict_->status == ExecutionStatus::Failed) status = ExecutionStatus::Degraded;
  if (verdict_ && active_.empty()) {
    status = verdict_->status;
    execution_.ended = now;
  }
  if (verdict_) execution_.reason = verdict_->reason;
  changed_ = changed_ || status != execution_.status;
  execution_.status = status;
}

std::optional<TimePoint> Run::next() const {
  std::optional<TimePoint> next;
  const auto not_after = [&](const std::optional<TimePoint>& at) {
    if (at && (!next || *at < *next)) next = at;
  };
  for (const std::size_t i : active_) {
    const Replica& replica = execution_.replicas[i];
    if (replica.state == ReplicaState::Pending && !halted_) not_after(replica.due);
    if (replica.state == ReplicaState::Running) not_after(replica.deadline);
    if (replica.state == ReplicaState::Running && execution_.started.options.stalled_after &&
        !tracks_[i].asked)
      not_after(tracks_[i].measured + pause_between_looks());
    not_after(tracks_[i].kill_at);
  }
  return next;
}

}  // namespace jobmill::executions
