// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/document.h"
#include "manifest/core_kinds.h"
#include "targets/oci/image.h"
#include "targets/process/process.h"

namespace jobmill::targets {

// A file or folder of this machine that stands in a container, read-only.
struct Shown {
  std::string source;
  std::string target;
};

// One container, as the runtimes of the Open Container Initiative run it.
struct Bundle {
  std::vector<std::string> command;
  Texts environment;
  std::string workdir = "/";
  ImageUser user;
  std::string hostname;
  std::string rootfs;  // path from the bundle's folder, or absolute; written to
  std::vector<Shown> shown;
  manifest::Limits limits = {};
  // Of a server that is not root: a user namespace in which we are. Limits are not for us to set.
  bool rootless = false;
  std::uint32_t own_uid = 0;
  std::uint32_t own_gid = 0;
};

// Its config.json. The container has its own processes, mounts and name, but the network of the
// machine, so that 127.0.0.1 leads to this server. It asks for no resource limits of processes
// (rlimits): those of the server are its own, and a runtime that may not raise them would fail.
Node bundle_config(const Bundle& bundle);

}  // namespace jobmill::targets
