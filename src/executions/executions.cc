// SPDX-License-Identifier: Apache-2.0
#include "executions/executions.h"

#include <algorithm>

#include "base/cron.h"
#include "executions/reservations.h"
#include "executions/run.h"

namespace jobmill::executions {
namespace {

constexpr std::string_view kSuffixLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
constexpr std::size_t kExecutionSuffix = 7;
constexpr std::size_t kReplicaSuffix = 5;
constexpr std::string_view kScheduled = "schedule";

bool same_source(const ScaleRule& a, const ScaleRule& b) {
  return a.type == b.type && a.metadata == b.metadata;
}

// Names are optional in some manifests.
std::string name_of(const ScaleRule& rule, std::size_t index) {
  return rule.name.empty() ? "#" + std::to_string(index) : rule.name;
}

std::optional<Reservations::Rule> rule_of(const ContainerJob& job, int index) {
  if (index < 0 || static_cast<std::size_t>(index) >= job.rules.size()) return std::nullopt;
  const auto i = static_cast<std::size_t>(index);
  return Reservations::Rule{job.key, name_of(job.rules[i], i)};
}

std::optional<TimePoint> earlier(std::optional<TimePoint> a, std::optional<TimePoint> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

}  // namespace

struct Executions::State {
  using Serial = std::uint64_t;  // in the order of creation

  struct Job {
    ContainerJob job;
    std::optional<TimePoint> next_run{};  // of its schedule
    int schedule_reserves = 0;
  };
  struct Entry {
    Run run;
    std::optional<Reservations::Rule> rule{};
    Reservations::Share share{};  // as the sums have it
    std::optional<TimePoint> timer{};
  };

  explicit State(std::uint64_t seed) : random(seed) {}

  std::string suffix(std::size_t length) {
    std::string text;
    std::uniform_int_distribution<std::size_t> letter(0, kSuffixLetters.size() - 1);
    while (text.size() < length) text += kSuffixLetters[letter(random)];
    return text;
  }

  const Job* find_job(const JobKey& key) const {
    const auto found = jobs.find(key);
    return found == jobs.end() ? nullptr : &found->second;
  }
  std::optional<Serial> serial_of(std::string_view execution) const {
    const auto found = by_name.find(execution);
    return found == by_name.end() ? std::nullopt : std::optional(found->second);
  }
  // Its name is its execution's with a hyphen and a suffix.
  std::optional<Serial> serial_of_replica(std::string_view replica) const {
    if (replica.size() < kReplicaSuffix + 1) return std::nullopt;
    const auto serial = serial_of(replica.substr(0, replica.size() - kReplicaSuffix - 1));
    return serial && entries.at(*serial).run.replica(replica) ? serial : std::nullopt;
  }
  const std::set<Serial>& of_job(const JobKey& key) const {
    static const std::set<Serial> none;
    const auto found = unfinished.find(key);
    return found == unfinished.end() ? none : found->second;
  }

  Serial add(Execution execution);
  void touch(Serial serial);
  void book(Entry& entry);
  void step(Serial serial, TimePoint now, Actions& actions);
  void set_timer(Serial serial, Entry& entry);
  void retire(Serial serial, const JobKey& key);
  void erase_retired();
  void wake_due(TimePoint now);

  void plan(Job& job, TimePoint after);
  void unplan(Job& job);
  void run_schedules(TimePoint now);
  Execution made(const Job& job, StartRequest request, TimePoint now);

  template <class Event>
  void tell(std::string_view replica, TimePoint now, Event event) {
    note(now);
    const auto serial = serial_of_replica(replica);
    if (!serial || entries.at(*serial).run.execution().finished()) return;
    event(entries.at(*serial).run);
    touch(*serial);
  }
  void note(TimePoint at) { latest = std::max(latest, at); }

  std::mt19937_64 random;
  std::map<JobKey, Job> jobs;
  std::map<Serial, Entry> entries;
  std::map<std::string, Serial, std::less<>> by_name;
  std::map<JobKey, std::set<Serial>> unfinished;
  Reservations reservations;

  std::set<Serial> touched;  // to be looked at by the next tick
  std::set<JobKey> changed_jobs;
  std::vector<Serial> retired;  // finished, and told by the last tick
  std::set<std::pair<TimePoint, Serial>> timers;
  std::set<std::pair<TimePoint, JobKey>> schedules;
  TimePoint latest{};
  Serial last_serial = 0;
  bool halted = false;
};

// --- executions ---------------------------------------------------------------------------------

Executions::State::Serial Executions::State::add(Execution execution) {
  const Serial serial = ++last_serial;
  const auto rule = execution.reserves > 0 || execution.semantics == Semantics::Bound
                        ? rule_of(execution.started, execution.rule)
                        : std::nullopt;
  by_name.emplace(execution.name, serial);
  unfinished[execution.job].insert(serial);
  entries.emplace(serial, Entry{.run = Run(std::move(execution)), .rule = rule});
  touch(serial);
  return serial;
}

// Sums follow at once, since they may be asked for before the next tick.
void Executions::State::touch(Serial serial) {
  touched.insert(serial);
  book(entries.at(serial));
}

void Executions::State::book(Entry& entry) {
  const Reservations::Share share = entry.run.share();
  if (entry.rule) reservations.change(*entry.rule, entry.share, share);
  entry.share = share;
}

void Executions::State::step(Serial serial, TimePoint now, Actions& actions) {
  Entry& entry = entries.at(serial);
  const Run::World world{
      .now = now,
      .message_left =
          [&] { return !entry.rule || reservations.any_left(*entry.rule, entry.share); },
      .suffix = [this] { return suffix(kReplicaSuffix); }};
  const bool changed = entry.run.step(world, actions);
  book(entry);
  set_timer(serial, entry);
  if (!changed) return;
  const Execution& execution = entry.run.execution();
  actions.changed.push_back(execution.name);
  changed_jobs.insert(execution.job);
  if (execution.finished()) retire(serial, execution.job);
}

void Executions::State::set_timer(Serial serial, Entry& entry) {
  const auto next = entry.run.next();
  if (next == entry.timer) return;
  if (entry.timer) timers.erase({*entry.timer, serial});
  if (next) timers.emplace(*next, serial);
  entry.timer = next;
}

void Executions::State::retire(Serial serial, const JobKey& key) {
  retired.push_back(serial);
  const auto of_its_job = unfinished.find(key);
  of_its_job->second.erase(serial);
  if (of_its_job->second.empty()) unfinished.erase(of_its_job);
}

void Executions::State::erase_retired() {
  for (const Serial serial : std::exchange(retired, {})) {
    by_name.erase(entries.at(serial).run.execution().name);
    touched.erase(serial);
    entries.erase(serial);
  }
}

void Executions::State::wake_due(TimePoint now) {
  for (auto it = timers.begin(); it != timers.end() && it->first <= now; ++it)
    touched.insert(it->second);
}

// --- schedules ----------------------------------------------------------------------------------

void Executions::State::plan(Job& job, TimePoint after) {
  unplan(job);
  if (halted || job.job.cron.empty() || job.job.options.suspended) return;
  const auto cron = Cron::parse(job.job.cron);
  if (cron) job.next_run = cron->next(after, TimeZone());
  if (job.next_run) schedules.emplace(*job.next_run, job.job.key);
}

void Executions::State::unplan(Job& job) {
  if (job.next_run) schedules.erase({*job.next_run, job.job.key});
  job.next_run.reset();
}

// However many runs were missed, it is one.
void Executions::State::run_schedules(TimePoint now) {
  while (!schedules.empty() && schedules.begin()->first <= now) {
    Job& job = jobs.at(schedules.begin()->second);
    plan(job, now);
    const auto& present = of_job(job.job.key);
    const auto scheduled = std::count_if(present.begin(), present.end(), [&](Serial serial) {
      return entries.at(serial).run.execution().by.type == kScheduled;
    });
    const auto limit = job.job.options.pending_limit;
    if (limit && scheduled >= *limit) continue;
    const std::string by(kScheduled);
    StartRequest request{.by = {.name = by, .type = by}};
    if (job.schedule_reserves > 0) {
      request.rule = 0;
      request.semantics = Semantics::Bound;
      request.reserves = job.schedule_reserves;
    }
    add(made(job, std::move(request), now));
  }
}

Execution Executions::State::made(const Job& job, StartRequest request, TimePoint now) {
  Execution execution;
  do execution.name = job.job.key.name + "-" + suffix(kExecutionSuffix);
  while (by_name.contains(execution.name));
  execution.job = job.job.key;
  execution.by = std::move(request.by);
  execution.semantics = request.semantics;
  execution.rule = request.rule;
  execution.reserves = request.reserves;
  execution.started = job.job;
  execution.started.document = Node();
  execution.started.secrets.clear();
  if (request.pod) execution.started.pod = *std::move(request.pod);
  execution.created = now;
  return execution;
}

// --- jobs ---------------------------------------------------------------------------------------

Executions::Executions(std::uint64_t seed) : state_(std::make_unique<State>(seed)) {}
Executions::~Executions() = default;

void Executions::put(ContainerJob job, TimePoint now) {
  state_->note(now);
  const JobKey key = job.key;
  State::Job& entry = state_->jobs[key];
  const ContainerJob before = std::exchange(entry.job, std::move(job));
  for (std::size_t i = 0; i < before.rules.size(); ++i)
    if (i >= entry.job.rules.size() || !same_source(before.rules[i], entry.job.rules[i]))
      state_->reservations.forget_ready({key, name_of(before.rules[i], i)});
  const bool same_times =
      before.cron == entry.job.cron && before.options.suspended == entry.job.options.suspended;
  if (!same_times || !entry.next_run) state_->plan(entry, now);
}

void Executions::remove(const JobKey& key, TimePoint now) {
  state_->note(now);
  const auto found = state_->jobs.find(key);
  if (found == state_->jobs.end()) return;
  const ContainerJob& job = found->second.job;
  for (std::size_t i = 0; i < job.rules.size(); ++i)
    state_->reservations.forget_ready({key, name_of(job.rules[i], i)});
  state_->unplan(found->second);
  state_->jobs.erase(found);
  for (const State::Serial serial : state_->of_job(key)) {
    state_->entries.at(serial).run.stop("the job was deleted");
    state_->touch(serial);
  }
}

void Executions::bind_schedule(const JobKey& key, int reserves) {
  const auto found = state_->jobs.find(key);
  if (found != state_->jobs.end()) found->second.schedule_reserves = reserves;
}

const ContainerJob* Executions::job(const JobKey& key) const {
  const State::Job* found = state_->find_job(key);
  return found ? &found->job : nullptr;
}

std::vector<const ContainerJob*> Executions::jobs() const {
  std::vector<const ContainerJob*> all;
  for (const auto& [key, job] : state_->jobs) all.push_back(&job.job);
  return all;
}

Executions::Counts Executions::counts(const JobKey& key) const {
  Counts counts;
  for (const State::Serial serial : state_->of_job(key)) {
    ++counts.unfinished;
    if (!state_->entries.at(serial).run.execution().began) ++counts.pending;
  }
  return counts;
}

Executions::Reservation Executions::reservation(const JobKey& key, int rule) const {
  const State::Job* found = state_->find_job(key);
  const auto named = found ? rule_of(found->job, rule) : std::nullopt;
  if (!named) return {};
  const Reservations::Sum sum = state_->reservations.of(*named);
  return {sum.share.reserved, sum.share.taken, sum.ready.value_or(0)};
}

void Executions::restore(Execution execution, const std::vector<TakenMessage>& settled,
                         TimePoint now) {
  state_->note(now);
  const bool known = state_->find_job(execution.job) != nullptr;
  const State::Serial serial = state_->add(std::move(execution));
  Run& run = state_->entries.at(serial).run;
  run.restore(settled, now);
  if (!known) run.stop("the job was deleted");
  state_->touch(serial);
}

void Executions::catch_up(const JobKey& key, TimePoint since, TimePoint now) {
  state_->note(now);
  const auto found = state_->jobs.find(key);
  if (found != state_->jobs.end()) state_->plan(found->second, since);
}

// --- wishes -------------------------------------------------------------------------------------

Result<std::string> Executions::start(const JobKey& key, StartRequest request, TimePoint now) {
  state_->note(now);
  const State::Job* job = state_->find_job(key);
  if (!job) return fail(Code::NotFound, "no such job: " + key.name);
  if (state_->halted) return fail(Code::Unavailable, "the server is stopping");
  const State::Serial serial = state_->add(state_->made(*job, std::move(request), now));
  return state_->entries.at(serial).run.execution().name;
}

Status Executions::stop(const JobKey& key, std::string_view execution, TimePoint now) {
  state_->note(now);
  const auto serial = state_->serial_of(execution);
  if (!state_->find_job(key)) return fail(Code::NotFound, "no such job: " + key.name);
  if (!serial || !state_->of_job(key).contains(*serial))
    return fail(Code::NotFound, "no such unfinished execution of the job " + key.name + ": " +
                                    std::string(execution));
  state_->entries.at(*serial).run.stop("stopped on request");
  state_->touch(*serial);
  return {};
}

std::vector<std::string> Executions::stop_all(const JobKey& key, TimePoint now) {
  state_->note(now);
  std::vector<std::string> names;
  for (const State::Serial serial : state_->of_job(key)) {
    State::Entry& entry = state_->entries.at(serial);
    entry.run.stop("stopped on request");
    state_->touch(serial);
    names.push_back(entry.run.execution().name);
  }
  return names;
}

void Executions::hurry(const JobKey& key, TimePoint now) {
  state_->note(now);
  for (const State::Serial serial : state_->of_job(key)) {
    state_->entries.at(serial).run.hurry(now);
    state_->touch(serial);
  }
}

void Executions::shut_down(TimePoint now) {
  state_->note(now);
  state_->halted = true;
  for (auto& [key, job] : state_->jobs) state_->unplan(job);
  for (const auto& [key, serials] : state_->unfinished)
    for (const State::Serial serial : serials) {
      state_->entries.at(serial).run.halt();
      state_->touched.insert(serial);
    }
}

bool Executions::idle() const {
  return std::all_of(state_->entries.begin(), state_->entries.end(),
                     [](const auto& entry) { return entry.second.run.all_quiet(); });
}

// --- what happened ------------------------------------------------------------------------------

void Executions::started(std::string_view replica, ProcessMark mark, TimePoint now) {
  state_->tell(replica, now, [&](Run& run) { run.started(replica, std::move(mark), now); });
}

void Executions::start_failed(std::string_view replica, std::string reason, bool later,
                              TimePoint now) {
  state_->tell(replica, now,
               [&](Run& run) { run.start_failed(replica, std::move(reason), later, now); });
}

void Executions::identified(std::string_view replica, TimePoint now) {
  state_->tell(replica, now, [&](Run& run) { run.identified(replica, now); });
}

void Executions::wrote(std::string_view replica, TimePoint now) {
  const auto serial = state_->serial_of_replica(replica);
  if (serial) state_->entries.at(*serial).run.wrote(replica, now);
}

void Executions::used(std::string_view replica, std::optional<Duration> cpu, TimePoint now) {
  state_->tell(replica, now, [&](Run& run) { run.used(replica, cpu, now); });
}

void Executions::ending(std::string_view replica, TimePoint now) {
  state_->tell(replica, now, [&](Run& run) { run.ending(replica); });
}

void Executions::ended(std::string_view replica, ReplicaEnd end, TimePoint now) {
  state_->tell(replica, now, [&](Run& run) { run.ended(replica, std::move(end), now); });
}

void Executions::took(TakenMessage message, TimePoint now) {
  const std::string replica = message.replica;
  state_->tell(replica, now, [&](Run& run) { run.took(std::move(message)); });
}

void Executions::settled(std::string_view replica, std::string_view entity, std::int64_t sequence,
                         std::string_view outcome, std::string_view reason, TimePoint now) {
  state_->tell(replica, now,
               [&](Run& run) { run.settled(replica, entity, sequence, outcome, reason, now); });
}

void Executions::set_ready(const JobKey& key, int rule, std::int64_t ready, TimePoint now) {
  state_->note(now);
  const State::Job* job = state_->find_job(key);
  const auto named = job ? rule_of(job->job, rule) : std::nullopt;
  if (named) state_->reservations.set_ready(*named, ready);
}

// --- time ---------------------------------------------------------------------------------------

Executions::Actions Executions::tick(TimePoint now) {
  Actions actions;
  state_->note(now);
  state_->erase_retired();
  state_->run_schedules(now);
  state_->wake_due(now);
  for (const State::Serial serial : std::exchange(state_->touched, {}))
    state_->step(serial, now, actions);
  const auto changed = std::exchange(state_->changed_jobs, {});
  actions.jobs.assign(changed.begin(), changed.end());
  return actions;
}

std::optional<TimePoint> Executions::next() const {
  std::optional<TimePoint> next;
  if (!state_->touched.empty()) next = state_->latest;
  if (!state_->timers.empty()) next = earlier(next, state_->timers.begin()->first);
  if (!state_->schedules.empty()) next = earlier(next, state_->schedules.begin()->first);
  return next;
}

const Execution* Executions::find(std::string_view execution) const {
  const auto serial = state_->serial_of(execution);
  return serial ? &state_->entries.at(*serial).run.execution() : nullptr;
}

const Execution* Executions::of_replica(std::string_view replica) const {
  const auto serial = state_->serial_of_replica(replica);
  return serial ? &state_->entries.at(*serial).run.execution() : nullptr;
}

std::vector<const Execution*> Executions::unfinished(const JobKey& key) const {
  std::vector<const Execution*> all;
  for (const State::Serial serial : state_->of_job(key))
    all.push_back(&state_->entries.at(serial).run.execution());
  return all;
}

std::string Executions::likely_taker(const JobKey& key, int rule) const {
  const State::Job* job = state_->find_job(key);
  const auto named = job ? rule_of(job->job, rule) : std::nullopt;
  const Replica* oldest = nullptr;
  for (const State::Serial serial : state_->of_job(key)) {
    const State::Entry& entry = state_->entries.at(serial);
    const Execution& execution = entry.run.execution();
    if (rule_of(execution.started, execution.rule) != named) continue;
    const Replica* idle = entry.run.idle_replica();
    if (idle && (!oldest || *idle->started < *oldest->started)) oldest = idle;
  }
  return oldest ? oldest->name : std::string();
}

}  // namespace jobmill::executions
