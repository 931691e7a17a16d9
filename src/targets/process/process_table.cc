// SPDX-License-Identifier: Apache-2.0
#include "targets/process/process_table.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include <fmt/format.h>

#include "base/fd.h"

namespace jobmill::targets {
namespace {

namespace fs = std::filesystem;

std::optional<pid_t> as_pid(std::string_view text) {
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), pid);
  if (error != std::errc() || end != text.end() || pid <= 0) return {};
  return pid;
}

Fd open_pidfd(const ListedProcess& process) {
  Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
  // The number may have gone to another process since it was listed.
  const auto now = listed_process(process.pid);
  return now && now->start_ticks == process.start_ticks ? std::move(fd) : Fd();
}

// The line of /proc/PID/stat from its third field on; empty: there is none.
std::string stat_of(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  std::getline(file, line);
  // The second field is the name, in brackets, which may hold blanks and brackets itself.
  const std::size_t name_end = line.rfind(')');
  return name_end == std::string::npos ? std::string() : line.substr(name_end + 1);
}

// Until all have ended, or the time is over.
void wait_for(const std::vector<Fd>& pidfds, std::chrono::steady_clock::time_point until) {
  for (const Fd& pidfd : pidfds) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return;
    pollfd wait{pidfd.get(), POLLIN, 0};
    ::poll(&wait, 1, static_cast<int>(left.count()));
  }
}

}  // namespace

std::optional<ListedProcess> listed_process(pid_t pid) {
  std::istringstream fields(stat_of(pid));
  char state = 0;
  pid_t parent = 0;
  ListedProcess process{.pid = pid};
  fields >> state >> parent >> process.group >> process.session;
  std::string skipped;
  for (int field = 7; field < 22; ++field) fields >> skipped;
  fields >> process.start_ticks;
  if (!fields || state == 'Z' || state == 'X') return {};
  return process;
}

std::vector<ListedProcess> listed_processes() {
  std::vector<ListedProcess> list;
  std::error_code error;  // without /proc nobody is listed
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const auto pid = as_pid(entry.path().filename().string());
    if (!pid) continue;
    if (const auto process = listed_process(*pid)) list.push_back(*process);
  }
  return list;
}

std::optional<Duration> cpu_time(pid_t pid) {
  std::istringstream fields(stat_of(pid));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  std::int64_t user = 0;
  std::int64_t system = 0;
  std::int64_t user_of_children = 0;
  std::int64_t system_of_children = 0;
  fields >> user >> system >> user_of_children >> system_of_children;
  if (!fields) return {};
  const std::int64_t ticks = user + system + user_of_children + system_of_children;
  return std::chrono::duration_cast<Duration>(std::chrono::seconds(1)) * ticks /
         ::sysconf(_SC_CLK_TCK);
}

std::vector<ListedProcess> session_members(pid_t leader) {
  auto members = listed_processes();
  std::erase_if(members, [&](const ListedProcess& process) { return process.session != leader; });
  return members;
}

std::vector<ListedProcess> cgroup_members(const std::string& folder) {
  std::vector<ListedProcess> members;
  std::ifstream file(folder + "/cgroup.procs");
  for (std::string line; std::getline(file, line);) {
    const auto pid = as_pid(line);
    if (!pid) continue;
    if (const auto process = listed_process(*pid)) members.push_back(*process);
  }
  return members;
}

std::optional<std::string> started_with(pid_t pid, std::string_view variable) {
  std::ifstream file(fmt::format("/proc/{}/environ", pid), std::ios::binary);
  for (std::string entry; std::getline(file, entry, '\0');) {
    if (entry.size() > variable.size() && entry.starts_with(variable) &&
        entry[variable.size()] == '=') {
      return entry.substr(variable.size() + 1);
    }
  }
  return {};
}

bool end_processes(const std::function<std::vector<ListedProcess>()>& find, Duration limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  for (bool first = true;; first = false) {
    auto found = find();
    std::erase_if(found, [](const ListedProcess& process) { return process.pid == ::getpid(); });
    if (found.empty()) return true;
    // Once in any case: our time may have been over before we got to it.
    if (!first && std::chrono::steady_clock::now() >= until) return false;
    bool gone = false;  // by itself
    std::vector<Fd> pidfds;
    for (const ListedProcess& process : found) {
      Fd pidfd = open_pidfd(process);
      if (!pidfd) {
        gone = true;
      } else if (::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0) == 0) {
        pidfds.push_back(std::move(pidfd));
      }
    }
    if (pidfds.empty() && !gone) return false;  // not ours to kill
    wait_for(pidfds, until);
  }
}

}  // namespace jobmill::targets
