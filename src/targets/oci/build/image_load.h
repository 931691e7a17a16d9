// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "targets/process/process.h"

namespace jobmill::targets {

// What an engine of this machine said to an image archive.
struct EngineAnswer {
  std::string engine;  // "containerd", "podman", "docker"
  Status loaded;
};

// Gives the archive to every engine whose program is in PATH of `environment`: to containerd where
// the kubelet looks (namespace k8s.io), to podman, to docker. Empty: there is none. Blocks.
std::vector<EngineAnswer> load_image(const std::string& archive, const Texts& environment);

}  // namespace jobmill::targets
