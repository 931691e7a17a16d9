// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "manifest/catalog.h"
#include "manifest/core_kinds.h"
#include "scale/target.h"
#include "targets/process/cgroup.h"
#include "targets/process/process.h"
#include "targets/process/process_watcher.h"
#include "targets/process/readiness.h"
#include "targets/process/replica_set.h"

namespace jobmill::targets {

// What runs in each replica.
struct ProcessDefinition {
  manifest::Deployment deployment;
  std::vector<std::string> command;  // of the image map or the manifest, arguments included
  std::string working_directory;     // empty: ours
  // Text of the pod template and of what the image map made of it: when it changes, replicas are
  // replaced. (Kubernetes has a hash of the template.)
  std::string revision;
  // `replicas: 1` and no ScaledObject: nobody else needs its port, so the port can be probed.
  bool alone = false;
};

// What a ProcessTarget needs of the server. All are called on the control thread.
struct ProcessTargetHooks {
  std::function<TimePoint()> now;
  RunAfter run_after;  // calls back on the control thread

  // Sets the mark `quiet`, or takes it away; `done` is called on the control thread, once,
  // perhaps before this returns.
  std::function<void(const std::string& worker_id, bool quiet, std::function<void(Status)> done)>
      set_worker_state;
  // Asks for a read and a call of workers_changed(), perhaps before this returns. Where the store
  // cannot be read now, none: it is asked for again.
  std::function<void()> read_workers;
  // A registered worker's process ended. Ordered: we told it to, and what it held is released;
  // else it is a crash.
  std::function<void(const std::string& worker_id, const ProcessExit& exit, bool ordered)>
      worker_died;

  // JOBMILL_URL, JOBMILL_TOKEN and the variables of the Services. Asked for at each start.
  std::function<Texts(const std::string& replica)> environment;
  std::function<void(const std::string& replica)> replica_gone;  // its token is no longer valid
  std::function<void()> changed;                                 // counts() or replicas() did
};

// One line of `get pods`.
struct Pod {
  std::string name;
  bool ready = false;
  std::string status;  // kubectl's words: Running, Terminating, CrashLoopBackOff, …
  int restarts = 0;
  TimePoint created{};
  std::string detail;
};

// The processes of one Deployment: ReplicaSet decides, this carries out. Lives on the control
// thread, and that thread must live as long as the server (see Process).
//
// Going away kills what still runs; call shutdown(), or scale_to(0), and wait for empty().
class ProcessTarget final : public scale::ScaleTarget {
 public:
  struct World {
    ProcessTargetHooks hooks;
    const manifest::Catalog& catalog;  // Secrets and ConfigMaps, looked up when a child starts
    ProcessWatcher& watcher;
    Cgroups& cgroups;
    Log& log;
    std::string log_folder;               // <deployment>/<replica>.log are in it
    std::optional<Duration> drain_limit;  // scale.drain_limit
  };

  ProcessTarget(ProcessDefinition definition, World world);
  ~ProcessTarget() override;

  // The same Deployment as it is now. A changed revision replaces the replicas one by one, each
  // after it has done its work. The number of replicas is scale_to()'s.
  void define(ProcessDefinition definition);

  int wanted() const override { return set_.wanted(); }
  void scale_to(int replicas) override;
  scale::ReplicaCounts counts() const override { return set_.counts(); }
  std::vector<scale::Replica> replicas() const override { return set_.replicas(); }

  // What the store says of its workers, whenever it says that they changed, and when read_workers
  // asks. Workers of other Deployments may be among them. Read and call this in one go on the
  // control thread; where the read takes place elsewhere, call read_begins() before it and give its
  // number with the answer (one read at a time), since what is confirmed meanwhile is not in it.
  void workers_changed(const std::vector<LeaseView>& workers) {
    workers_changed(read_begins(), workers);
  }
  std::uint64_t read_begins() { return set_.read_begins(); }
  void workers_changed(std::uint64_t read, const std::vector<LeaseView>& workers);

  // TERM for all, KILL after `grace`.
  void shutdown(Duration grace);
  bool empty() const { return set_.empty(); }
  int interruptions() const { return set_.interruptions(); }

  std::vector<Pod> pods() const;
  bool owns(std::string_view replica) const;

 private:
  struct Running {
    std::optional<Cgroup> cgroup;  // goes after its process
    Process process;
    ProcessSpec spec;  // for its probe
    std::unique_ptr<Readiness> readiness = nullptr;
  };
  struct Known {
    TimePoint created{};
    bool started_once = false;
  };

  ReplicaRules rules() const;
  void work();
  void perform(const Action& action);
  void start(const std::string& replica);
  Result<Running> launch(const std::string& replica);
  Result<ProcessSpec> spec_for(const std::string& replica) const;
  Result<std::optional<Cgroup>> limit(const std::string& replica);
  std::string log_folder() const;
  Result<LogFile> open_log(const std::string& replica) const;
  void watch_readiness(const std::string& replica, Running& running);
  void set_mark(const Action& action);
  void signal(const Action& action, int number);
  void ended(const std::string& replica, pid_t pid, const std::string& last_errors);
  void forget_gone();
  void prune_logs() const;
  void arm();
  void tell_changes();
  std::string pod_status(const scale::Replica& replica) const;

  ProcessDefinition definition_;
  World world_;
  Texts inherited_;
  ReplicaSet set_;
  std::map<std::string, Running, std::less<>> running_;
  std::map<std::string, Known, std::less<>> known_;  // replicas that exist, running or not
  bool working_ = false;
  bool said_unlimited_ = false;
  std::optional<TimePoint> armed_;
  std::vector<scale::Replica> told_;  // as it was at the last `changed`
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace jobmill::targets
