// SPDX-License-Identifier: Apache-2.0
#include "targets/process/replica_runner.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <set>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/utf8.h"

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

Status make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) return {};
  return fail(Code::Internal, fmt::format("cannot make {} ({})", folder.string(), error.message()));
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

bool succeeded(const ReplicaEnd& end) { return end.exit_code == 0 && end.signal == 0; }

std::string describe(const ReplicaEnd& end) {
  return targets::describe(ProcessExit{.exit_code = end.exit_code, .signal = end.signal});
}

}  // namespace

ReplicaRunner::ReplicaRunner(Events events, World world)
    : events_(std::move(events)), world_(std::move(world)) {
  end_strays();
}

void ReplicaRunner::end_all() {
  while (!running_.empty()) remove(running_.begin()->second);
}

std::string ReplicaRunner::folder_of(std::string_view replica) const {
  return fmt::format("{}/{}", world_.folder, replica);
}

void ReplicaRunner::post(std::function<void()> event) {
  world_.post([event = std::move(event), alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) event();
  });
}

// --- starting ----------------------------------------------------------------------------------

void ReplicaRunner::start(RunReplica replica) {
  const std::string name = replica.replica;
  Masks masks(replica.masked);
  const auto [found, inserted] =
      running_.emplace(name, Running{.replica = std::move(replica), .masks = std::move(masks)});
  if (!inserted) return;  // the same replica twice is one replica
  Running& running = found->second;
  if (const Status status = open(running); !status)
    return could_not_start(running, "StartError: " + status.error().message);
  prepare(running.replica, [this, name](const Status& status) { prepared(name, status); });
}

// Its folder and its log.
Status ReplicaRunner::open(Running& running) {
  const RunReplica& replica = running.replica;
  const std::string folder = folder_of(replica.replica);
  TRY_VOID(make_folder(folder));
  ::chmod(folder.c_str(), S_IRWXU);
  TRY_VOID(make_folder(fs::path(replica.log).parent_path()));
  ReplicaLog::Options options{.now = world_.now, .masked = replica.masked};
  if (world_.on_written) {
    options.on_written = [tell = world_.on_written, name = replica.replica] { tell(name); };
  }
  TRY(running.log, ReplicaLog::open(replica.log, std::move(options)));
  return {};
}

void ReplicaRunner::prepared(const std::string& replica, const Status& status) {
  const auto found = running_.find(replica);
  if (found == running_.end()) return;
  Running& running = found->second;
  if (!status) return could_not_start(running, status.error().message);
  go_on(running);
}

void ReplicaRunner::go_on(Running& running) {
  if (running.stopped_by != 0) return conclude(running, {.signal = running.stopped_by});
  const std::string name = running.replica.replica;
  const Status status = launch_next(running);
  if (!status) return could_not_start(running, status.error().message);
  came_up(name);
}

// An init container; then those beside, and when they run, the main one.
Status ReplicaRunner::launch_next(Running& running) {
  const RunReplica& replica = running.replica;
  if (running.inits < replica.init.size())
    return launch_one(running, replica.init[running.inits], Role::Init);
  if (!replica.beside.empty() && !std::exchange(running.beside, true)) {
    for (const RunContainer& beside : replica.beside)
      TRY_VOID(launch_one(running, beside, Role::Beside));
    return {};
  }
  running.all = true;
  return launch_one(running, replica.main, Role::Main);
}

Status ReplicaRunner::launch_one(Running& running, const RunContainer& container, Role role) {
  const std::string& replica = running.replica.replica;
  TRY(auto launched, launch(running.replica, container));
  Process& process = launched->process();
  auto sink = ReplicaLog::sink(running.log, role == Role::Main ? "" : container.name);
  const Status watched = world_.watcher.watch(
      process, std::move(sink),
      [this, replica, pid = process.pid(), alive = std::weak_ptr(alive_)](std::string errors) {
        if (!alive.expired()) ended(replica, pid, errors);
      });
  if (!watched) return fail(watched.error().code, "StartError: " + watched.error().message);
  if (running.since_ticks == 0) {
    const auto first = listed_process(process.pid());
    running.since_ticks = first ? first->start_ticks : 0;
  }
  running.children.push_back({role, container.name, std::move(launched)});
  return {};
}

// All that were launched must run before more are, or it is said that the replica does.
void ReplicaRunner::came_up(const std::string& replica) {
  const auto found = running_.find(replica);
  if (found == running_.end()) return;
  Running& running = found->second;
  const bool up = std::ranges::all_of(running.children,
                                      [](const Child& child) { return child.container->runs(); });
  if (!up || running.end) return;
  const bool inits = running.inits < running.replica.init.size();
  if (!inits && !running.all) return go_on(running);
  if (!running.told && !running.children.empty()) tell_started(running);
}

void ReplicaRunner::tell_started(Running& running) {
  const ProcessMark mark = running.children.back().container->mark();
  running.told = true;
  world_.log.info("replica starts", {{"replica", running.replica.replica}, {"pid", mark.pid}});
  post([this, name = running.replica.replica, mark] { events_.started(name, mark); });
}

// Of one that ran already, in its init containers, this is the end.
void ReplicaRunner::could_not_start(Running& running, const std::string& reason) {
  const std::string replica = running.replica.replica;
  world_.log.error("replica does not start", {{"replica", replica}, {"reason", reason}});
  if (running.told) return conclude(running, {.exit_code = kNotStarted, .detail = reason});
  remove(running);
  post([this, replica, reason] { events_.start_failed(replica, reason); });
}

// --- ending ------------------------------------------------------------------------------------

void ReplicaRunner::stop(std::string_view replica, bool kill) {
  const auto found = running_.find(replica);
  if (found == running_.end()) return;  // it ended by itself, and the notice is on its way
  world_.log.info(kill ? "replica gets KILL" : "replica gets TERM", {{"replica", replica}});
  found->second.stopped_by = kill ? SIGKILL : SIGTERM;
  signal(found->second, found->second.stopped_by);
}

std::optional<Duration> ReplicaRunner::cpu_time(std::string_view replica) {
  const auto found = running_.find(replica);
  if (found == running_.end()) return {};
  Duration total{};
  for (const ListedProcess& process : processes_of(found->first, found->second.since_ticks))
    total += targets::cpu_time(process.pid).value_or(Duration());
  return total;
}

void ReplicaRunner::signal(const Running& running, int number) {
  for (const Child& child : running.children) child.container->signal(number);
}

void ReplicaRunner::ended(const std::string& replica, pid_t pid, const std::string& last_errors) {
  const auto found = running_.find(replica);
  if (found == running_.end()) return;  // one that did not start as a whole
  Running& running = found->second;
  const auto at = std::ranges::find(
      running.children, pid, [](const Child& item) { return item.container->process().pid(); });
  if (at == running.children.end()) return;
  const Child child = std::move(*at);
  running.children.erase(at);
  const std::string detail = detail_of(running.masks, last_errors);
  auto end = child.container->reap();
  if (!end && running.stopped_by != 0) end = ReplicaEnd{.signal = running.stopped_by};
  if (!end) {
    const std::string& reason = end.error().message;
    return could_not_start(running, detail.empty() ? reason : reason + ": " + detail);
  }
  end->detail = detail;
  child_ended(running, child, *std::move(end));
}

void ReplicaRunner::child_ended(Running& running, const Child& child, ReplicaEnd end) {
  if (child.role == Role::Init) return init_ended(running, child.name, std::move(end));
  if (child.role == Role::Main) return conclude(running, std::move(end));
  world_.log.info(
      "container ended",
      {{"replica", running.replica.replica}, {"container", child.name}, {"how", describe(end)}});
  if (!running.all && running.stopped_by != 0 && !running.end)
    return conclude(running, {.signal = running.stopped_by});
  if (running.end && running.children.empty()) finish(running);
}

void ReplicaRunner::init_ended(Running& running, const std::string& container, ReplicaEnd end) {
  if (!succeeded(end)) {
    end.detail = fmt::format("init container '{}' failed; {}", container, end.detail);
    return conclude(running, std::move(end));
  }
  if (running.stopped_by != 0) {  // it made use of its grace, but the replica did not do its work
    end.signal = SIGTERM;
    return conclude(running, std::move(end));
  }
  ++running.inits;
  go_on(running);
}

void ReplicaRunner::conclude(Running& running, ReplicaEnd end) {
  if (!running.end) running.end = std::move(end);
  if (running.children.empty()) return finish(running);
  signal(running, SIGTERM);
  world_.run_after(kBesideGrace,
                   [this, name = running.replica.replica, alive = std::weak_ptr(alive_)] {
                     if (alive.expired()) return;
                     const auto found = running_.find(name);
                     if (found != running_.end()) signal(found->second, SIGKILL);
                   });
}

void ReplicaRunner::finish(Running& running) {
  const std::string name = running.replica.replica;
  ReplicaEnd end = *std::move(running.end);
  complete(running.replica, end);
  world_.log.info("replica ended", {{"replica", name},
                                    {"exit_code", end.exit_code},
                                    {"signal", end.signal},
                                    {"out_of_memory", end.out_of_memory}});
  remove(running);
  post([this, name, end = std::move(end)] { events_.ended(name, end); });
}

std::vector<ListedProcess> ReplicaRunner::processes_of(const std::string& replica,
                                                       std::int64_t since_ticks) const {
  auto list = listed_processes();
  std::erase_if(list, [&](const ListedProcess& process) {
    return process.start_ticks < since_ticks ||
           started_with(process.pid, kReplicaVariable) != replica;
  });
  return list;
}

// With all that is left of it.
void ReplicaRunner::remove(Running& running) {
  const std::string name = running.replica.replica;
  const std::int64_t since = running.since_ticks;
  running.children.clear();
  end_processes([&] { return processes_of(name, since); }, kStragglerLimit);
  running_.erase(name);
  forget(name);
  std::error_code ignored;  // what cannot be deleted now is, by the next server
  fs::remove_all(folder_of(name), ignored);
}

// --- what an earlier server left ---------------------------------------------------------------

void ReplicaRunner::sweep(const ProcessMark& mark) {
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

void ReplicaRunner::end_strays() const {
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

std::vector<ReplicaLeader> ReplicaRunner::leaders() const {
  std::vector<ReplicaLeader> list;
  for (const auto& [name, running] : running_) {
    for (const Child& child : running.children)
      list.push_back({name, child.container->process().pid()});
  }
  return list;
}

}  // namespace jobmill::targets
