// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "targets/process/cgroup.h"
#include "targets/process/replica_runner.h"

namespace jobmill::targets {

// Replicas of executions as processes of this machine: each container is a process in a session of
// its own; all of a replica share one cgroup where we may make one, with the sum of their limits.
// Containers without a folder run in `work` of the replica's folder.
class ProcessRunner final : public ReplicaRunner {
 public:
  ProcessRunner(Events events, World world, Cgroups& cgroups);
  ~ProcessRunner() override;

 private:
  class Child;
  // What the processes of a replica have in common.
  struct Common {
    std::string hosts_file = {};        // empty: that of the machine will do
    std::optional<Cgroup> cgroup = {};  // goes after its processes
  };

  void prepare(const executions::RunReplica& replica, std::function<void(Status)> done) override;
  Result<std::unique_ptr<Container>> launch(const executions::RunReplica& replica,
                                            const executions::RunContainer& container) override;
  void complete(const executions::RunReplica& replica, executions::ReplicaEnd& end) override;
  void forget(const std::string& replica) override;
  std::vector<ListedProcess> processes_of(const std::string& replica,
                                          std::int64_t since_ticks) const override;

  void limit(const executions::RunReplica& replica, Common& common);
  Status write_hosts(const executions::RunReplica& replica, Common& common) const;
  Result<Process> start_process(const executions::RunReplica& replica, ProcessSpec spec,
                                Common& common);

  Cgroups& cgroups_;
  std::map<std::string, Common, std::less<>> common_;  // by replica
  bool said_unlimited_ = false;
};

}  // namespace jobmill::targets
