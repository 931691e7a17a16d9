// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "targets/oci/container_setup.h"
#include "targets/process/replica_runner.h"

namespace jobmill::targets {

// Replicas of executions as containers: of images of podman, or of image files by crun or runc,
// whichever of them works on this machine. A container has its own files, processes and name, and
// the network of the machine; its first process is ours (init/main.cc), which tells us over a pipe
// what becomes of the program, and ends with us.
//
// Images and bundles are made ready by a thread of our own.
class OciRunner final : public ReplicaRunner {
 public:
  // `folder`: for images, and for what the tool keeps. `environment`: of the tool.
  OciRunner(Events events, World world, const std::string& folder, const Texts& environment);
  ~OciRunner() override;

 private:
  class Child;

  void prepare(const executions::RunReplica& replica, std::function<void(Status)> done) override;
  Result<std::unique_ptr<Container>> launch(const executions::RunReplica& replica,
                                            const executions::RunContainer& container) override;
  void complete(const executions::RunReplica&, executions::ReplicaEnd&) override {}
  void forget(const std::string& replica) override;

  std::map<std::string, std::vector<ContainerLaunch>, std::less<>> launches_;  // by replica
  std::atomic<bool> closing_ = false;  // nothing more needs to be made ready
  ContainerSetup setup_;               // used by the pool's thread alone
  ThreadPool pool_{1};                 // last: it uses the one above
};

}  // namespace jobmill::targets
