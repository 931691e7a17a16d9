// SPDX-License-Identifier: Apache-2.0
#include "app/execution_control.h"

#include <algorithm>
#include <filesystem>
#include <random>

#include <fmt/core.h>

#include "base/id.h"

namespace jobmill::app {
namespace {

using executions::Execution;
using executions::Executions;
using executions::JobKey;
using executions::Replica;
using executions::Semantics;
using executions::TakenMessage;

constexpr Duration kPrunePause = std::chrono::seconds(10);
// After the broker has ended a replica's locks, for what is still being written of them.
constexpr Duration kLastOutcomes = std::chrono::seconds(5);
constexpr std::size_t kPruneAtOnce = 500;
constexpr std::size_t kLookBack = 100;  // executions, for the last one of a schedule
// Locks of a replica without a time-out last as long as it does.
constexpr Duration kNoTimeout = std::chrono::hours(24 * 365);

std::uint64_t seed() { return std::random_device{}(); }

const Replica* find_replica(const Execution& execution, std::string_view name) {
  const auto it = std::ranges::find(execution.replicas, name, &Replica::name);
  return it != execution.replicas.end() ? &*it : nullptr;
}

// Until when the locks of a replica that starts now are its own; none: they are as anybody's.
std::optional<TimePoint> locks_until(const Execution& execution, TimePoint now) {
  if (!execution.started.options.supervisor_locks) return std::nullopt;
  return now + execution.started.replica_timeout.value_or(kNoTimeout);
}

}  // namespace

ExecutionControl::ExecutionControl(ExecutionParts parts)
    : parts_(std::move(parts)),
      engine_(seed()),
      triggers_({.control = parts_.control,
                 .feed = parts_.feed,
                 .context = parts_.scaler_context,
                 .clock = parts_.clock,
                 .log = parts_.log,
                 .principal_of =
                     [this](const ContainerJob& job, const std::string& identity) {
                       return principal_of(job, identity);
                     },
                 .begun = [this](const JobKey& key) { triggers_begun(key); }},
                [this] { drive(); }) {
  runner_ = parts_.runner(runner_events());
  if (parts_.feed == nullptr) return;
  parts_.feed->on_news([this](const QueueFeed::News& news) { on_news(news); });
  parts_.feed->on_entities([this](const std::vector<std::string>& gone) {
    triggers_.entities_changed();
    if (!gone.empty()) forget_roles(gone);
  });
}

ExecutionControl::~ExecutionControl() = default;

void ExecutionControl::on_control(std::function<void()> work) {
  parts_.control.post(std::move(work));
}

JobKey ExecutionControl::lower(const JobKey& key) {
  return {broker::lower(key.group), broker::lower(key.name)};
}

// --- life ---------------------------------------------------------------------------------------

void ExecutionControl::start() {
  parts_.loop.post([this] {
    parts_.identities.on_token([this](const std::string& replica) {
      on_control([this, replica] {
        engine_.identified(replica, parts_.clock.now());
        drive();
      });
    });
  });
  restore();
  started_ = true;
  for (const executions::ContainerJob* job : engine_.jobs()) {
    put_triggers(*job);
    tell_scaler(job->key);
  }
  for (const auto& [key, rules] : scaled_) roll_out(key);
  drive();
}

// What a server that died left: its processes are ended before anything new is started.
void ExecutionControl::restore() {
  const TimePoint now = parts_.clock.now();
  auto jobs = parts_.store.jobs();
  auto unfinished = parts_.store.unfinished();
  if (!jobs || !unfinished)
    return parts_.log.error("the executions cannot be read",
                            {{"error", !jobs ? jobs.error().message : unfinished.error().message}});
  for (executions::ContainerJob& job : *jobs) {
    if (!scaled_.contains(job.key))
      engine_.put(std::move(job), now);
    else
      parts_.log.error("a ScaledJob has the name of a job, which does not run for that reason",
                       {{"job", ExecutionTriggers::text(job.key)}});
  }
  for (Execution& execution : *unfinished) {
    std::vector<TakenMessage> settled;
    for (const Replica& replica : execution.replicas) {
      if (!replica.finished()) runner_->sweep(replica.mark);
      if (auto known = parts_.store.outcomes(replica.name))
        settled.insert(settled.end(), known->begin(), known->end());
    }
    engine_.restore(std::move(execution), settled, now);
  }
  for (const executions::ContainerJob* job : engine_.jobs())
    if (!job->cron.empty()) catch_up(job->key);
}

// Runs of a schedule that nobody was there for: since its last one, or since it was defined.
void ExecutionControl::catch_up(const JobKey& key) {
  const auto newest = parts_.store.list({.job = key, .limit = kLookBack});
  if (!newest) return;
  TimePoint since = engine_.job(key)->updated;
  for (const Execution& execution : *newest)
    if (execution.by.type == "schedule") since = std::max(since, execution.created);
  engine_.catch_up(key, since, parts_.clock.now());
}

void ExecutionControl::shutdown(Duration grace, std::function<void()> done) {
  stopping_ = true;
  triggers_.stop();
  when_idle_ = std::move(done);
  runner_->leave();
  engine_.shut_down(parts_.clock.now());
  parts_.control.run_after(grace, [this] {
    for (const std::string& replica : alive_) runner_->stop(replica, true);
  });
  parts_.control.run_after(grace + 2 * kLastOutcomes, [this] {
    if (when_idle_) std::exchange(when_idle_, nullptr)();
  });
  for (auto* waiters : {&job_waiters_, &log_waiters_})
    while (!waiters->empty()) wake(*waiters, std::string(waiters->begin()->first));
  drive();
}

// --- ScaledJobs ---------------------------------------------------------------------------------

void ExecutionControl::put_triggers(const executions::ContainerJob& job) {
  const auto scaled = scaled_.find(job.key);
  triggers_.put(with_vault(job), scaled != scaled_.end() ? &scaled->second : nullptr);
}

void ExecutionControl::put_scaled_job(executions::ContainerJob job, ScaledJobRules rules) {
  const JobKey key = job.key;
  job.updated = parts_.clock.now();
  scaled_[key] = std::move(rules);
  engine_.put(std::move(job), parts_.clock.now());
  if (!started_) return;  // the rest is start()'s
  put_triggers(*engine_.job(key));
  roll_out(key);
  job_changed(key);
  drive();
}

void ExecutionControl::remove_scaled_job(const JobKey& key) {
  if (scaled_.erase(key) == 0) return;
  triggers_.remove(key);
  backoff_.forget(key);
  engine_.remove(key, parts_.clock.now());
  drive();
}

// Executions of an earlier spec are stopped, unless the ScaledJob lets them go on.
void ExecutionControl::roll_out(const JobKey& key) {
  if (scaled_.at(key).keeps_running) return;
  const std::int64_t generation = engine_.job(key)->generation;
  std::vector<std::string> old;
  for (const Execution* execution : engine_.unfinished(key))
    if (execution->started.generation != generation) old.push_back(execution->name);
  if (old.empty()) return;
  parts_.log.warn("executions of an earlier spec are stopped; rollout.strategy gradual keeps them",
                  {{"scaledjob", ExecutionTriggers::text(key)}, {"count", old.size()}});
  for (const std::string& name : old) (void)engine_.stop(key, name, parts_.clock.now());
}

bool ExecutionControl::has_stored_job(const JobKey& key) const {
  return engine_.job(key) != nullptr && !scaled_.contains(key);
}

std::optional<JobPicture> ExecutionControl::picture(const JobKey& key) const {
  const executions::ContainerJob* job = engine_.job(key);
  if (job == nullptr) return std::nullopt;
  const std::string text = ExecutionTriggers::text(key);
  return JobPicture{.job = *job,
                    .semantics = triggers_.semantics(key),
                    .counts = engine_.counts(key),
                    .latest = triggers_.scaler().latest(text),
                    .last_create = triggers_.scaler().last_create(text),
                    .metrics = triggers_.metric_names(key)};
}

std::vector<JobKey> ExecutionControl::event_jobs() const {
  std::vector<JobKey> keys;
  for (const executions::ContainerJob* job : engine_.jobs())
    if (!job->rules.empty() && !is_scaled_job(job->key)) keys.push_back(job->key);
  return keys;
}

// --- the engines --------------------------------------------------------------------------------

// Lets the engines think, does what they say, and sets the timer for their next thought. What they
// are told while they are at it makes another round.
void ExecutionControl::drive() {
  if (!started_) return;
  again_ = true;
  if (std::exchange(driving_, true)) return;
  while (std::exchange(again_, false)) {
    end_backoffs();
    if (carry_out(engine_.tick(parts_.clock.now()))) again_ = true;
    if (!stopping_ && carry_out(triggers_.scaler().tick(parts_.clock.now()))) again_ = true;
  }
  driving_ = false;
  answer_pending();

  if (timer_) parts_.control.cancel(*timer_);
  timer_.reset();
  auto next = engine_.next();
  if (const auto scale = stopping_ ? std::nullopt : triggers_.scaler().next())
    next = std::min(next.value_or(*scale), *scale);
  if (const auto held = backoff_.next()) next = std::min(next.value_or(held->first), held->first);
  if (!next) return;
  timer_ = parts_.control.run_after(std::max(*next - parts_.clock.now(), Duration(0)), [this] {
    timer_.reset();
    drive();
  });
}

bool ExecutionControl::carry_out(const Executions::Actions& actions) {
  std::map<std::string, std::vector<std::string>> starts;
  for (const Executions::StartReplica& one : actions.start) {
    starting_.insert(one.replica);
    starts[one.execution].push_back(one.replica);
  }
  for (const std::string& execution : actions.changed)
    save(execution, std::exchange(starts[execution], {}));
  for (const auto& [execution, replicas] : starts)
    for (const std::string& replica : replicas) start_replica(replica);
  for (const Executions::StopReplica& one : actions.stop) stop_replica(one);
  for (const std::string& replica : actions.look)
    engine_.used(replica, runner_->cpu_time(replica), parts_.clock.now());
  for (const JobKey& key : actions.jobs) job_changed(key);
  return !actions.empty();
}

manifest::ObjectKey ExecutionControl::target_key(const JobKey& key) const {
  return {is_scaled_job(key) ? "ScaledJob" : "ContainerJob", key.group, key.name};
}

void ExecutionControl::job_changed(const JobKey& key) {
  tell_scaler(key);
  parts_.recorder.changed(target_key(key));
  wake(job_waiters_, ExecutionTriggers::text(key));
  prune_later(key);
}

// An execution is on disk before its processes run: whatever happens, it can be accounted for.
void ExecutionControl::save(const std::string& name, std::vector<std::string> starts) {
  const Execution* execution = engine_.find(name);
  if (execution == nullptr) return;
  if (execution->finished())
    backoff_.ended(*execution, engine_.reservation(execution->job, execution->rule).ready,
                   parts_.clock.now());
  for (const Replica& replica : execution->replicas)
    if (replica.finished()) wake(log_waiters_, replica.name);
  parts_.store.save(*execution, [this, name, starts = std::move(starts)](const Status& saved) {
    if (!saved)
      parts_.log.error("an execution was not saved",
                       {{"execution", name}, {"error", saved.error().message}});
    else if (parts_.changed)
      parts_.changed(name);
    for (const std::string& replica : starts) {
      if (saved)
        start_replica(replica);
      else if (starting_.erase(replica) > 0)
        replica_failed(replica, "StoreUnavailable: " + saved.error().message, true);
    }
  });
}

// What its schedule starts is for messages too, as what is started by hand.
void ExecutionControl::triggers_begun(const JobKey& key) {
  const bool bound = triggers_.semantics(key) == Semantics::Bound;
  engine_.bind_schedule(key, bound ? triggers_.messages(key, 0) : 0);
  tell_scaler(key);
}

void ExecutionControl::tell_scaler(const JobKey& key) {
  const executions::ContainerJob* job = engine_.job(key);
  if (job == nullptr) return;
  const Executions::Counts counts = engine_.counts(key);
  const TimePoint now = parts_.clock.now();
  std::vector<std::int64_t> reserved;
  std::vector<std::int64_t> held;
  for (std::size_t i = 0; i < job->rules.size(); ++i) {
    held.push_back(backoff_.held(key, static_cast<int>(i), now));
    reserved.push_back(engine_.reservation(key, static_cast<int>(i)).reserved + held.back());
  }
  triggers_.scaler().executions(ExecutionTriggers::text(key), counts.unfinished, counts.pending,
                                std::move(reserved), now, std::move(held));
}

// Messages that waited may start executions again.
void ExecutionControl::end_backoffs() {
  const TimePoint now = parts_.clock.now();
  while (const auto next = backoff_.next()) {
    if (next->first > now) return;
    backoff_.expire(next->first);
    tell_scaler(next->second);
  }
}

bool ExecutionControl::carry_out(const scale::JobScaler::Actions& actions) {
  for (const scale::JobScaler::Create& wish : actions.create) create(wish);
  for (const std::string& job : actions.decided) {
    const JobKey key = ExecutionTriggers::key_of(job);
    parts_.recorder.decided(target_key(key), *triggers_.scaler().latest(job));
    parts_.recorder.changed(target_key(key));
    wake(job_waiters_, job);
  }
  for (const scale::JobScaler::Read& read : actions.reads) triggers_.read(read);
  return !actions.create.empty();
}

void ExecutionControl::create(const scale::JobScaler::Create& wish) {
  const JobKey key = ExecutionTriggers::key_of(wish.job);
  const executions::ContainerJob* job = engine_.job(key);
  if (job == nullptr) return;
  Executions::StartRequest request{.by = {.name = "min-executions", .type = "event"},
                                   .rule = wish.rule,
                                   .semantics = triggers_.semantics(key).value_or(Semantics::Cloud),
                                   .reserves = 0,
                                   .pod = {}};
  if (wish.rule >= 0 && static_cast<std::size_t>(wish.rule) < job->rules.size()) {
    const executions::ScaleRule& rule = job->rules[static_cast<std::size_t>(wish.rule)];
    request.by = {.name = rule.name, .type = rule.type};
  }
  request.by.decision = wish.decision;
  if (request.semantics == Semantics::Bound) {
    request.rule = std::max(wish.rule, 0);
    request.reserves = triggers_.messages(key, request.rule);
  }
  for (int i = 0; i < wish.count; ++i) {
    const auto started = engine_.start(key, request, parts_.clock.now());
    if (!started)
      return parts_.log.error("an execution was not started",
                              {{"job", wish.job}, {"error", started.error().message}});
  }
  parts_.log.info("executions start",
                  {{"job", wish.job}, {"count", wish.count}, {"rule", request.by.name}});
  tell_scaler(key);
}

void ExecutionControl::answer_pending() {
  std::vector<Pending> ready;
  for (std::size_t i = 0; i < pending_.size();) {
    if (!pending_[i].ready()) {
      ++i;
      continue;
    }
    ready.push_back(std::move(pending_[i]));
    pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (const Pending& one : ready) one.answer();
  if (when_idle_ && engine_.idle() && ended_.empty() && alive_.empty())
    parts_.control.post(std::exchange(when_idle_, nullptr));
}

// --- replicas -----------------------------------------------------------------------------------

executions::Runner::Events ExecutionControl::runner_events() {
  return {.started = [this](const std::string& replica,
                            executions::ProcessMark mark) { replica_started(replica, mark); },
          .start_failed =
              [this](const std::string& replica, std::string reason) {
                alive_.erase(replica);
                replica_failed(replica, std::move(reason), false);
              },
          .ended = [this](const std::string& replica,
                          executions::ReplicaEnd end) { replica_ended(replica, std::move(end)); }};
}

void ExecutionControl::start_replica(const std::string& name) {
  if (starting_.erase(name) == 0) return;  // stopped in the meantime
  const Execution* execution = engine_.of_replica(name);
  if (execution == nullptr) return;
  const Replica* replica = find_replica(*execution, name);
  const executions::ContainerJob* job = engine_.job(execution->job);
  if (replica == nullptr || job == nullptr) return replica_ended(name, {});

  const TimePoint now = parts_.clock.now();
  const ReplicaFacts facts = parts_.facts();
  const bool endpoint = !facts.identity_endpoint.empty();
  const std::string header = endpoint ? admit(*job, *execution, name) : std::string();
  auto plan = plan_replica(with_vault(*job), *execution, *replica, images(), facts, header, now);
  if (!plan)
    return replica_failed(name, plan.error().message, plan.error().code == Code::Unavailable);
  if (scaled_.contains(job->key)) expand_variables(execution->started.pod, job->key, *plan);
  plan->log = log_path(*execution, name);
  parts_.running.put(name, {.pid = 0, .locks_until = locks_until(*execution, now)});
  alive_.insert(name);
  runner_->start(*std::move(plan));
}

// With the values that secrets of key vaults have now.
executions::ContainerJob ExecutionControl::with_vault(const executions::ContainerJob& job) const {
  executions::ContainerJob whole = job;
  for (const auto& [name, url] : job.vault)
    if (auto value = executions::vault_secret(parts_.resources, url))
      whole.secrets.insert_or_assign(name, *std::move(value));
  return whole;
}

// An identity that is none of this server is taken at its word: it has no roles.
std::string ExecutionControl::principal_of(const executions::ContainerJob& job,
                                           const std::string& identity) const {
  if (identity == "system") {
    const Node* own = job.document.find("identity");
    const Node* principal = own != nullptr ? own->find("principalId") : nullptr;
    return principal != nullptr ? principal->text : identity;
  }
  const auto known = executions::find_identity(parts_.resources, identity);
  return known ? known->principal_id : identity;
}

// Roles on a queue go with it; another queue of its name is another one.
void ExecutionControl::forget_roles(const std::vector<std::string>& queues) {
  parts_.pool.post([this, queues] {
    for (const executions::Resource& role : parts_.resources.list(executions::kRoleAssignments)) {
      const Node* properties = role.document.find("properties");
      const Node* scope = properties != nullptr ? properties->find("scope") : nullptr;
      const auto queue = api::queue_of_scope(scope != nullptr ? scope->text : "");
      if (!queue || std::ranges::find(queues, *queue) == queues.end()) continue;
      if (const Status removed = parts_.resources.remove(role.id); !removed)
        parts_.log.error("a role of a queue that is gone was not removed",
                         {{"role", role.id}, {"error", removed.error().message}});
    }
  });
}

void ExecutionControl::resources_changed() {
  on_control([this] {
    for (const executions::ContainerJob* job : engine_.jobs()) {
      if (job->vault.empty()) continue;
      put_triggers(*job);
      engine_.hurry(job->key, parts_.clock.now());
    }
    triggers_.entities_changed();
    drive();
  });
}

// Put together again only after a resource changed.
const LocalImages& ExecutionControl::images() {
  const std::uint64_t revision = parts_.resources.revision();
  if (!images_ || images_revision_ != revision) {
    images_ = image_map(parts_.resources, parts_.images);
    images_revision_ = revision;
  }
  return *images_;
}

// The secret by which the replica gets tokens of the job's identities; none if it has no identity.
std::string ExecutionControl::admit(const executions::ContainerJob& job, const Execution& execution,
                                    const std::string& replica) {
  if (!job.identity.any()) return {};
  api::Identities::Bearer bearer{.replica = replica, .execution = execution.name, .identities = {}};
  for (const std::string& id : job.identity.user)
    if (const auto identity = executions::find_identity(parts_.resources, id))
      bearer.identities.push_back(*identity);
  if (const Node* own = job.identity.system ? job.document.find("identity") : nullptr) {
    const auto text = [own](const char* member) {
      const Node* node = own->find(member);
      return std::string(node != nullptr ? node->as_string().value_or("") : "");
    };
    bearer.identities.push_back(
        {.id = "system", .client_id = text("clientId"), .principal_id = text("principalId")});
  }
  std::string header = random_token(32);
  parts_.loop.post(
      [this, header, bearer = std::move(bearer)] { parts_.identities.admit(header, bearer); });
  return header;
}

void ExecutionControl::stop_replica(const Executions::StopReplica& stop) {
  if (stop.ordered) ordered_.insert(stop.replica);
  if (starting_.erase(stop.replica) > 0)
    return on_control([this, replica = stop.replica] { replica_ended(replica, {}); });
  runner_->stop(stop.replica, stop.kill);
}

void ExecutionControl::replica_started(const std::string& name, executions::ProcessMark mark) {
  const std::int64_t pid = mark.pid;
  const TimePoint now = parts_.clock.now();
  engine_.started(name, std::move(mark), now);
  if (const Execution* execution = engine_.of_replica(name))
    parts_.running.put(name, {.pid = pid, .locks_until = locks_until(*execution, now)});
  drive();
}

void ExecutionControl::replica_failed(const std::string& name, std::string reason, bool later) {
  parts_.log.warn("a replica could not be started", {{"replica", name}, {"why", reason}});
  forget_replica(name);
  engine_.start_failed(name, std::move(reason), later, parts_.clock.now());
  drive();
}

// First the broker learns it: what the replica settled before its end counts, what it still holds
// goes back. Then the execution.
void ExecutionControl::replica_ended(const std::string& name, executions::ReplicaEnd end) {
  const bool count = !ordered_.contains(name) && !stopping_;
  forget_replica(name);
  Ended& ended = ended_[name];
  ended.end = std::move(end);
  engine_.ending(name, parts_.clock.now());
  const auto released = [this, name] {
    if (const auto it = ended_.find(name); it != ended_.end()) it->second.released = true;
    finish_ended();
    if (ended_.contains(name))
      parts_.control.run_after(kLastOutcomes, [this, name] { give_up_on(name); });
  };
  if (!parts_.end_holder || parts_.feed == nullptr) return released();
  parts_.feed->pass_through(
      [this, name, count](std::function<void()> done) {
        parts_.end_holder(name, count, std::move(done));
      },
      released);
}

// Those of which the broker has told all that there is to tell.
void ExecutionControl::finish_ended() {
  bool any = false;
  for (auto it = ended_.begin(); it != ended_.end();) {
    const auto held = held_.find(it->first);
    if (!it->second.released || (held != held_.end() && !held->second.empty())) {
      ++it;
      continue;
    }
    held_.erase(it->first);
    if (const auto watched = watched_.extract(it->first))
      for (const std::string& path : watched.mapped()) parts_.feed->unwatch(path);
    const auto [name, ended] = *it;
    it = ended_.erase(it);
    engine_.ended(name, ended.end, parts_.clock.now());
    any = true;
  }
  if (any) drive();
}

// The queue of a message may have gone, and what became of it is told by nobody.
void ExecutionControl::give_up_on(const std::string& replica) {
  if (!ended_.contains(replica)) return;
  parts_.log.warn("what became of a replica's messages is not known", {{"replica", replica}});
  held_.erase(replica);
  finish_ended();
}

void ExecutionControl::forget_replica(const std::string& name) {
  alive_.erase(name);
  ordered_.erase(name);
  parts_.running.remove(name);
  parts_.loop.post([this, name] { parts_.identities.dismiss(name); });
  wake(log_waiters_, name);
}

// --- messages -----------------------------------------------------------------------------------

void ExecutionControl::on_news(const QueueFeed::News& news) {
  const TimePoint now = parts_.clock.now();
  std::set<JobKey> concerned;
  for (const broker::MessageEvent& event : news.events) on_message(event);
  for (const auto& [path, state] : news.states) {
    for (const ExecutionTriggers::Rule& rule : triggers_.rules_of(path)) {
      const auto all = triggers_.told(rule, path, state);
      if (!all) continue;
      const Result<broker::QueueState>& found = *all;
      const bool well = found && found->receivable;
      engine_.set_ready(rule.job, rule.index, well ? found->ready : 0, now);
      Result<scale::JobScaler::Queue> queue = scale::JobScaler::Queue{};
      if (!found)
        queue = found.error();
      else
        queue = scale::JobScaler::Queue{.ready = found->ready,
                                        .locked = found->locked,
                                        .sessions = found->sessions,
                                        .receivable = found->receivable};
      triggers_.scaler().queue(ExecutionTriggers::text(rule.job),
                               static_cast<std::size_t>(rule.index), std::move(queue), now);
      concerned.insert(rule.job);
    }
  }
  for (const JobKey& key : concerned) tell_scaler(key);
  finish_ended();
  drive();
}

// Whose message it is: the holder's; without one, of the oldest replica that waits for it.
std::string ExecutionControl::taker_of(const broker::MessageEvent& event) {
  if (!event.holder.empty())
    return engine_.of_replica(event.holder) != nullptr ? event.holder : std::string();
  const auto key = std::pair(event.entity, static_cast<std::int64_t>(event.sequence));
  if (const auto it = guessed_.find(key); it != guessed_.end()) return it->second;
  if (event.outcome) return {};
  for (const ExecutionTriggers::Rule& rule : triggers_.rules_of(event.entity))
    if (std::string taker = engine_.likely_taker(rule.job, rule.index); !taker.empty()) {
      guessed_[key] = taker;
      return taker;
    }
  return {};
}

void ExecutionControl::on_message(const broker::MessageEvent& event) {
  const std::string replica = taker_of(event);
  if (replica.empty()) return;
  const TimePoint now = parts_.clock.now();
  const auto key = std::pair(event.entity, static_cast<std::int64_t>(event.sequence));
  if (!event.outcome) {
    if (!event.holder.empty()) {
      held_[replica].insert(key);
      if (watched_[replica].insert(event.entity).second) parts_.feed->watch(event.entity);
    }
    engine_.took({.replica = replica,
                  .entity = event.entity,
                  .sequence = key.second,
                  .message_id = event.message_id,
                  .delivery_count = event.delivery_count,
                  .taken = now,
                  .outcome = {},
                  .reason = {},
                  .ended = {}},
                 now);
    return;
  }
  if (const auto held = held_.find(replica); held != held_.end()) held->second.erase(key);
  guessed_.erase(key);
  engine_.settled(replica, event.entity, key.second, broker::to_string(*event.outcome),
                  event.reason, now);
}

// --- history ------------------------------------------------------------------------------------

void ExecutionControl::prune_later(const JobKey& key) {
  if (!pruning_.insert(key).second) return;
  parts_.control.run_after(kPrunePause, [this, key] { prune(key); });
}

void ExecutionControl::prune(const JobKey& key) {
  pruning_.erase(key);
  const executions::ContainerJob* job = engine_.job(key);
  if (job == nullptr || stopping_) return;
  parts_.pool.post([this, key, history = job->options.history] {
    const auto gone = parts_.store.prune(key, history, parts_.clock.now(), kPruneAtOnce);
    if (!gone)
      return parts_.log.error("old executions were not deleted",
                              {{"job", key.name}, {"error", gone.error().message}});
    std::error_code ignored;  // a log that stays does no harm
    for (const std::string& name : *gone)
      std::filesystem::remove_all(log_folder(key, name), ignored);
  });
}

}  // namespace jobmill::app
