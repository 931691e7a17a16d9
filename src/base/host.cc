// SPDX-License-Identifier: Apache-2.0
#include "base/host.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <limits>
#include <string>
#include <thread>

namespace jobmill {
namespace {

const auto kStarted = std::chrono::steady_clock::now();

// "MemAvailable:   123 kB" lines of /proc/meminfo.
void read_memory(HostFacts& facts) {
  std::ifstream lines("/proc/meminfo");
  std::string name;
  std::int64_t kib = 0;
  while (lines >> name >> kib) {
    if (name == "MemTotal:") facts.memory_total = kib * 1024;
    if (name == "MemAvailable:") facts.memory_available = kib * 1024;
    lines.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
}

std::int64_t resident() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t all = 0;
  std::int64_t pages = 0;
  statm >> all >> pages;
  return pages * ::sysconf(_SC_PAGESIZE);
}

}  // namespace

HostFacts host_facts() {
  HostFacts facts;
  read_memory(facts);
  facts.process_memory = resident();
  double load = 0;
  if (::getloadavg(&load, 1) == 1)
    facts.load = load / std::max(1u, std::thread::hardware_concurrency());
  facts.uptime = std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - kStarted);
  return facts;
}

}  // namespace jobmill
