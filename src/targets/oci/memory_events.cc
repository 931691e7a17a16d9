// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/memory_events.h"

#include <fstream>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace jobmill::targets {
namespace {

// A line of /proc/PID/cgroup is "4:memory:/path", of version 2 "0::/path". A machine with both has
// version 2 beside the others, without the memory.
std::vector<std::string> counters(const std::string& membership, const std::string& root) {
  std::vector<std::string> files;
  std::ifstream lines(membership);
  for (std::string line; std::getline(lines, line);) {
    const auto name = line.find(':');
    const auto path = name == std::string::npos ? name : line.find(':', name + 1);
    if (path == std::string::npos) continue;
    const std::string_view controllers = std::string_view(line).substr(name + 1, path - name - 1);
    const std::string_view group = std::string_view(line).substr(path + 1);
    if (controllers.empty()) files.push_back(fmt::format("{}{}/memory.events", root, group));
    if (controllers == "memory")
      files.push_back(fmt::format("{}/memory{}/memory.oom_control", root, group));
  }
  return files;
}

}  // namespace

bool out_of_memory(pid_t pid, const std::string& proc, const std::string& cgroups) {
  for (const std::string& file : counters(fmt::format("{}/{}/cgroup", proc, pid), cgroups)) {
    std::ifstream events(file);
    for (std::string name; events >> name;) {
      long long count = 0;
      events >> count;
      if (name == "oom_kill" && count > 0) return true;
    }
  }
  return false;
}

}  // namespace jobmill::targets
