// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "executions/runner.h"
#include "targets/process/cgroup.h"
#include "targets/process/masks.h"
#include "targets/process/process.h"
#include "targets/process/process_table.h"
#include "targets/process/process_watcher.h"
#include "targets/process/readiness.h"
#include "targets/process/replica_log.h"
#include "targets/process/socket_owner.h"

namespace jobmill::targets {

// Replicas of executions as processes of this machine: each container is a process in a session of
// its own; all of a replica share one cgroup where we may make one, with the sum of their limits.
// Init containers run one after the other, then the main one with those beside it. When the main
// one has ended, the others get TERM, after kBesideGrace KILL, and then the replica has ended.
//
// A replica has a folder FOLDER/<replica> while it lives; in it, `work` is where containers without
// a folder run. What an earlier server left there is ended and deleted by the constructor: its
// processes are known by the variable JOBMILL_REPLICA, which the environment of every container is
// to name.
//
// Belongs to a thread that lives as long as the server (see Process). Going away kills what runs.
class ProcessRunner final : public executions::Runner {
 public:
  struct World {
    ProcessWatcher& watcher;
    Cgroups& cgroups;
    Log& log;
    std::function<TimePoint()> now;                   // from any thread: times of log lines
    std::function<void(std::function<void()>)> post;  // to the thread that owns us
    RunAfter run_after;                               // the same
    std::string folder;
    // A replica's log has new lines. Called by the watcher's thread; must not block.
    std::function<void(const std::string& replica)> on_written = {};
  };

  static constexpr Duration kBesideGrace = std::chrono::seconds(5);

  ProcessRunner(Events events, World world);
  ~ProcessRunner() override;

  void start(executions::RunReplica replica) override;
  void stop(std::string_view replica, bool kill) override;
  std::optional<Duration> cpu_time(std::string_view replica) override;
  void sweep(const executions::ProcessMark& mark) override;

  // All processes that run now.
  std::vector<ReplicaLeader> leaders() const;

 private:
  enum class Role { Init, Beside, Main };
  struct Child {
    Role role;
    std::string container;
    Process process;
  };
  struct Running {
    executions::RunReplica replica;
    Masks masks;
    std::shared_ptr<ReplicaLog> log = nullptr;
    std::string hosts_file = {};        // empty: that of the machine will do
    std::optional<Cgroup> cgroup = {};  // goes after its processes
    std::vector<Child> children = {};
    std::int64_t since_ticks = 0;  // when its first process started
    std::size_t inits = 0;         // that have run
    bool told = false;             // started()
    bool stopping = false;
    std::optional<executions::ReplicaEnd> end = {};  // of the main container, or instead of it
  };

  Status prepare(Running& running);
  Status open_log(Running& running);
  Status write_hosts(Running& running);
  void limit(Running& running);
  Status advance(Running& running);
  Status launch(Running& running, const executions::RunContainer& container, Role role);
  Result<Process> start_process(Running& running, ProcessSpec spec);
  void tell_started(Running& running);
  void could_not_start(Running& running, const std::string& reason);

  void ended(const std::string& replica, pid_t pid, const std::string& last_errors);
  void init_ended(Running& running, const std::string& container, executions::ReplicaEnd end);
  void conclude(Running& running, executions::ReplicaEnd end);
  void finish(Running& running);
  void remove(const Running& running);
  void signal(const Running& running, int number) const;

  std::vector<ListedProcess> processes_of(const Running& running) const;
  void end_strays() const;
  std::string folder_of(std::string_view replica) const;
  void post(std::function<void()> event);

  const Events events_;
  World world_;
  std::map<std::string, Running, std::less<>> running_;
  bool said_unlimited_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace jobmill::targets
