// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>
#include <time.h>

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// What the benchmark programs share. Each makes one or more runs and prints a line per metric and
// run, "jobs.sqlite.drain.cpu_us 8.41"; run.py starts them and does the statistics.
namespace jobmill::bench {

// CPU time of this process and, if given, one other: user and system, all threads. Unlike the time
// on the wall it hardly depends on what else the machine does.
class CpuClock {
 public:
  explicit CpuClock(pid_t other = 0);
  // Of a process without this one: what a server takes, whatever its clients do.
  static CpuClock only(pid_t process);
  // With all children that a process has or had: a database server, to a hundredth of a second.
  CpuClock& with_family(pid_t process);
  double micros() const;

 private:
  void add(pid_t process);

  std::vector<clockid_t> clocks_;
  std::vector<pid_t> families_;
};

// From its making on.
class Stopwatch {
 public:
  explicit Stopwatch(const CpuClock& cpu);

  // Prints <name>.cpu_us, per operation, and <name>.per_s.
  void report(std::string_view name, int operations) const;
  double cpu_micros() const { return cpu_.micros() - cpu_start_; }

 private:
  const CpuClock& cpu_;
  double cpu_start_;
  std::chrono::steady_clock::time_point start_;
};

void report(std::string_view metric, double value);
double median(std::vector<double> values);
[[noreturn]] void give_up(std::string_view why);

// A benchmark has nothing to do with an error but to say it.
template <class T>
T need(Result<T> result) {
  if (!result) give_up(result.error().message);
  return *std::move(result);
}
inline void need(const Status& status) {
  if (!status) give_up(status.error().message);
}

// "--name value" pairs.
class Flags {
 public:
  Flags(int argc, char** argv, int first);
  std::string text(const std::string& name) const;  // must be there
  std::string text(const std::string& name, const std::string& otherwise) const;
  int number(const std::string& name, int otherwise) const;

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace jobmill::bench
