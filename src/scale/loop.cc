// SPDX-License-Identifier: Apache-2.0
#include "scale/loop.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace jobmill::scale {
namespace {

constexpr Duration kLongestInterval = std::chrono::seconds(15);  // above zero, as the HPA reads

// In [0, 1) and always the same for the same trigger, so that objects which start together are
// not read together.
double phase_of(const manifest::ObjectKey& key, std::size_t trigger, std::size_t triggers) {
  std::uint32_t sum = 2'166'136'261u;
  for (const char c : key.ns + "/" + key.name)
    sum = (sum ^ static_cast<unsigned char>(c)) * 16'777'619u;
  const double own = static_cast<double>(sum % 997) / 997;
  const double among = static_cast<double>(trigger) / static_cast<double>(triggers);
  return own + among < 1 ? own + among : own + among - 1;
}

bool same_counts(const ReplicaCounts& a, const ReplicaCounts& b) {
  return a.starting == b.starting && a.ready == b.ready && a.draining == b.draining;
}

bool same_trigger(const ScaleStatus::Trigger& a, const ScaleStatus::Trigger& b) {
  return a.metric == b.metric && a.active == b.active && a.error == b.error;
}

void sooner(std::optional<TimePoint>& next, std::optional<TimePoint> at) {
  if (at) next = next ? std::min(*next, *at) : *at;
}

}  // namespace

bool Loop::Round::begins(TimePoint now) {
  if (started || now < due) return false;
  started = now;
  due = std::max(due + period, now + Duration(1));
  return true;
}

Loop::Loop(Key key, const Autoscaler::Options& options, TimePoint now)
    : key_(std::move(key)), options_(options), status_(new_status(now)) {}

// What was learned of the target stays; the triggers begin anew, with a check at once.
void Loop::put(const ScaledObjectSpec& spec, const Autoscaler::Origin& origin,
               const std::vector<Autoscaler::Trigger>& triggers, TimePoint now) {
  spec_ = spec;
  origin_ = origin;
  if (!last_active_) last_active_ = origin.last_active;
  polls_.clear();
  cached_.clear();
  for (const Autoscaler::Trigger& trigger : triggers) {
    const double phase = phase_of(key_, polls_.size(), triggers.size());
    polls_.emplace_back(
        Poll::Source{trigger.name, trigger.type, trigger.metric, spec.interval(), trigger.timeout},
        phase, now);
    cached_.push_back(trigger.cached);
  }
  activation_ = {spec.interval(), now, {}};
  arithmetic_ = {options_.sync, now + options_.sync, {}};
  pace_reads();
  set_pause_ = spec.pause.paused && spec.pause.replicas;
  changed_ = true;
  next_check_.reset();
  status_changed_ |= set_paused(status_, spec.pause, now);
  describe_triggers();
}

Poll* Loop::awaiting(const Autoscaler::Read& read) {
  if (read.trigger >= polls_.size() || !polls_[read.trigger].awaits(read.ticket)) return nullptr;
  return &polls_[read.trigger];
}

void Loop::built(const Autoscaler::Read& read, const MetricSpec& metric) {
  if (Poll* poll = awaiting(read)) poll->rebuilt(metric);
}

// While an object is active even an unchanged answer is news: it is still active.
void Loop::sample(const Autoscaler::Read& read, Result<Sample> sample, TimePoint now) {
  Poll* poll = awaiting(read);
  if (!poll) return;
  const Poll::Heard heard = poll->answer(std::move(sample), now);
  changed_ |= heard == Poll::Heard::Changed || (heard == Poll::Heard::Same && active_);
  describe_triggers();
}

void Loop::replicas(Result<Autoscaler::Replicas> replicas, TimePoint now) {
  if (!replicas) {
    replicas_.reset();
    status_changed_ |= set_unreadable(status_, replicas.error().message, now);
    return;
  }
  changed_ |= !replicas_ || replicas_->wanted != replicas->wanted ||
              !same_counts(replicas_->counts, replicas->counts);
  replicas_ = *replicas;
  pace_reads();
}

bool Loop::known() const {
  return std::all_of(polls_.begin(), polls_.end(), [](const Poll& poll) { return poll.known(); });
}

bool Loop::known_since(TimePoint since) const {
  return std::all_of(polls_.begin(), polls_.end(),
                     [&](const Poll& poll) { return poll.known_since(since); });
}

void Loop::tick(TimePoint now, std::uint64_t& tickets, Autoscaler::Actions& actions) {
  for (Poll& poll : polls_)
    if (!spec_.pause.paused) changed_ |= poll.expire(now);
  if (set_to_ && replicas_)
    decide_by_hand(now, actions);
  else if (spec_.pause.paused)
    decide_paused(now, actions);
  else if (keda())
    decide_keda(now, actions);
  else
    decide_direct(now, actions);
  if (!spec_.pause.paused) start_reads(now, tickets, actions);
  if (std::exchange(status_changed_, false)) actions.statuses.push_back(key_);
}

// The rules go on when the target has told what has become of it.
void Loop::decide_by_hand(TimePoint now, Autoscaler::Actions& actions) {
  evaluate(Part::Both, now, actions);
  changed_ = true;
}

void Loop::decide_paused(TimePoint now, Autoscaler::Actions& actions) {
  if (replicas_ && std::exchange(changed_, false)) evaluate(Part::Both, now, actions);
}

void Loop::decide_direct(TimePoint now, Autoscaler::Actions& actions) {
  undecidable_ = !replicas_ || !known();
  if (undecidable_) return;
  if (!changed_ && !(next_check_ && *next_check_ <= now)) return;
  changed_ = false;
  evaluate(Part::Both, now, actions);
}

void Loop::decide_keda(TimePoint now, Autoscaler::Actions& actions) {
  run_round(activation_, Part::Activation, now, actions);
  run_round(arithmetic_, Part::Arithmetic, now, actions);
}

void Loop::run_round(Round& round, Part part, TimePoint now, Autoscaler::Actions& actions) {
  if (round.started && replicas_ && known_since(*round.started)) {
    round.started.reset();
    evaluate(part, now, actions);
  }
  if (!round.begins(now)) return;
  for (std::size_t i = 0; i < polls_.size(); ++i)
    if (part == Part::Activation || !cached_[i]) polls_[i].ask(now);
}

void Loop::start_reads(TimePoint now, std::uint64_t& tickets, Autoscaler::Actions& actions) {
  for (std::size_t i = 0; i < polls_.size(); ++i) {
    if (!polls_[i].due(now)) continue;
    const std::uint64_t ticket = ++tickets;
    const bool rebuild = polls_[i].start(now, ticket);
    actions.reads.push_back({key_, i, rebuild, ticket});
  }
}

// At zero only activity matters; above it the arithmetic wants fresher values.
void Loop::pace_reads() {
  const bool awake = replicas_ && replicas_->wanted > 0;
  const Duration interval = spec_.interval();
  for (std::size_t i = 0; i < polls_.size(); ++i) {
    if (keda())
      polls_[i].pace(std::nullopt);
    else
      polls_[i].pace(awake && !cached_[i] ? std::min(interval, kLongestInterval) : interval);
  }
}

ActivateInput Loop::look_for_activation(const std::vector<Reading>& readings, TimePoint now) const {
  ActivateInput in;
  in.now = now;
  in.current = replicas_->wanted;
  in.min = spec_.min_replicas;
  in.idle = spec_.idle_replicas;
  for (const Reading& reading : readings) {
    in.active |= reading.active;
    in.error |= !reading.error.empty();
  }
  in.active |= !in.error && only_resources(spec_.triggers);
  in.paused = spec_.pause.paused;
  in.paused_scale_in = spec_.pause.in;
  in.paused_scale_out = spec_.pause.out;
  in.forced = spec_.pause.force;
  in.cooldown = spec_.cooldown();
  in.initial_cooldown = spec_.initial_cooldown_period;
  in.created = origin_.created;
  in.last_active = last_active_;
  return in;
}

DesiredInput Loop::look_for_arithmetic(const std::vector<Reading>& readings, TimePoint now) const {
  DesiredInput in;
  in.now = now;
  in.current = replicas_->wanted;
  in.status = replicas_->counts.current();
  in.ready = replicas_->counts.ready;
  in.min = spec_.hpa_min();
  in.max = spec_.max();
  in.tolerance = options_.tolerance;
  in.down_window = options_.down_window;
  in.up_disabled = spec_.pause.out;
  in.down_disabled = spec_.pause.in;
  in.readings = readings;

  // The API fills both directions as soon as one is written; straight semantics leave the other
  // one free.
  const Behavior& behavior = spec_.behavior;
  const bool both = keda() && behavior.written();
  if (both || behavior.scale_up)
    in.up = up_with_defaults(behavior.scale_up.value_or(ScalingRules{}));
  if (both || behavior.scale_down)
    in.down = down_with_defaults(behavior.scale_down.value_or(ScalingRules{}), in.down_window);
  in.step_limit = in.window_raises = keda() && !both;
  return in;
}

DecisionInput Loop::look(Part part, TimePoint now) {
  std::vector<Reading> readings;
  for (const Poll& poll : polls_) readings.push_back(poll.reading(now));
  DecisionInput in;
  in.at = now;
  in.generation = origin_.generation;
  in.semantics = spec_.semantics;
  in.run_activate = part != Part::Arithmetic;
  in.run_desired = part != Part::Activation;
  in.activate = look_for_activation(readings, now);
  in.desired = look_for_arithmetic(readings, now);
  if (in.run_desired) memory_.recall(in.desired, !keda());
  in.set_to = std::exchange(set_to_, std::nullopt);
  if (set_pause_ && !in.set_to) in.pause_at = spec_.pause.replicas;
  in.draining = replicas_->counts.draining;
  in.busy = replicas_->busy;
  return in;
}

void Loop::evaluate(Part part, TimePoint now, Autoscaler::Actions& actions) {
  const DecisionInput input = look(part, now);
  Decision decision = decide(input);
  decision.target = key_.name;
  active_ = input.activate.active;
  // Whatever ends before, it is looked at when one of the clocks ticks.
  if (keda()) decision.next_check = std::min(activation_.due, arithmetic_.due);
  next_check_ = decision.next_check;
  // What was set by hand counts as active, or the next look would end it.
  if (decision.activation.touch_last_active || input.set_to) last_active_ = now;
  memory_.learn(decision);
  if (input.run_activate && !input.set_to && !spec_.pause.replicas_error)
    status_changed_ |= set_decided(status_, decision);
  resize(decision, actions);
  describe_triggers();
  // KEDA's check of a size that it leaves to the HPA says nothing of that size.
  if (part == Part::Activation && decision.from == decision.to && decision.to > 0) return;
  record(std::move(decision), actions);
}

void Loop::resize(const Decision& decision, Autoscaler::Actions& actions) {
  if (decision.input.pause_at) {
    set_pause_ = false;
    status_.paused_replicas = decision.input.pause_at;
    status_changed_ = true;
  }
  if (decision.to == replicas_->wanted) return;
  replicas_->wanted = decision.to;
  actions.scale_to.push_back({key_, decision.to});
  pace_reads();
}

// The first decision after a restart may say what the last one before it said.
const Decision* Loop::to_continue() const {
  if (latest_) return &*latest_;
  return origin_.latest ? &*origin_.latest : nullptr;
}

void Loop::record(Decision decision, Autoscaler::Actions& actions) {
  if (const Decision* last = to_continue(); last && same_record(*last, decision)) {
    if (!latest_) change_ = origin_.change;
    decision.id = last->id;
    decision.at = last->at;
    decision.repeated = last->repeated + 1;
    latest_ = std::move(decision);
    actions.repeats.push_back(key_);
    return;
  }
  const auto at = std::chrono::floor<std::chrono::milliseconds>(decision.at.time_since_epoch());
  decision.id = fmt::format("{:x}-{}", at.count(), ++records_);
  if (decision.from != decision.to) change_ = decision;
  actions.decisions.emplace_back(key_, decision);
  latest_ = std::move(decision);
}

void Loop::describe_triggers() {
  std::vector<ScaleStatus::Trigger> triggers;
  for (const Poll& poll : polls_) {
    ScaleStatus::Trigger& out = triggers.emplace_back();
    out.name = poll.name();
    out.metric = poll.metric();
    out.failures = poll.failures();
    out.error = poll.error();
    out.read_at = poll.read_at();
    if (!poll.sample() || !poll.error().empty()) continue;
    out.active = poll.sample()->active;
    out.value = poll.sample()->value;
  }
  status_changed_ |= !std::equal(triggers.begin(), triggers.end(), status_.triggers.begin(),
                                 status_.triggers.end(), same_trigger);
  status_.triggers = std::move(triggers);
  status_.last_active = last_active_;
}

std::optional<TimePoint> Loop::next() const {
  if (spec_.pause.paused) return std::nullopt;
  std::optional<TimePoint> next;
  if (!undecidable_ && !keda()) sooner(next, next_check_);
  if (keda() && !activation_.started) sooner(next, activation_.due);
  if (keda() && !arithmetic_.started) sooner(next, arithmetic_.due);
  for (const Poll& poll : polls_) sooner(next, poll.next());
  return next;
}

}  // namespace jobmill::scale
