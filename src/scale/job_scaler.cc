// SPDX-License-Identifier: Apache-2.0
#include "scale/job_scaler.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "scale/poll.h"

namespace jobmill::scale {
namespace {

void sooner(std::optional<TimePoint>& next, std::optional<TimePoint> at) {
  if (at) next = next ? std::min(*next, *at) : *at;
}

std::int64_t at(const std::vector<std::int64_t>& numbers, std::size_t index) {
  return index < numbers.size() ? numbers[index] : 0;
}

// Whether they say the same. One that created something is an event of its own.
bool same(const ExecutionsDecision& a, const ExecutionsDecision& b) {
  return a.create.empty() && b.create.empty() && a.limit == b.limit && a.sentence == b.sentence &&
         a.formula == b.formula && a.keda_would_create == b.keda_would_create;
}

std::string new_id(TimePoint now, std::uint64_t number) {
  const auto at = std::chrono::floor<std::chrono::milliseconds>(now.time_since_epoch());
  return fmt::format("{:x}-{}", at.count(), number);
}

}  // namespace

// The loop of one job.
struct JobScaler::Job {
  struct Trigger {
    Poll poll;
    bool owed = false;  // asked in this round, has not answered
  };
  struct Executions {
    std::int64_t unfinished = 0;
    std::int64_t pending = 0;
    std::vector<std::int64_t> reserved;
    std::vector<std::int64_t> backing_off;
  };

  Spec spec;
  std::vector<Trigger> triggers;
  std::vector<std::optional<Result<Queue>>> queues;  // of each rule; none: not told yet
  std::optional<Executions> executions;
  bool changed = true;  // something that a bound decision looks at
  bool in_round = false;
  TimePoint due{};  // the next poll; the timer runs from its start, however long it takes
  std::optional<ExecutionsDecision> latest;
  std::optional<ExecutionsDecision> last_create;

  bool keda() const { return spec.semantics == JobSemantics::Keda; }
  void put(Spec next, TimePoint now);
  Trigger* awaiting(const Read& read);

  void tick(TimePoint now, std::uint64_t& tickets, std::uint64_t& decisions, Actions& actions);
  std::optional<TimePoint> next() const;

 private:
  bool polls() const;
  bool rules_known() const;
  bool round_answered() const;
  bool begin_poll(TimePoint now);
  void poll_triggers(TimePoint now, std::uint64_t& tickets, Actions& actions);
  bool decide_keda(TimePoint now, std::uint64_t& tickets, Actions& actions);
  bool decide_bound(TimePoint now);
  ExecutionsInput look(TimePoint now) const;
  BoundRule look_at(std::size_t rule) const;
  JobTrigger look_at(const Poll& poll, TimePoint now) const;
  void record(ExecutionsDecision decision, std::uint64_t& decisions, Actions& actions);
  void expect(const ExecutionsDecision& decision);

  bool keep_min_ = false;
};

// What is known of its executions stays; its rules and triggers begin anew.
void JobScaler::Job::put(Spec next, TimePoint now) {
  spec = std::move(next);
  triggers.clear();
  queues.assign(spec.rules.size(), std::nullopt);
  for (const Autoscaler::Trigger& one : spec.triggers) {
    Poll::Source source{one.name, one.type, one.metric, spec.polling_interval, one.timeout};
    triggers.push_back({Poll(std::move(source), 0, now)});
    triggers.back().poll.pace(std::nullopt);
  }
  changed = true;
  in_round = false;
  due = now;
}

JobScaler::Job::Trigger* JobScaler::Job::awaiting(const Read& read) {
  if (read.trigger >= triggers.size()) return nullptr;
  Trigger& trigger = triggers[read.trigger];
  return trigger.poll.awaits(read.ticket) ? &trigger : nullptr;
}

// A bound job is polled for its min executions only.
bool JobScaler::Job::polls() const {
  return !spec.suspended && (keda() || spec.min.value_or(0) > 0);
}

bool JobScaler::Job::rules_known() const {
  return std::ranges::all_of(queues, [](const auto& queue) { return queue.has_value(); });
}

bool JobScaler::Job::round_answered() const {
  return std::ranges::none_of(triggers, &Trigger::owed);
}

bool JobScaler::Job::begin_poll(TimePoint now) {
  if (!polls() || now < due) return false;
  due = std::max(due + spec.polling_interval, now + Duration(1));
  return true;
}

void JobScaler::Job::tick(TimePoint now, std::uint64_t& tickets, std::uint64_t& decisions,
                          Actions& actions) {
  if (!executions) return;
  const bool decides =
      keda() && !spec.suspended ? decide_keda(now, tickets, actions) : decide_bound(now);
  if (decides) record(decide_executions(look(now)), decisions, actions);
}

// Also a suspended job is looked at after changes, so that it can say what waits for it.
bool JobScaler::Job::decide_bound(TimePoint now) {
  if (!rules_known()) return false;
  keep_min_ = begin_poll(now);
  return std::exchange(changed, false) || keep_min_;
}

bool JobScaler::Job::decide_keda(TimePoint now, std::uint64_t& tickets, Actions& actions) {
  for (Trigger& trigger : triggers)
    if (trigger.poll.expire(now)) trigger.owed = false;
  if (!in_round && begin_poll(now)) {
    in_round = true;
    for (Trigger& trigger : triggers) {
      trigger.poll.ask(now);
      trigger.owed |= trigger.poll.due(now);
    }
  }
  poll_triggers(now, tickets, actions);
  if (!in_round || !round_answered()) return false;
  in_round = false;
  return true;
}

void JobScaler::Job::poll_triggers(TimePoint now, std::uint64_t& tickets, Actions& actions) {
  for (std::size_t i = 0; i < triggers.size(); ++i) {
    if (!triggers[i].poll.due(now)) continue;
    const std::uint64_t ticket = ++tickets;
    const bool rebuild = triggers[i].poll.start(now, ticket);
    actions.reads.push_back({spec.key, i, rebuild, ticket});
  }
}

BoundRule JobScaler::Job::look_at(std::size_t rule) const {
  BoundRule out = spec.rules[rule];
  const Result<Queue>& queue = *queues[rule];
  out.reserved = at(executions->reserved, rule);
  out.backing_off = at(executions->backing_off, rule);
  if (!queue) {
    out.error = queue.error().message;
    return out;
  }
  out.ready = queue->ready;
  out.locked = queue->locked;
  out.sessions = queue->sessions;
  out.receivable = queue->receivable;
  return out;
}

// A target of type Value is none per execution.
JobTrigger JobScaler::Job::look_at(const Poll& poll, TimePoint now) const {
  const Reading reading = poll.reading(now);
  std::optional<double> target;
  if (reading.type == MetricType::AverageValue)
    target = static_cast<double>(reading.target_milli) / 1000;
  return {reading.name,         reading.source, reading.value,
          job_target({target}), reading.active, reading.error};
}

ExecutionsInput JobScaler::Job::look(TimePoint now) const {
  ExecutionsInput in;
  in.at = now;
  in.semantics = spec.semantics;
  in.min = spec.min;
  in.max = spec.max;
  in.unfinished = executions->unfinished;
  in.pending = executions->pending;
  in.suspended = spec.suspended;
  in.keep_min = keep_min_;
  in.combination = spec.combination;
  in.strategy = spec.strategy;
  in.deduction = spec.deduction;
  in.percentage = spec.percentage;
  for (std::size_t i = 0; i < spec.rules.size(); ++i) in.bound.push_back(look_at(i));
  for (const Trigger& trigger : triggers) in.triggers.push_back(look_at(trigger.poll, now));
  return in;
}

void JobScaler::Job::record(ExecutionsDecision decision, std::uint64_t& decisions,
                            Actions& actions) {
  if (latest && same(*latest, decision)) return;
  decision.id = new_id(decision.input.at, ++decisions);
  for (const auto& one : decision.create)
    actions.create.push_back({spec.key, one.rule, one.count, decision.id});
  expect(decision);
  if (decision.total() > 0) last_create = decision;
  actions.decided.push_back(spec.key);
  latest = std::move(decision);
}

// They are there as far as the next decision is concerned.
void JobScaler::Job::expect(const ExecutionsDecision& decision) {
  executions->reserved.resize(std::max(executions->reserved.size(), spec.rules.size()));
  for (const auto& one : decision.create) {
    executions->unfinished += one.count;
    executions->pending += one.count;
    if (one.rule < 0 || keda()) continue;
    const auto rule = static_cast<std::size_t>(one.rule);
    executions->reserved[rule] += one.count * std::max<std::int64_t>(spec.rules[rule].messages, 1);
  }
}

std::optional<TimePoint> JobScaler::Job::next() const {
  std::optional<TimePoint> next;
  if (!executions || spec.suspended) return next;
  if (polls() && !in_round && (keda() || rules_known())) next = due;
  for (const Trigger& trigger : triggers) sooner(next, trigger.poll.next());
  return next;
}

JobScaler::JobScaler() = default;

JobScaler::~JobScaler() = default;

void JobScaler::put(Spec spec, TimePoint now) {
  auto& job = jobs_[spec.key];
  if (!job) job = std::make_unique<Job>();
  job->put(std::move(spec), now);
}

void JobScaler::remove(const Key& key) { jobs_.erase(key); }

void JobScaler::sample(const Read& read, Result<Sample> sample, TimePoint now) {
  const auto job = jobs_.find(read.job);
  if (job == jobs_.end()) return;
  Job::Trigger* trigger = job->second->awaiting(read);
  if (!trigger) return;
  if (trigger->poll.answer(std::move(sample), now) != Poll::Heard::Retry) trigger->owed = false;
}

void JobScaler::built(const Read& read, const MetricSpec& metric) {
  const auto job = jobs_.find(read.job);
  if (job == jobs_.end()) return;
  if (Job::Trigger* trigger = job->second->awaiting(read)) trigger->poll.rebuilt(metric);
}

void JobScaler::queue(const Key& key, std::size_t rule, Result<Queue> queue, TimePoint) {
  const auto job = jobs_.find(key);
  if (job == jobs_.end() || rule >= job->second->queues.size()) return;
  job->second->queues[rule] = std::move(queue);
  job->second->changed = true;
}

void JobScaler::executions(const Key& key, std::int64_t unfinished, std::int64_t pending,
                           std::vector<std::int64_t> reserved, TimePoint,
                           std::vector<std::int64_t> backing_off) {
  const auto job = jobs_.find(key);
  if (job == jobs_.end()) return;
  job->second->executions = {unfinished, pending, std::move(reserved), std::move(backing_off)};
  job->second->changed = true;
}

JobScaler::Actions JobScaler::tick(TimePoint now) {
  Actions actions;
  for (const auto& [key, job] : jobs_) job->tick(now, tickets_, decisions_, actions);
  return actions;
}

std::optional<TimePoint> JobScaler::next() const {
  std::optional<TimePoint> next;
  for (const auto& [key, job] : jobs_) sooner(next, job->next());
  return next;
}

const ExecutionsDecision* JobScaler::latest(const Key& key) const {
  const auto job = jobs_.find(key);
  return job != jobs_.end() && job->second->latest ? &*job->second->latest : nullptr;
}

const ExecutionsDecision* JobScaler::last_create(const Key& key) const {
  const auto job = jobs_.find(key);
  return job != jobs_.end() && job->second->last_create ? &*job->second->last_create : nullptr;
}

}  // namespace jobmill::scale
