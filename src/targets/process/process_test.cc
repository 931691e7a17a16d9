// SPDX-License-Identifier: Apache-2.0
#include "targets/process/process.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "temporary_folder.h"

namespace jobmill::targets {
namespace {

const Texts kEnvironment{{"PATH", "/usr/bin:/bin"}};

Result<Process> shell(const std::string& script, Texts environment = kEnvironment) {
  return Process::start({.command = {"sh", "-c", script}, .environment = std::move(environment)});
}

// Until its end.
std::string read_all(const Fd& fd) {
  ::fcntl(fd.get(), F_SETFL, 0);
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t got; (got = ::read(fd.get(), buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string read_line(const Fd& fd) {
  ::fcntl(fd.get(), F_SETFL, 0);
  std::string line;
  for (char c; ::read(fd.get(), &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

bool ended(const Process& process) {
  pollfd wait{process.pidfd(), POLLIN, 0};
  return ::poll(&wait, 1, 60'000) == 1;
}

}  // namespace

TEST_CASE("process: it reports how it ended") {
  auto process = shell("exit 3");
  REQUIRE(process);
  CHECK(ended(*process));
  const ProcessExit exit = process->reap();
  CHECK(exit.exit_code == 3);
  CHECK(exit.signal == 0);
  CHECK(exit.peak_rss_bytes > 0);
  CHECK(describe(exit) == "exit code 3");

  auto killed = shell("kill -SEGV $$");
  REQUIRE(killed);
  CHECK(describe(killed->reap()) == "signal 11");
}

TEST_CASE("process: its environment is what was given, and nothing else") {
  ::setenv("JOBMILL_TEST_SECRET", "do not inherit", 1);
  auto process = Process::start({.command = {"env"}, .environment = {{"A", "1"}, {"B", "x=y"}}});
  REQUIRE(process);
  CHECK(read_all(process->take_stdout()) == "A=1\nB=x=y\n");
  ::unsetenv("JOBMILL_TEST_SECRET");
}

TEST_CASE("process: only stdin, stdout and stderr are open, and stdin is empty") {
  const Fd leak(::fcntl(STDERR_FILENO, F_DUPFD, 100));  // without close-on-exec
  auto process = shell("cat; test -e /proc/$$/fd/" + std::to_string(leak.get()) +
                       " && echo leaked; readlink /proc/$$/fd/0");
  REQUIRE(process);
  CHECK(read_all(process->take_stdout()) == "/dev/null\n");
}

TEST_CASE("process: what we write is its stdin, and what it writes to descriptor 3 is ours") {
  auto process =
      Process::start({.command = {"sh", "-c", "cat >&3; test -e /proc/$$/fd/4 || echo closed"},
                      .environment = kEnvironment,
                      .with_stdin = true,
                      .with_channel = true});
  REQUIRE(process);
  {
    const Fd in = process->take_stdin();
    REQUIRE(::write(in.get(), "hello", 5) == 5);
  }
  CHECK(read_all(process->take_channel()) == "hello");
  CHECK(read_all(process->take_stdout()) == "closed\n");
}

TEST_CASE("process: it runs in its folder, in a session of its own, with default signals") {
  ::signal(SIGPIPE, SIG_IGN);
  const testing::TemporaryFolder folder;
  auto process = Process::start({.command = {"sh", "-c",
                                             "pwd; cut -d' ' -f5,6 /proc/$$/stat; grep SigIgn "
                                             "/proc/$$/status; echo $$"},
                                 .environment = kEnvironment,
                                 .working_directory = folder.path()});
  ::signal(SIGPIPE, SIG_DFL);
  REQUIRE(process);
  const std::string pid = std::to_string(process->pid());
  CHECK(read_all(process->take_stdout()) == std::filesystem::canonical(folder.path()).string() +
                                                "\n" + pid + " " + pid +
                                                "\nSigIgn:\t0000000000000000\n" + pid + "\n");
}

TEST_CASE("process: what cannot be started says why") {
  const auto message = [](const ProcessSpec& spec) {
    auto process = Process::start(spec);
    REQUIRE_FALSE(process);
    return process.error().message;
  };
  const testing::TemporaryFolder folder;
  CHECK(message({.command = {"jobmill-nothing"}, .environment = kEnvironment}) ==
        "cannot start 'jobmill-nothing' (no such file)");
  CHECK(message({.command = {"/nonexistent/x"}}) == "cannot start '/nonexistent/x' (no such file)");
  CHECK(message({.command = {folder.path()}}) ==
        "cannot start '" + folder.path() + "' (Permission denied)");
  CHECK(message({.command = {"/bin/true"}, .working_directory = "/nonexistent"}) ==
        "cannot start '/bin/true' in '/nonexistent' (no such file)");
  CHECK(message({.command = {}}) == "there is no command to start");
}

TEST_CASE("process: it may have a hosts file of its own, which nobody else sees") {
  const testing::TemporaryFolder folder;
  const std::string hosts = folder.path() + "/hosts";
  std::ofstream(hosts) << "127.0.0.1 only-here\n";
  auto process = Process::start({.command = {"sh", "-c", "cat /etc/hosts; id -u"},
                                 .environment = kEnvironment,
                                 .hosts_file = hosts});
  REQUIRE(process);
  CHECK(read_all(process->take_stdout()) ==
        "127.0.0.1 only-here\n" + std::to_string(::geteuid()) + "\n");
  CHECK(read_file("/etc/hosts").find("only-here") == std::string::npos);
}

TEST_CASE("process: where it may not have one, the kernel's reason is told") {
  const testing::TemporaryFolder folder;
  const auto process = Process::start(
      {.command = {"true"}, .environment = kEnvironment, .hosts_file = folder.path() + "/nothing"});
  REQUIRE_FALSE(process);
  CHECK(process.error().code == Code::Unsupported);
  CHECK(process.error().message ==
        "cannot start 'true' with a hosts file of its own (no such file)");
}

TEST_CASE("process: a signal reaches the whole group") {
  auto process = shell(
      "trap 'wait; echo outer; exit 7' TERM; "
      "sh -c 'trap \"echo inner; exit\" TERM; echo up; while :; do sleep 1; done' & wait");
  REQUIRE(process);
  const Fd out = process->take_stdout();
  CHECK(read_line(out) == "up");
  process->signal(SIGTERM);
  CHECK(read_all(out) == "inner\nouter\n");
  CHECK(process->reap().exit_code == 7);
}

TEST_CASE("process: when its leader ends, the rest of the group ends with it") {
  auto process = shell("sleep 1000 & echo up");
  REQUIRE(process);
  const Fd out = process->take_stdout();
  CHECK(read_line(out) == "up");
  CHECK(process->reap().exit_code == 0);
  CHECK(read_all(out).empty());  // returns only when nobody holds the pipe
}

TEST_CASE("process: it does not outlive its owner") {
  Fd out;
  {
    auto process = shell("sleep 1000 & echo up; wait");
    REQUIRE(process);
    out = process->take_stdout();
    CHECK(read_line(out) == "up");
  }
  CHECK(read_all(out).empty());
}

TEST_CASE("process: it does not outlive the program that started it") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const pid_t server = ::fork();
  if (server == 0) {  // starts a child and is killed at once, without a destructor
    auto process = shell("echo up; exec sleep 1000");
    const Fd out = process ? process->take_stdout() : Fd();
    const bool up = read_line(out) == "up";
    (void)!::write(ends[1], up ? "y" : "n", 1);
    const pid_t pid = process->pid();
    (void)!::write(ends[1], &pid, sizeof pid);
    ::kill(::getpid(), SIGKILL);
  }
  ::close(ends[1]);
  const Fd report(ends[0]);
  char up = 0;
  pid_t child = 0;
  REQUIRE(::read(report.get(), &up, 1) == 1);
  REQUIRE(::read(report.get(), &child, sizeof child) == sizeof child);
  CHECK(up == 'y');
  ::waitpid(server, nullptr, 0);

  // No longer our kin, so it cannot be waited for; but its end can.
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  pollfd wait{pidfd.get(), POLLIN, 0};
  CHECK((!pidfd || ::poll(&wait, 1, 60'000) == 1));
}

}  // namespace jobmill::targets
