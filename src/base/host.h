// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace jobmill {

// This process and the machine that it runs on, as the kernel tells it now; 0 where it does not.
struct HostFacts {
  std::int64_t memory_total = 0;      // bytes
  std::int64_t memory_available = 0;  // bytes that programs can have without swapping
  std::int64_t process_memory = 0;    // resident bytes
  double load = 0;                    // of the last minute, for each core; above 1: some wait
  Duration uptime{};                  // of this process
};

HostFacts host_facts();

}  // namespace jobmill
