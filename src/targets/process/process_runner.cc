// SPDX-License-Identifier: Apache-2.0
#include "targets/process/process_runner.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/utf8.h"
#include "targets/process/hosts_file.h"
#include "targets/process/process_table.h"

namespace jobmill::targets {

using executions::ProcessMark;
using executions::ReplicaEnd;
using executions::RunContainer;
using executions::RunReplica;

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDetailBytes = 2000;  // of stderr, in texts for people
constexpr Duration kSweepLimit = std::chrono::seconds(5);
constexpr Duration kStragglerLimit = std::chrono::seconds(1);
constexpr int kNotStarted = 127;  // what a shell answers
constexpr std::string_view kReplicaVariable = "JOBMILL_REPLICA";
constexpr char kHosts[] = "/etc/hosts";

Status make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) return {};
  return fail(Code::Internal, fmt::format("cannot make {} ({})", folder.string(), error.message()));
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The bytes of the character at the beginning of the text; 0: it is none.
std::size_t character_at(std::string_view text) {
  for (std::size_t size = 1; size <= std::min<std::size_t>(4, text.size()); ++size) {
    if (is_utf8(text.substr(0, size))) return size;
  }
  return 0;
}

// Programs write what they like; documents hold text.
std::string as_text(std::string_view bytes) {
  if (is_utf8(bytes)) return std::string(bytes);
  std::string text;
  while (!bytes.empty()) {
    const std::size_t size = character_at(bytes);
    text += size == 0 ? "?" : bytes.substr(0, size);
    bytes.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return text;
}

std::string detail_of(const Masks& masks, std::string errors) {
  masks.apply(errors);
  std::string_view last = errors;
  if (last.size() > kDetailBytes) last.remove_prefix(last.size() - kDetailBytes);
  return as_text(last);
}

// What several containers at once may use. One without a limit leaves them all without.
std::optional<std::int64_t> sum(const RunReplica& replica,
                                std::optional<std::int64_t> RunContainer::*limit) {
  auto total = replica.main.*limit;
  for (const RunContainer& beside : replica.beside) {
    if (!total || !(beside.*limit)) return {};
    *total += *(beside.*limit);
  }
  return total;
}

bool wants_limits(const RunReplica& replica) {
  const auto limited = [](const RunContainer& container) {
    return container.cpu_milli || container.memory_bytes;
  };
  return limited(replica.main) || std::ranges::any_of(replica.beside, limited);
}

ReplicaEnd end_of(const ProcessExit& exit, std::string detail) {
  return {.exit_code = exit.exit_code,
          .signal = exit.signal,
          .peak_rss_bytes = exit.peak_rss_bytes,
          .detail = std::move(detail)};
}

bool succeeded(const ReplicaEnd& end) { return end.exit_code == 0 && end.signal == 0; }

ListedProcess just_started(pid_t pid) {
  return listed_process(pid).value_or(ListedProcess{.pid = pid});
}

}  // namespace

ProcessRunner::ProcessRunner(Events events, World world)
    : events_(std::move(events)), world_(std::move(world)) {
  end_strays();
}

ProcessRunner::~ProcessRunner() {
  while (!running_.empty()) remove(running_.begin()->second);
}

std::string ProcessRunner::folder_of(std::string_view replica) const {
  return fmt::format("{}/{}", world_.folder, replica);
}

void ProcessRunner::post(std::function<void()> event) {
  world_.post([event = std::move(event), alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) event();
  });
}

// --- starting ----------------------------------------------------------------------------------

void ProcessRunner::start(RunReplica replica) {
  const std::string name = replica.replica;
  Masks masks(replica.masked);
  const auto [found, inserted] =
      running_.emplace(name, Running{.replica = std::move(replica), .masks = std::move(masks)});
  if (!inserted) return;  // the same replica twice is one replica
  Running& running = found->second;
  Status status = prepare(running);
  if (status) status = advance(running);
  if (!status) return could_not_start(running, status.error().message);
  tell_started(running);
}

Status ProcessRunner::prepare(Running& running) {
  const std::string folder = folder_of(running.replica.replica);
  Status status = make_folder(folder + "/work");
  if (status) status = open_log(running);
  if (!status) return fail(status.error().code, "StartError: " + status.error().message);
  ::chmod(folder.c_str(), S_IRWXU);
  limit(running);
  return write_hosts(running);
}

Status ProcessRunner::open_log(Running& running) {
  const RunReplica& replica = running.replica;
  TRY_VOID(make_folder(fs::path(replica.log).parent_path()));
  ReplicaLog::Options options{.now = world_.now, .masked = replica.masked};
  if (world_.on_written) {
    options.on_written = [tell = world_.on_written, name = replica.replica] { tell(name); };
  }
  TRY(running.log, ReplicaLog::open(replica.log, std::move(options)));
  return {};
}

// A machine without cgroups to give runs the replica without limits, and says so once.
void ProcessRunner::limit(Running& running) {
  const RunReplica& replica = running.replica;
  const manifest::Limits limits{.cpu_milli = sum(replica, &RunContainer::cpu_milli),
                                .memory_bytes = sum(replica, &RunContainer::memory_bytes)};
  auto cgroup = world_.cgroups.create(replica.replica, limits);
  if (cgroup) {
    running.cgroup.emplace(*std::move(cgroup));
  } else if (wants_limits(replica) && !std::exchange(said_unlimited_, true)) {
    world_.log.warn("resources are not limited on this machine",
                    {{"job", replica.job}, {"reason", cgroup.error().message}});
  }
}

Status ProcessRunner::write_hosts(Running& running) {
  const auto& names = running.replica.local_names;
  const std::string hosts = read_file(kHosts);
  if (std::ranges::all_of(names, [&](const auto& name) { return leads_here(hosts, name); })) {
    return {};
  }
  running.hosts_file = folder_of(running.replica.replica) + "/hosts";
  std::ofstream file(running.hosts_file);
  file << with_local_names(hosts, names);
  file.close();
  if (file) return {};
  return fail(Code::Internal, "StartError: cannot write " + running.hosts_file);
}

// The next init container, or all that remain.
Status ProcessRunner::advance(Running& running) {
  const RunReplica& replica = running.replica;
  if (running.inits < replica.init.size()) {
    return launch(running, replica.init[running.inits], Role::Init);
  }
  for (const RunContainer& beside : replica.beside) {
    TRY_VOID(launch(running, beside, Role::Beside));
  }
  return launch(running, replica.main, Role::Main);
}

Status ProcessRunner::launch(Running& running, const RunContainer& container, Role role) {
  const std::string& replica = running.replica.replica;
  ProcessSpec spec{.command = container.command,
                   .environment = container.environment,
                   .working_directory = container.workdir,
                   .cgroup_procs = running.cgroup ? running.cgroup->procs() : -1};
  if (spec.working_directory.empty()) spec.working_directory = folder_of(replica) + "/work";
  TRY(auto process, start_process(running, std::move(spec)));

  auto sink = ReplicaLog::sink(running.log, role == Role::Main ? "" : container.name);
  const Status watched = world_.watcher.watch(
      process, std::move(sink),
      [this, replica, pid = process.pid(), alive = std::weak_ptr(alive_)](std::string errors) {
        if (!alive.expired()) ended(replica, pid, std::move(errors));
      });
  if (!watched) return fail(watched.error().code, "StartError: " + watched.error().message);
  if (running.since_ticks == 0) running.since_ticks = just_started(process.pid()).start_ticks;
  running.children.push_back({role, container.name, std::move(process)});
  return {};
}

Result<Process> ProcessRunner::start_process(Running& running, ProcessSpec spec) {
  spec.hosts_file = running.hosts_file;
  auto process = Process::start(spec);
  if (!process && process.error().code == Code::Unsupported) {
    const auto& names = running.replica.local_names;
    if (!std::ranges::all_of(names, resolves_here)) {
      return fail(
          Code::Unsupported,
          fmt::format("NameNotResolvable: not every one of {} leads to this machine, and {}; "
                      "run: sudo jobmill hosts apply",
                      fmt::join(names, ", "), process.error().message));
    }
    running.hosts_file.clear();
    spec.hosts_file.clear();
    process = Process::start(spec);
  }
  if (!process) return fail(process.error().code, "StartError: " + process.error().message);
  return process;
}

void ProcessRunner::tell_started(Running& running) {
  const ListedProcess first = just_started(running.children.back().process.pid());
  running.told = true;
  ProcessMark mark{.pid = first.pid, .start_ticks = first.start_ticks};
  if (running.cgroup) mark.cgroup = running.cgroup->path();
  world_.log.info("replica starts", {{"replica", running.replica.replica}, {"pid", first.pid}});
  post([this, name = running.replica.replica, mark] { events_.started(name, mark); });
}

// Of one that ran already, in its init containers, this is the end.
void ProcessRunner::could_not_start(Running& running, const std::string& reason) {
  const std::string replica = running.replica.replica;
  world_.log.error("replica does not start", {{"replica", replica}, {"reason", reason}});
  if (running.told) return conclude(running, {.exit_code = kNotStarted, .detail = reason});
  remove(running);
  post([this, replica, reason] { events_.start_failed(replica, reason); });
}

// --- ending ------------------------------------------------------------------------------------

void ProcessRunner::stop(std::string_view replica, bool kill) {
  const auto found = running_.find(replica);
  if (found == running_.end()) return;  // it ended by itself, and the notice is on its way
  world_.log.info(kill ? "replica gets KILL" : "replica gets TERM", {{"replica", replica}});
  found->second.stopping = true;
  signal(found->second, kill ? SIGKILL : SIGTERM);
}

std::optional<Duration> ProcessRunner::cpu_time(std::string_view replica) {
  const auto found = running_.find(replica);
  if (found == running_.end()) return {};
  Duration total{};
  for (const ListedProcess& process : processes_of(found->second))
    total += targets::cpu_time(process.pid).value_or(Duration());
  return total;
}

// Also to those of a session that have left its group, as the jobs of a shell do.
void ProcessRunner::signal(const Running& running, int number) const {
  for (const Child& child : running.children) {
    const pid_t leader = child.process.pid();
    for (const ListedProcess& member : session_members(leader)) {
      if (member.group != leader) ::kill(member.pid, number);
    }
    child.process.signal(number);
  }
}

void ProcessRunner::ended(const std::string& replica, pid_t pid, const std::string& last_errors) {
  const auto found = running_.find(replica);
  if (found == running_.end()) return;  // one that did not start as a whole
  Running& running = found->second;
  const auto child = std::ranges::find(running.children, pid,
                                       [](const Child& item) { return item.process.pid(); });
  if (child == running.children.end()) return;
  // Its number is still taken, so what is left of the session can be told from strangers.
  end_processes([&] { return session_members(pid); }, kStragglerLimit);
  const ProcessExit exit = child->process.reap();
  ReplicaEnd end = end_of(exit, detail_of(running.masks, last_errors));
  const Role role = child->role;
  const std::string container = child->container;
  running.children.erase(child);

  if (role == Role::Init) return init_ended(running, container, std::move(end));
  if (role == Role::Main) return conclude(running, std::move(end));
  world_.log.info("container ended",
                  {{"replica", replica}, {"container", container}, {"how", describe(exit)}});
  if (running.end && running.children.empty()) finish(running);
}

void ProcessRunner::init_ended(Running& running, const std::string& container, ReplicaEnd end) {
  if (!succeeded(end)) {
    end.detail = fmt::format("init container '{}' failed; {}", container, end.detail);
    return conclude(running, std::move(end));
  }
  if (running.stopping) {  // it made use of its grace, but the replica did not do its work
    end.signal = SIGTERM;
    return conclude(running, std::move(end));
  }
  ++running.inits;
  const Status status = advance(running);
  if (!status) could_not_start(running, status.error().message);
}

void ProcessRunner::conclude(Running& running, ReplicaEnd end) {
  running.end = std::move(end);
  if (running.children.empty()) return finish(running);
  signal(running, SIGTERM);
  world_.run_after(kBesideGrace,
                   [this, name = running.replica.replica, alive = std::weak_ptr(alive_)] {
                     if (alive.expired()) return;
                     const auto found = running_.find(name);
                     if (found != running_.end()) signal(found->second, SIGKILL);
                   });
}

void ProcessRunner::finish(Running& running) {
  const std::string name = running.replica.replica;
  ReplicaEnd end = *std::move(running.end);
  end.out_of_memory = !succeeded(end) && running.cgroup && running.cgroup->out_of_memory();
  world_.log.info("replica ended", {{"replica", name},
                                    {"exit_code", end.exit_code},
                                    {"signal", end.signal},
                                    {"out_of_memory", end.out_of_memory}});
  remove(running);
  post([this, name, end = std::move(end)] { events_.ended(name, end); });
}

// A cgroup knows its own. Without one, whoever left his session is known by the environment that
// he was started with; those that are older than the replica need not be looked at.
std::vector<ListedProcess> ProcessRunner::processes_of(const Running& running) const {
  if (running.cgroup) return cgroup_members(running.cgroup->path());
  auto list = listed_processes();
  std::erase_if(list, [&](const ListedProcess& process) {
    return process.start_ticks < running.since_ticks ||
           started_with(process.pid, kReplicaVariable) != running.replica.replica;
  });
  return list;
}

// With all that is left of it.
void ProcessRunner::remove(const Running& running) {
  const auto found = running_.find(running.replica.replica);
  const std::string folder = folder_of(found->first);
  for (const Child& child : running.children) {
    end_processes([&] { return session_members(child.process.pid()); }, kStragglerLimit);
  }
  found->second.children.clear();
  end_processes([&] { return processes_of(running); }, kStragglerLimit);
  running_.erase(found);
  std::error_code ignored;  // what cannot be deleted now is, by the next server
  fs::remove_all(folder, ignored);
}

// --- what an earlier server left ---------------------------------------------------------------

void ProcessRunner::sweep(const ProcessMark& mark) {
  const auto leader = static_cast<pid_t>(mark.pid);
  const bool ended = end_processes(
      [&] {
        auto left = leader > 0 ? session_members(leader) : std::vector<ListedProcess>();
        const auto first = listed_process(leader);
        // The number belongs to somebody else now, who may lead a session of that number; without
        // a leader it is the environment that tells ours.
        if (first && first->start_ticks != mark.start_ticks) left.clear();
        std::erase_if(left, [&](const ListedProcess& process) {
          return !first && !started_with(process.pid, kReplicaVariable);
        });
        if (!mark.cgroup.empty())
          std::ranges::copy(cgroup_members(mark.cgroup), std::back_inserter(left));
        return left;
      },
      kSweepLimit);
  if (!ended) world_.log.warn("processes of an earlier server still run", {{"pid", mark.pid}});
  if (!mark.cgroup.empty()) ::rmdir(mark.cgroup.c_str());
}

void ProcessRunner::end_strays() const {
  std::set<std::string> replicas;
  std::error_code error;  // no folder: nothing was left
  for (const auto& entry : fs::directory_iterator(world_.folder, error)) {
    replicas.insert(entry.path().filename().string());
  }
  if (replicas.empty()) return;
  const bool ended = end_processes(
      [&] {
        auto left = listed_processes();
        std::erase_if(left, [&](const ListedProcess& process) {
          const auto replica = started_with(process.pid, kReplicaVariable);
          return !replica || replicas.count(*replica) == 0;
        });
        return left;
      },
      kSweepLimit);
  if (!ended) world_.log.warn("processes of an earlier server still run");
  for (const std::string& replica : replicas) fs::remove_all(folder_of(replica), error);
}

std::vector<ReplicaLeader> ProcessRunner::leaders() const {
  std::vector<ReplicaLeader> list;
  for (const auto& [name, running] : running_) {
    for (const Child& child : running.children) list.push_back({name, child.process.pid()});
  }
  return list;
}

}  // namespace jobmill::targets
