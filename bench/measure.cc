// SPDX-License-Identifier: Apache-2.0
#include "measure.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <unistd.h>

namespace jobmill::bench {
namespace {

// What /proc says of a process, in ticks of the clock.
struct Process {
  pid_t parent = 0;
  double own = 0;    // user and system time
  double ended = 0;  // the same, of its children that have ended
};

Process process_of(const std::filesystem::path& folder) {
  std::ifstream file(folder / "stat");
  std::string text(std::istreambuf_iterator<char>(file), {});
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream rest(text.substr(name_end + 1));
  std::string word;
  std::vector<std::string> words;
  while (rest >> word) words.push_back(word);
  if (words.size() < 15) return {};
  const auto sum = [&](std::size_t a, std::size_t b) {
    return std::stod(words[a]) + std::stod(words[b]);
  };
  return {static_cast<pid_t>(std::stol(words[1])), sum(11, 12), sum(13, 14)};
}

double family_micros(pid_t process) {
  const Process parent = process_of(fmt::format("/proc/{}", process));
  double ticks = parent.own + parent.ended;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    if (entry.path().filename().string().find_first_not_of("0123456789") != std::string::npos)
      continue;
    const Process child = process_of(entry.path());
    if (child.parent == process) ticks += child.own;
  }
  return ticks * 1e6 / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace

CpuClock::CpuClock(pid_t other) : clocks_{CLOCK_PROCESS_CPUTIME_ID} {
  if (other != 0) add(other);
}

CpuClock CpuClock::only(pid_t process) {
  CpuClock clock;
  clock.clocks_.clear();
  clock.add(process);
  return clock;
}

CpuClock& CpuClock::with_family(pid_t process) {
  families_.push_back(process);
  return *this;
}

void CpuClock::add(pid_t process) {
  clockid_t clock{};
  if (clock_getcpuclockid(process, &clock) != 0) give_up("there is no such process");
  clocks_.push_back(clock);
}

double CpuClock::micros() const {
  double sum = 0;
  for (const clockid_t clock : clocks_) {
    timespec now{};
    if (clock_gettime(clock, &now) != 0) give_up("the server has gone");
    sum += static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
  }
  for (const pid_t process : families_) sum += family_micros(process);
  return sum;
}

Stopwatch::Stopwatch(const CpuClock& cpu)
    : cpu_(cpu), cpu_start_(cpu.micros()), start_(std::chrono::steady_clock::now()) {}

void Stopwatch::report(std::string_view name, int operations) const {
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start_;
  bench::report(fmt::format("{}.cpu_us", name), cpu_micros() / operations);
  bench::report(fmt::format("{}.per_s", name), operations / seconds.count());
}

void report(std::string_view metric, double value) {
  fmt::print("{} {:.6g}\n", metric, value);
  std::fflush(stdout);
}

double median(std::vector<double> values) {
  if (values.empty()) give_up("nothing was measured");
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void give_up(std::string_view why) {
  fmt::print(stderr, "benchmark: {}\n", why);
  std::exit(1);
}

Flags::Flags(int argc, char** argv, int first) {
  for (int i = first; i + 1 < argc; i += 2) values_[argv[i]] = argv[i + 1];
}

std::string Flags::text(const std::string& name) const {
  const auto it = values_.find(name);
  if (it == values_.end()) give_up(name + " is missing");
  return it->second;
}

std::string Flags::text(const std::string& name, const std::string& otherwise) const {
  const auto it = values_.find(name);
  return it == values_.end() ? otherwise : it->second;
}

int Flags::number(const std::string& name, int otherwise) const {
  const auto it = values_.find(name);
  if (it == values_.end()) return otherwise;
  const std::string& text = it->second;
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1)
    give_up(name + " takes a number from 1 on");
  return value;
}

}  // namespace jobmill::bench
