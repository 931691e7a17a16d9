// SPDX-License-Identifier: Apache-2.0
#include "targets/process/process_target.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <random>
#include <set>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "manifest/environment.h"
#include "targets/process/child_environment.h"

namespace jobmill::targets {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLogsOfTheGone = 50;  // files kept of replicas that are no more
constexpr LogFile::Limits kLogLimits{};

std::uint64_t seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

}  // namespace

ProcessTarget::ProcessTarget(ProcessDefinition definition, World world)
    : definition_(std::move(definition)),
      world_(std::move(world)),
      inherited_(inherited_environment()),
      set_(definition_.deployment.key.name, rules(), seed()) {}

ProcessTarget::~ProcessTarget() = default;

ReplicaRules ProcessTarget::rules() const {
  const auto& probe = definition_.deployment.main().readiness;
  const bool by_port = probe && probe->kind != manifest::Probe::Kind::Exec;
  ReplicaRules rules;
  rules.grace = definition_.deployment.grace;
  rules.drain_limit = world_.drain_limit;
  rules.exclusive = by_port && definition_.alone;
  rules.ready_when = !probe                          ? ReadyWhen::Running
                     : by_port && !definition_.alone ? ReadyWhen::Registered
                                                     : ReadyWhen::Probed;
  return rules;
}

void ProcessTarget::define(ProcessDefinition definition) {
  const bool restart = definition.revision != definition_.revision;
  definition_ = std::move(definition);
  set_.configure(rules(), restart, world_.hooks.now());
  for (auto& [replica, running] : running_) watch_readiness(replica, running);
  work();
}

void ProcessTarget::scale_to(int replicas) {
  if (replicas == set_.wanted()) return;
  world_.log.info(
      "replicas wanted",
      {{"deployment", definition_.deployment.key.name}, {"from", set_.wanted()}, {"to", replicas}});
  set_.want(replicas, world_.hooks.now());
  work();
}

void ProcessTarget::workers_changed(std::uint64_t read, const std::vector<LeaseView>& workers) {
  set_.leases(read, workers, world_.hooks.now());
  work();
}

void ProcessTarget::shutdown(Duration grace) {
  set_.shutdown(grace, world_.hooks.now());
  work();
}

bool ProcessTarget::owns(std::string_view replica) const { return known_.count(replica) > 0; }

// --- carrying out ------------------------------------------------------------------------------

// Actions may call back into us (a store that answers at once); such calls only leave their events
// with the set, and the outer loop goes on.
void ProcessTarget::work() {
  if (working_) return;
  working_ = true;
  for (auto actions = set_.take_actions(); !actions.empty(); actions = set_.take_actions()) {
    for (const Action& action : actions) perform(action);
  }
  working_ = false;
  forget_gone();
  arm();
  tell_changes();
}

void ProcessTarget::tell_changes() {
  const auto same = [](const scale::Replica& a, const scale::Replica& b) {
    return a.name == b.name && a.phase == b.phase && a.pid == b.pid;
  };
  auto replicas = set_.replicas();
  if (std::ranges::equal(replicas, told_, same)) return;
  told_ = std::move(replicas);
  world_.hooks.changed();
}

void ProcessTarget::perform(const Action& action) {
  switch (action.kind) {
    case Action::Kind::Start:
      return start(action.replica);
    case Action::Kind::Quiet:
    case Action::Kind::Unquiet:
      return set_mark(action);
    case Action::Kind::Term:
      return signal(action, SIGTERM);
    case Action::Kind::Kill:
      return signal(action, SIGKILL);
    case Action::Kind::ReadLeases:
      return world_.hooks.read_workers();
    case Action::Kind::Died:
      return world_.hooks.worker_died(action.worker_id, action.exit, action.ordered);
  }
}

void ProcessTarget::start(const std::string& replica) {
  const TimePoint now = world_.hooks.now();
  known_.try_emplace(replica, Known{.created = now});
  auto launched = launch(replica);
  if (!launched) {
    world_.log.error("replica does not start",
                     {{"replica", replica}, {"reason", launched.error().message}});
    return set_.start_failed(replica, launched.error().message, now);
  }
  const pid_t pid = launched->process.pid();
  world_.log.info("replica starts", {{"replica", replica}, {"pid", pid}});
  known_[replica].started_once = true;
  Running& running = running_.emplace(replica, *std::move(launched)).first->second;
  set_.started(replica, pid, now);
  watch_readiness(replica, running);
}

Result<ProcessTarget::Running> ProcessTarget::launch(const std::string& replica) {
  TRY(auto spec, spec_for(replica));
  TRY(auto cgroup, limit(replica));
  TRY(auto log, open_log(replica));
  if (cgroup) spec.cgroup_procs = cgroup->procs();
  TRY(auto process, Process::start(spec));
  spec.cgroup_procs = -1;  // probes are ours, not the replica's
  const pid_t pid = process.pid();
  TRY_VOID(world_.watcher.watch(
      process, std::make_unique<LogFile>(std::move(log)),
      [this, replica, pid, alive = std::weak_ptr(alive_)](const std::string& last_errors) {
        if (!alive.expired()) ended(replica, pid, last_errors);
      }));
  return Running{std::move(cgroup), std::move(process), std::move(spec)};
}

Result<ProcessSpec> ProcessTarget::spec_for(const std::string& replica) const {
  const auto& deployment = definition_.deployment;
  const Texts fields{{"metadata.name", replica}, {"metadata.namespace", deployment.key.ns}};
  Texts provided = world_.hooks.environment(replica);
  provided["JOBMILL_REPLICA"] = replica;
  TRY(const Texts declared,
      manifest::resolve_environment(world_.catalog, deployment, "", fields, provided));

  ProcessSpec spec{.command = {},
                   .environment = child_environment(inherited_, provided, declared),
                   .working_directory = definition_.working_directory};
  for (const std::string& word : definition_.command) {
    spec.command.push_back(manifest::expand_variables(word, declared, provided));
  }
  return spec;
}

// A machine without cgroups to give runs the replica without limits, and says so once.
Result<std::optional<Cgroup>> ProcessTarget::limit(const std::string& replica) {
  const manifest::Limits& limits = definition_.deployment.main().limits;
  if (!limits.cpu_milli && !limits.memory_bytes) return std::optional<Cgroup>();
  auto cgroup = world_.cgroups.create(replica, limits);
  if (cgroup) return std::optional<Cgroup>(*std::move(cgroup));
  if (!std::exchange(said_unlimited_, true)) {
    world_.log.warn(
        "resources are not limited on this machine",
        {{"deployment", definition_.deployment.key.name}, {"reason", cgroup.error().message}});
  }
  return std::optional<Cgroup>();
}

std::string ProcessTarget::log_folder() const {
  const manifest::ObjectKey& key = definition_.deployment.key;
  if (key.ns == manifest::kDefaultNamespace) {
    return fmt::format("{}/{}", world_.log_folder, key.name);
  }
  return fmt::format("{}/{}/{}", world_.log_folder, key.ns, key.name);
}

Result<LogFile> ProcessTarget::open_log(const std::string& replica) const {
  const fs::path folder = log_folder();
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    return fail(Code::Internal,
                fmt::format("cannot make {} ({})", folder.string(), error.message()));
  }
  return LogFile::open((folder / (replica + ".log")).string(), kLogLimits);
}

// Also when it runs already: a ScaledObject that goes leaves a port that can be probed.
void ProcessTarget::watch_readiness(const std::string& replica, Running& running) {
  if (rules().ready_when != ReadyWhen::Probed || running.readiness) return;
  const auto& container = definition_.deployment.main();
  const auto port = manifest::port_number(container.readiness->port, container);
  running.readiness = std::make_unique<Readiness>(
      Readiness::Check{*container.readiness, port.value_or(0), running.spec}, world_.watcher,
      world_.hooks.run_after, [this, replica](bool ready) {
        set_.ready(replica, ready, world_.hooks.now());
        work();
      });
}

void ProcessTarget::set_mark(const Action& action) {
  const bool quiet = action.kind == Action::Kind::Quiet;
  world_.log.info(quiet ? "replica drains" : "replica goes back to work",
                  {{"replica", action.replica}, {"worker", action.worker_id}});
  world_.hooks.set_worker_state(
      action.worker_id, quiet,
      [this, id = action.worker_id, alive = std::weak_ptr(alive_)](Status outcome) {
        if (alive.expired()) return;
        set_.marked(id, outcome, world_.hooks.now());
        work();
      });
}

void ProcessTarget::signal(const Action& action, int number) {
  const auto running = running_.find(action.replica);
  if (running == running_.end()) return;  // it ended by itself, and the notice is on its way
  const LogLevel level = action.interrupts ? LogLevel::Warn : LogLevel::Info;
  world_.log.write(level, number == SIGTERM ? "replica gets TERM" : "replica gets KILL",
                   {{"replica", action.replica},
                    {"reason", action.reason},
                    {"interrupts_work", action.interrupts}});
  running->second.process.signal(number);
}

void ProcessTarget::ended(const std::string& replica, pid_t pid, const std::string& last_errors) {
  const auto running = running_.find(replica);
  if (running == running_.end() || running->second.process.pid() != pid) return;
  ProcessExit exit = running->second.process.reap();
  const auto& cgroup = running->second.cgroup;
  exit.out_of_memory = cgroup && cgroup->out_of_memory();
  exit.detail = last_errors;
  running_.erase(running);
  world_.log.info(
      "replica ended",
      {{"replica", replica}, {"how", describe(exit)}, {"peak_rss_mib", exit.peak_rss_bytes >> 20}});
  set_.exited(replica, exit, world_.hooks.now());
  work();
}

// Tells the server of replicas that are no more.
void ProcessTarget::forget_gone() {
  std::set<std::string, std::less<>> existing;
  for (const scale::Replica& replica : set_.replicas()) existing.insert(replica.name);
  std::vector<std::string> gone;
  for (const auto& [name, known] : known_) {
    if (existing.count(name) == 0) gone.push_back(name);
  }
  for (const std::string& name : gone) {
    known_.erase(name);
    world_.hooks.replica_gone(name);
  }
  if (!gone.empty()) prune_logs();
}

// Logs outlive their replicas, but not without end: the oldest ones go.
void ProcessTarget::prune_logs() const {
  std::vector<std::pair<fs::file_time_type, fs::path>> files;
  std::error_code error;  // what cannot be listed or deleted is tried again next time
  for (const auto& entry : fs::directory_iterator(log_folder(), error)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_regular_file(error)) continue;
    if (known_.count(name.substr(0, name.find(".log"))) > 0) continue;
    files.emplace_back(entry.last_write_time(error), entry.path());
  }
  if (files.size() <= kLogsOfTheGone) return;
  std::ranges::sort(files);
  files.resize(files.size() - kLogsOfTheGone);
  for (const auto& [time, path] : files) fs::remove(path, error);
}

// One timer for the earliest instant; a later one that is still set does no harm.
void ProcessTarget::arm() {
  const auto next = set_.next();
  if (!next || (armed_ && *armed_ <= *next)) return;
  armed_ = next;
  const Duration delay = std::max(Duration(0), *next - world_.hooks.now());
  world_.hooks.run_after(delay, [this, at = *next, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    if (armed_ == at) armed_.reset();
    set_.tick(world_.hooks.now());
    work();
  });
}

// --- as it is ----------------------------------------------------------------------------------

std::vector<Pod> ProcessTarget::pods() const {
  std::vector<Pod> list;
  for (const scale::Replica& replica : set_.replicas()) {
    const auto known = known_.find(replica.name);
    list.push_back({.name = replica.name,
                    .ready = replica.phase == scale::ReplicaPhase::Ready,
                    .status = pod_status(replica),
                    .restarts = replica.restarts,
                    .created = known == known_.end() ? TimePoint{} : known->second.created,
                    .detail = replica.detail});
  }
  return list;
}

std::string ProcessTarget::pod_status(const scale::Replica& replica) const {
  if (replica.phase == scale::ReplicaPhase::Draining) return "Terminating";
  if (!set_.waits(replica.name)) return "Running";
  const auto known = known_.find(replica.name);
  if (known == known_.end()) return "Pending";
  return known->second.started_once ? "CrashLoopBackOff" : "RunContainerError";
}

}  // namespace jobmill::targets
