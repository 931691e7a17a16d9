// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "targets/process/process.h"

namespace jobmill::targets {

// The program of this machine that runs containers, and what it can do here.
struct ContainerTool {
  enum class Kind { Podman, Crun, Runc };
  Kind kind = Kind::Runc;
  std::string program = {};         // its path
  bool overlay = false;             // containers write to a layer of their own over their image
  bool limits = false;              // of cpu and memory
  std::string without_limits = {};  // why not
  bool has_images() const { return kind == Kind::Podman; }  // of its own; others run bundles
};

// What a tool is tried and run with.
struct ToolPlace {
  std::string folder;  // where it may work
  std::string init;    // path of the container_init() on this machine
  Texts environment;   // PATH, where tools are looked for, and HOME
};

// Paths of those that are there, the preferred ones first.
std::vector<std::string> container_tools(const Texts& environment);

// Whether one of them is podman, which knows images, or fetches them.
bool knows_images(const Texts& environment);

// The first of podman, crun and runc that is there and can run a container that does nothing; a
// tool can be there and not work, for instance without the right to make namespaces. Takes a
// fraction of a second; blocks. Unsupported: none; the message says why of each.
Result<ContainerTool> find_container_tool(const ToolPlace& place, Log& log);

// The command that runs a bundle to its end. Its descriptor 3 is the container's too.
struct BundleRun {
  std::string bundle;  // its folder
  std::string id;
  std::string pid_file;
  std::string overlay;  // mount options; empty: its rootfs is there
};
std::vector<std::string> bundle_command(const ContainerTool& tool, const ToolPlace& place,
                                        const BundleRun& run);

// "lowerdir=…,upperdir=…,workdir=…" with what the paths must not hold as it is.
std::string overlay_options(std::string_view lower, std::string_view upper, std::string_view work);

// Containers that the tool still knows are killed and removed: all of an earlier server, one.
void remove_leftovers(const ContainerTool& tool, const ToolPlace& place);
void remove_container(const ContainerTool& tool, const ToolPlace& place, const std::string& id);

}  // namespace jobmill::targets
