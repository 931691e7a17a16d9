// SPDX-License-Identifier: Apache-2.0
#include "targets/process/process_table.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "targets/process/process.h"

namespace jobmill::targets {
namespace {

Process shell(const std::string& script, Texts environment = {}) {
  environment["PATH"] = "/usr/bin:/bin";
  auto process =
      Process::start({.command = {"sh", "-c", script}, .environment = std::move(environment)});
  REQUIRE(process);
  return *std::move(process);
}

}  // namespace

TEST_CASE("process table: a process is listed until it ends, not until it is reaped") {
  Process process = shell("exec sleep 1000");
  const auto listed = listed_process(process.pid());
  REQUIRE(listed);
  CHECK(listed->pid == process.pid());
  CHECK(listed->session == process.pid());
  CHECK(listed->group == process.pid());
  CHECK(listed->start_ticks >= listed_process(::getpid())->start_ticks);
  const auto all = listed_processes();
  CHECK(std::ranges::count(all, ::getpid(), &ListedProcess::pid) == 1);
  CHECK(std::ranges::count(all, process.pid(), &ListedProcess::pid) == 1);

  CHECK(end_processes([&] { return session_members(process.pid()); }, std::chrono::seconds(60)));
  CHECK_FALSE(listed_process(process.pid()));
  CHECK(process.reap().signal == SIGKILL);
  CHECK_FALSE(listed_process(0));
}

TEST_CASE("process table: computing time is counted, and waiting is none") {
  Process idle = shell("exec sleep 1000");
  Process busy = shell("while :; do :; done");
  // More than it takes to begin, also on a slow machine.
  while (*cpu_time(busy.pid()) < std::chrono::milliseconds(300)) std::this_thread::yield();
  CHECK(*cpu_time(idle.pid()) < std::chrono::milliseconds(300));
  CHECK_FALSE(cpu_time(0));
}

TEST_CASE("process table: processes that fork while they are ended are ended too") {
  // Not for ever: should we be held up, there is room for other processes on this machine.
  Process process = shell("set -m; for i in $(seq 1000); do sleep 1000 & done; wait");
  CHECK(end_processes([&] { return session_members(process.pid()); }, std::chrono::seconds(60)));
  CHECK(session_members(process.pid()).empty());
}

TEST_CASE("process table: one who has no time left still kills") {
  Process process = shell("sleep 1000");
  (void)end_processes([&] { return session_members(process.pid()); }, Duration::zero());
  CHECK(process.reap().signal == SIGKILL);
}

TEST_CASE("process table: a process is not ended for another one that had its number") {
  Process process = shell("sleep 1000");
  ListedProcess gone = *listed_process(process.pid());
  gone.start_ticks -= 1;
  int asked = 0;
  CHECK(
      end_processes([&] { return asked++ == 0 ? std::vector{gone} : std::vector<ListedProcess>(); },
                    std::chrono::seconds(60)));
  CHECK(listed_process(process.pid()));
}

TEST_CASE("process table: the one that asks is left out") {
  CHECK(end_processes([] { return std::vector{*listed_process(::getpid())}; },
                      std::chrono::seconds(60)));
}

TEST_CASE("process table: what a process was started with can be asked for by name") {
  Process process = shell("sleep 1000", {{"JOBMILL_REPLICA", "mail-1"}, {"EMPTY", ""}});
  CHECK(started_with(process.pid(), "JOBMILL_REPLICA") == "mail-1");
  CHECK(started_with(process.pid(), "EMPTY") == "");
  CHECK_FALSE(started_with(process.pid(), "JOBMILL"));
  CHECK_FALSE(started_with(0, "PATH"));
}

}  // namespace jobmill::targets
