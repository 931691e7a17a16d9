// SPDX-License-Identifier: Apache-2.0
#include "targets/process/process_runner.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "targets/process/hosts_file.h"

namespace jobmill::targets {

using executions::ProcessMark;
using executions::ReplicaEnd;
using executions::RunContainer;
using executions::RunReplica;

namespace {

constexpr Duration kStragglerLimit = std::chrono::seconds(1);
constexpr char kHosts[] = "/etc/hosts";

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
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

ReplicaEnd end_of(const ProcessExit& exit) {
  return {
      .exit_code = exit.exit_code, .signal = exit.signal, .peak_rss_bytes = exit.peak_rss_bytes};
}

}  // namespace

// A process that leads a session. What has left its group, as the jobs of a shell do, is told to
// end with it, and none of them outlives it.
class ProcessRunner::Child final : public Container {
 public:
  Child(Process process, std::string cgroup)
      : process_(std::move(process)),
        cgroup_(std::move(cgroup)),
        first_(listed_process(process_.pid()).value_or(ListedProcess{.pid = process_.pid()})) {}
  ~Child() override { end_session(); }

  Process& process() override { return process_; }
  bool runs() const override { return true; }
  ProcessMark mark() const override {
    return {.pid = first_.pid, .start_ticks = first_.start_ticks, .cgroup = cgroup_};
  }
  void signal(int number) override {
    const pid_t leader = process_.pid();
    for (const ListedProcess& member : session_members(leader)) {
      if (member.group != leader) ::kill(member.pid, number);
    }
    process_.signal(number);
  }
  Result<ReplicaEnd> reap() override {
    end_session();
    return end_of(process_.reap());
  }

 private:
  // While its number is still taken, what is left of the session can be told from strangers.
  void end_session() const {
    if (const pid_t leader = process_.pid(); leader > 0)
      end_processes([&] { return session_members(leader); }, kStragglerLimit);
  }

  Process process_;
  const std::string cgroup_;
  const ListedProcess first_;
};

ProcessRunner::ProcessRunner(Events events, World world, Cgroups& cgroups)
    : ReplicaRunner(std::move(events), std::move(world)), cgroups_(cgroups) {}

ProcessRunner::~ProcessRunner() { end_all(); }

void ProcessRunner::prepare(const RunReplica& replica, std::function<void(Status)> done) {
  Common& common = common_[replica.replica];
  const std::string work = folder_of(replica.replica) + "/work";
  std::error_code error;
  std::filesystem::create_directories(work, error);
  if (error)
    return done(fail(Code::Internal,
                     fmt::format("StartError: cannot make {} ({})", work, error.message())));
  limit(replica, common);
  done(write_hosts(replica, common));
}

// A machine without cgroups to give runs the replica without limits, and says so once.
void ProcessRunner::limit(const RunReplica& replica, Common& common) {
  const manifest::Limits limits{.cpu_milli = sum(replica, &RunContainer::cpu_milli),
                                .memory_bytes = sum(replica, &RunContainer::memory_bytes)};
  auto cgroup = cgroups_.create(replica.replica, limits);
  if (cgroup) {
    common.cgroup.emplace(*std::move(cgroup));
  } else if (wants_limits(replica) && !std::exchange(said_unlimited_, true)) {
    world().log.warn("resources are not limited on this machine",
                     {{"job", replica.job}, {"reason", cgroup.error().message}});
  }
}

Status ProcessRunner::write_hosts(const RunReplica& replica, Common& common) const {
  const auto& names = replica.local_names;
  const std::string hosts = read_file(kHosts);
  if (std::ranges::all_of(names, [&](const auto& name) { return leads_here(hosts, name); })) {
    return {};
  }
  common.hosts_file = folder_of(replica.replica) + "/hosts";
  std::ofstream file(common.hosts_file);
  file << with_local_names(hosts, names);
  file.close();
  if (file) return {};
  return fail(Code::Internal, "StartError: cannot write " + common.hosts_file);
}

Result<std::unique_ptr<ReplicaRunner::Container>> ProcessRunner::launch(
    const RunReplica& replica, const RunContainer& container) {
  Common& common = common_[replica.replica];
  ProcessSpec spec{.command = container.command,
                   .environment = container.environment,
                   .working_directory = container.workdir,
                   .cgroup_procs = common.cgroup ? common.cgroup->procs() : -1};
  if (spec.working_directory.empty()) spec.working_directory = folder_of(replica.replica) + "/work";
  TRY(Process process, start_process(replica, std::move(spec), common));
  return std::make_unique<Child>(std::move(process),
                                 common.cgroup ? common.cgroup->path() : std::string());
}

Result<Process> ProcessRunner::start_process(const RunReplica& replica, ProcessSpec spec,
                                             Common& common) {
  spec.hosts_file = common.hosts_file;
  auto process = Process::start(spec);
  if (!process && process.error().code == Code::Unsupported) {
    const auto& names = replica.local_names;
    if (!std::ranges::all_of(names, resolves_here)) {
      return fail(
          Code::Unsupported,
          fmt::format("NameNotResolvable: not every one of {} leads to this machine, and {}; "
                      "run: sudo jobmill hosts apply",
                      fmt::join(names, ", "), process.error().message));
    }
    common.hosts_file.clear();
    spec.hosts_file.clear();
    process = Process::start(spec);
  }
  if (!process) return fail(process.error().code, "StartError: " + process.error().message);
  return process;
}

void ProcessRunner::complete(const RunReplica& replica, ReplicaEnd& end) {
  const Common& common = common_[replica.replica];
  const bool failed = end.exit_code != 0 || end.signal != 0;
  end.out_of_memory = failed && common.cgroup && common.cgroup->out_of_memory();
}

void ProcessRunner::forget(const std::string& replica) { common_.erase(replica); }

// A cgroup knows its own. Without one, whoever left his session is known by the environment that
// he was started with.
std::vector<ListedProcess> ProcessRunner::processes_of(const std::string& replica,
                                                       std::int64_t since_ticks) const {
  const auto found = common_.find(replica);
  if (found != common_.end() && found->second.cgroup)
    return cgroup_members(found->second.cgroup->path());
  return ReplicaRunner::processes_of(replica, since_ticks);
}

}  // namespace jobmill::targets
