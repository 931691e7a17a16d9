// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "executions/runner.h"
#include "targets/oci/container_tool.h"
#include "targets/oci/image.h"
#include "targets/process/process.h"

namespace jobmill::targets {

// What it takes to launch one container: the tool's command, and where it tells the number of the
// container's first process.
struct ContainerLaunch {
  ProcessSpec spec;
  std::string id;
  std::string pid_file;
};

// Makes containers ready to be launched: finds the tool, unpacks images, writes bundles. All of
// that may take its time; used by one thread, which may be blocked.
class ContainerSetup {
 public:
  // `folder`: images are kept there, and what tools keep of their containers. Those that an earlier
  // server left are removed when the tool is found.
  ContainerSetup(std::string folder, Texts environment, Log& log);

  // One for each container: init containers, those beside, the main one. `folder` is the
  // replica's. The error begins with its word: "ImageNotRunnable: …", "StartError: …".
  Result<std::vector<ContainerLaunch>> prepare(const executions::RunReplica& replica,
                                               const std::string& folder);
  // One whose tool did not do so itself.
  void remove(const std::string& id);

 private:
  // What a container is made of.
  struct Parts {
    const executions::RunReplica& replica;
    const executions::RunContainer& container;
    std::string folder;  // its own
    std::string hosts;   // path of its /etc/hosts
    std::string id;
  };

  Status find_tool();
  Status write_init();
  void say_unlimited(const executions::RunReplica& replica);
  Result<ContainerLaunch> bundle(const Parts& parts);
  Status fill_rootfs(const Parts& parts, const UnpackedImage& image, BundleRun& run) const;
  Result<ContainerLaunch> podman(const Parts& parts);
  Result<std::string> podman_image(const executions::RunContainer& container);
  Result<std::string> ask_podman(std::vector<std::string> words) const;

  const ToolPlace place_;
  Log& log_;
  UnpackedImages images_;
  std::optional<Result<ContainerTool>> tool_;
  std::vector<std::string> tried_;  // what was there when no tool worked
  bool said_unlimited_ = false;
};

}  // namespace jobmill::targets
