// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace jobmill::targets {

// One process as the kernel lists it. Its number may be used again; together with the start it is
// unique until the next boot.
struct ListedProcess {
  pid_t pid = 0;
  pid_t group = 0;
  pid_t session = 0;
  std::int64_t start_ticks = 0;  // field 22 of /proc/PID/stat
};

// Nothing: there is none, or it has ended and only waits to be reaped.
std::optional<ListedProcess> listed_process(pid_t pid);
std::vector<ListedProcess> listed_processes();

// What it has computed until now, with those of its children that have ended. Nothing: as above.
std::optional<Duration> cpu_time(pid_t pid);

std::vector<ListedProcess> session_members(pid_t leader);
std::vector<ListedProcess> cgroup_members(const std::string& folder);

// A variable of the environment that it was started with. Nothing: it has none such, or is not
// ours to look at.
std::optional<std::string> started_with(pid_t pid, std::string_view variable);

// Kills what `find` lists and waits for its end, and again until it lists nothing: a process may
// have forked meanwhile. Returns whether that was so within `limit`. Whose children they are does
// not matter; we ourselves are left out.
bool end_processes(const std::function<std::vector<ListedProcess>()>& find, Duration limit);

}  // namespace jobmill::targets
