// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "manifest/core_kinds.h"

namespace jobmill::targets {

// One cgroup with limits. It is removed with its owner, after its processes.
class Cgroup {
 public:
  Cgroup(std::string path, Fd procs) : path_(std::move(path)), procs_(std::move(procs)) {}
  Cgroup(Cgroup&& other) noexcept = default;
  ~Cgroup();

  int procs() const { return procs_.get(); }  // for ProcessSpec::cgroup_procs
  const std::string& path() const { return path_; }
  bool out_of_memory() const;  // the kernel killed a process of it for its memory

 private:
  std::string path_;
  Fd procs_;
};

// Makes cgroups below our own, where that is permitted: cgroup v2, and ours delegated to us
// (systemd: Delegate=yes). The first use finds out and moves the server into a child of its own,
// since a cgroup with limited children may hold no process itself.
class Cgroups {
 public:
  explicit Cgroups(std::string root = "/sys/fs/cgroup",
                   std::string membership = "/proc/self/cgroup")
      : root_(std::move(root)), membership_(std::move(membership)) {}

  // Unsupported, with the reason, where limits cannot be set.
  Result<Cgroup> create(std::string_view name, const manifest::Limits& limits);

 private:
  Result<std::string> prepare() const;  // our own cgroup's folder

  std::string root_;
  std::string membership_;
  std::optional<Result<std::string>> own_;  // found out once
};

}  // namespace jobmill::targets
