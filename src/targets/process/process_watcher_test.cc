// SPDX-License-Identifier: Apache-2.0
#include "targets/process/process_watcher.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "control_queue.h"
#include "temporary_folder.h"

namespace jobmill::targets {
namespace {

Process shell(const std::string& script) {
  auto process =
      Process::start({.command = {"sh", "-c", script}, .environment = {{"PATH", "/usr/bin:/bin"}}});
  REQUIRE(process);
  return std::move(*process);
}

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("process watcher: the end is told after all output was kept") {
  testing::ControlQueue control;
  ProcessWatcher watcher(control.post());
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/a.log";
  Process process = shell("for i in 1 2 3; do echo out $i; done; echo broken >&2; exit 4");

  std::optional<std::string> errors;
  REQUIRE(watcher.watch(process, std::make_unique<LogFile>(*LogFile::open(path, {})),
                        [&](std::string last) { errors = last; }));
  control.run_until([&] { return errors.has_value(); });

  CHECK(*errors == "broken\n");
  CHECK(process.reap().exit_code == 4);
  const std::string log = contents(path);
  CHECK(log.find("out 1\nout 2\nout 3\n") != std::string::npos);
  CHECK(log.find("broken\n") != std::string::npos);
}

TEST_CASE("process watcher: more output than a pipe holds does not stop the process") {
  testing::ControlQueue control;
  ProcessWatcher watcher(control.post());
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/a.log";
  Process process = shell("head -c 3000000 /dev/zero");

  bool ended = false;
  REQUIRE(watcher.watch(process, std::make_unique<LogFile>(*LogFile::open(path, {})),
                        [&](const std::string&) { ended = true; }));
  control.run_until([&] { return ended; });
  CHECK(std::filesystem::file_size(path) == 3000000);
}

TEST_CASE("process watcher: a descendant that holds the pipe does not delay the end") {
  testing::ControlQueue control;
  ProcessWatcher watcher(control.post());
  Process process = shell("sleep 1000 & exit 0");
  bool ended = false;
  REQUIRE(watcher.watch(process, {}, [&](const std::string&) { ended = true; }));
  control.run_until([&] { return ended; });
  CHECK(process.reap().exit_code == 0);
}

TEST_CASE("process watcher: many processes, each told once") {
  testing::ControlQueue control;
  ProcessWatcher watcher(control.post());
  std::vector<Process> processes;
  std::map<int, int> ends;
  for (int i = 0; i < 20; ++i) {
    processes.push_back(shell("exit " + std::to_string(i)));
    REQUIRE(watcher.watch(processes.back(), {}, [&ends, i](const std::string&) { ++ends[i]; }));
  }
  control.run_until([&] { return ends.size() == 20; });
  for (int i = 0; i < 20; ++i) {
    CHECK(ends[i] == 1);
    CHECK(processes[static_cast<std::size_t>(i)].reap().exit_code == i);
  }
}

TEST_CASE("process watcher: it may go before its processes do") {
  testing::ControlQueue control;
  Process process = shell("sleep 1000");
  bool told = false;
  {
    ProcessWatcher watcher(control.post());
    REQUIRE(watcher.watch(process, {}, [&](const std::string&) { told = true; }));
  }
  process.signal(9);
  CHECK(process.reap().signal == 9);
  CHECK_FALSE(told);
}

}  // namespace jobmill::targets
