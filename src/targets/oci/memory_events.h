// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>

namespace jobmill::targets {

// Whether the kernel has killed a process of this one's memory cgroup for its memory; of either
// version of cgroups. The process must still be there. The folders are those of the kernel.
bool out_of_memory(pid_t pid, const std::string& proc = "/proc",
                   const std::string& cgroups = "/sys/fs/cgroup");

}  // namespace jobmill::targets
