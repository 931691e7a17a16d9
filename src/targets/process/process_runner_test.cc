// SPDX-License-Identifier: Apache-2.0
#include "targets/process/process_runner.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/id.h"
#include "conformance/runner.h"
#include "control_queue.h"
#include "targets/process/process_table.h"
#include "temporary_folder.h"

namespace jobmill::targets {
namespace {

using executions::ProcessMark;
using executions::ReplicaEnd;
using executions::RunContainer;
using executions::RunReplica;

const Texts kEnvironment{{"PATH", "/usr/bin:/bin"}};

// Processes of a replica are found by its name on the whole machine, where these tests may run
// twice.
const std::string kOwn = "mail-" + random_suffix(8);

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

RunContainer shell(const std::string& script) {
  return {.name = "main",
          .image = "",
          .command = {"/bin/sh", "-c", script},
          .environment = kEnvironment,
          .workdir = "",
          .cpu_milli = {},
          .memory_bytes = {}};
}

class ProcessWorld final : public executions::RunnerWorld {
 public:
  ProcessWorld() { open(); }

  executions::Runner& runner() override { return *runner_; }
  executions::Told& told() override { return told_; }
  RunContainer container(const std::string& name, const std::string& script) override {
    RunContainer container = shell(script);
    container.name = name;
    return container;
  }
  RunContainer broken_container(const std::string& name) override {
    RunContainer container = shell("");
    container.name = name;
    container.command = {"/nonexistent/program"};
    return container;
  }
  std::string log_path(const std::string& replica) override {
    return folder_.path() + "/logs/mail/" + replica + ".log";
  }
  std::string log_text(const std::string& replica) override { return contents(log_path(replica)); }
  // A look at a log is worth another one when it was written.
  void run_until(const std::function<bool()>& come_true) override { control_.run_until(come_true); }

  RunReplica replica(const std::string& name, const std::string& script) {
    return {.job = "mail",
            .execution = "mail-abc1234",
            .replica = name,
            .main = shell(script),
            .init = {},
            .beside = {},
            .local_names = {},
            .masked = {},
            .log = log_path(name)};
  }
  Duration longest_wait = Duration::max();
  std::string work() const { return folder_.path() + "/work"; }
  std::string cgroup_root() const { return folder_.path() + "/cgroup"; }
  std::string server_log() const { return contents(folder_.path() + "/server.log"); }
  std::map<std::string, int>& written() { return written_; }
  ProcessRunner& process_runner() { return *runner_; }
  void close() { runner_.reset(); }
  void open() {
    runner_.emplace(told_.events(),
                    ProcessRunner::World{.watcher = watcher_,
                                         .log = log_,
                                         .now = [this] { return clock_.now(); },
                                         .post = control_.post(),
                                         .run_after =
                                             [this](Duration delay, std::function<void()> work) {
                                               control_.run_after(std::min(delay, longest_wait),
                                                                  std::move(work));
                                             },
                                         .folder = work(),
                                         .on_written =
                                             [this](const std::string& name) {
                                               control_.post()([this, name] { ++written_[name]; });
                                             }},
                    cgroups_);
  }

 private:
  testing::TemporaryFolder folder_;
  SystemClock clock_;
  Fd server_log_{
      ::open((folder_.path() + "/server.log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
  Log log_{clock_, {.fd = server_log_.get()}};
  testing::ControlQueue control_;
  ProcessWatcher watcher_{control_.post()};
  Cgroups cgroups_{cgroup_root(), folder_.path() + "/membership"};
  executions::Told told_;
  std::map<std::string, int> written_;
  std::optional<ProcessRunner> runner_;
};

ReplicaEnd run(ProcessWorld& world, RunReplica replica) {
  const std::string name = replica.replica;
  world.runner().start(std::move(replica));
  world.run_until([&] { return world.told().ended.count(name) > 0; });
  return world.told().ended[name];
}

// Takes from the calling thread the right to have mounts of its own, as for a server that is not
// root. A user namespace may still be had.
void drop_admin() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  REQUIRE(::syscall(SYS_capget, &header, data.data()) == 0);
  const std::uint32_t admin = 1u << CAP_SYS_ADMIN;
  for (auto* set : {&data[0].effective, &data[0].permitted, &data[0].inheritable}) *set &= ~admin;
  REQUIRE(::syscall(SYS_capset, &header, data.data()) == 0);
}

// As on a machine that lets nobody but root have namespaces.
void refuse_namespaces() {
  std::array<sock_filter, 4> code{{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
                                   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                                   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
  const sock_fprog program{code.size(), code.data()};
  REQUIRE(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  REQUIRE(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

}  // namespace

TEST_CASE("process runner: the contract of runners") {
  executions::exercise_runner([] { return std::make_unique<ProcessWorld>(); });
}

TEST_CASE("process runner: the environment is what was given, and nothing else") {
  ProcessWorld world;
  RunReplica replica = world.replica("mail-1", "");
  replica.main.command = {"env"};
  replica.main.environment["A"] = "1";
  run(world, std::move(replica));
  const std::string text = world.log_text("mail-1");
  CHECK(text.find(" stdout A=1\n") != std::string::npos);
  CHECK(text.find(" stdout PATH=/usr/bin:/bin\n") != std::string::npos);
  CHECK(std::ranges::count(text, '\n') == 2);
}

TEST_CASE("process runner: its working folder goes with it") {
  ProcessWorld world;
  world.runner().start(world.replica("mail-1", "pwd; echo 1 >big; sleep 1000"));
  world.run_until([&] { return world.written()["mail-1"] > 0; });
  const std::string folder = world.work() + "/mail-1/work";
  CHECK(world.log_text("mail-1").find(std::filesystem::canonical(folder).string()) !=
        std::string::npos);
  world.runner().stop("mail-1", true);
  world.run_until([&] { return world.told().ended.size() == 1; });
  CHECK_FALSE(std::filesystem::exists(world.work() + "/mail-1"));
  CHECK(std::filesystem::exists(world.log_path("mail-1")));
}

TEST_CASE("process runner: all processes of the session are told to end, and none is left") {
  ProcessWorld world;
  // With job control, each job of a shell is a group of its own.
  world.runner().start(
      world.replica("mail-1",
                    "set -m; trap 'exit 3' TERM; "
                    "sh -c 'trap \"echo heard; exit\" TERM; sleep 1000 & echo up; wait' & "
                    "while :; do wait; done"));
  world.run_until([&] { return world.log_text("mail-1").find("up") != std::string::npos; });
  world.run_until([&] { return world.told().started.count("mail-1") > 0; });
  const auto pid = static_cast<pid_t>(world.told().started.at("mail-1").pid);
  CHECK(session_members(pid).size() >= 3);
  world.runner().stop("mail-1", false);
  world.run_until([&] { return world.told().ended.size() == 1; });
  CHECK(world.told().ended.at("mail-1").exit_code == 3);
  CHECK(session_members(pid).empty());
}

TEST_CASE("process runner: who left the session ends with the replica all the same") {
  ProcessWorld world;
  const auto replica = [&](const std::string& name, const std::string& script) {
    RunReplica made = world.replica(name, script);
    made.main.environment["JOBMILL_REPLICA"] = name;
    return made;
  };
  const auto left_of = [](const std::string& name) {
    auto all = listed_processes();
    std::erase_if(all, [&](const ListedProcess& one) {
      return started_with(one.pid, "JOBMILL_REPLICA") != name;
    });
    return all.size();
  };
  world.runner().start(replica(kOwn + "-2", "sleep 1000"));
  CHECK(run(world, replica(kOwn, "setsid sleep 1000 & setsid sh -c 'sleep 1000 & wait' &"))
            .exit_code == 0);
  CHECK(left_of(kOwn) == 0);
  CHECK(left_of(kOwn + "-2") >= 1);
}

TEST_CASE("process runner: what all processes of a replica compute is its computing time") {
  ProcessWorld world;
  RunReplica replica = world.replica(kOwn, "setsid sh -c 'while :; do :; done' & wait");
  replica.main.environment["JOBMILL_REPLICA"] = kOwn;
  CHECK_FALSE(world.runner().cpu_time(kOwn));
  world.runner().start(std::move(replica));
  while (world.runner().cpu_time(kOwn).value() < std::chrono::milliseconds(50))
    std::this_thread::yield();
}

TEST_CASE("process runner: who beside it does not heed TERM is killed") {
  ProcessWorld world;
  const testing::TemporaryFolder folder;
  const std::string pipe = folder.path() + "/pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  RunReplica replica = world.replica("mail-1", "read ready <" + pipe);
  replica.beside = {shell("trap '' TERM; echo >" + pipe + "; while :; do sleep 1; done")};
  world.longest_wait = std::chrono::milliseconds(1);
  CHECK(run(world, std::move(replica)).exit_code == 0);
  CHECK(world.process_runner().leaders().empty());
}

TEST_CASE("process runner: output that is no text does not spoil the detail") {
  ProcessWorld world;
  const ReplicaEnd end =
      run(world, world.replica("mail-1", "printf 'a\\377\\303\\244' >&2; exit 1"));
  CHECK(end.detail == "a?\xC3\xA4");
}

TEST_CASE("process runner: what limits it cannot have it says once") {
  ProcessWorld world;
  for (const char* name : {"mail-1", "mail-2"}) {
    RunReplica replica = world.replica(name, "exit 0");
    replica.main.memory_bytes = 64 << 20;
    CHECK(run(world, std::move(replica)).exit_code == 0);
  }
  const std::string log = world.server_log();
  const std::size_t first = log.find("resources are not limited on this machine");
  REQUIRE(first != std::string::npos);
  CHECK(log.find("resources are not limited", first + 1) == std::string::npos);
}

// A plain folder in the place of the kernel's.
TEST_CASE("process runner: its containers share a cgroup with the sum of their limits") {
  ProcessWorld world;
  const std::string own = world.cgroup_root() + "/own";
  std::filesystem::create_directories(own);
  std::ofstream(world.cgroup_root() + "/cgroup.controllers") << "cpu memory\n";
  std::ofstream(own + "/cgroup.subtree_control") << "";
  std::ofstream(world.cgroup_root() + "/../membership") << "0::/own\n";

  RunReplica replica = world.replica("mail-1", "echo up; sleep 1000");
  replica.main.memory_bytes = 64 << 20;
  replica.main.cpu_milli = 250;
  replica.beside = {shell("sleep 1000")};
  replica.beside[0].memory_bytes = 32 << 20;
  world.runner().start(std::move(replica));
  world.run_until([&] { return world.told().started.size() == 1; });
  const std::string cgroup = own + "/mail-1";
  CHECK(world.told().started.at("mail-1").cgroup == cgroup);
  CHECK(contents(cgroup + "/memory.max") == std::to_string(96 << 20));
  CHECK_FALSE(std::filesystem::exists(cgroup + "/cpu.max"));  // one of them has no limit

  std::ofstream(cgroup + "/memory.events") << "oom 1\noom_kill 1\n";
  world.runner().stop("mail-1", true);
  world.run_until([&] { return world.told().ended.size() == 1; });
  CHECK(world.told().ended["mail-1"].out_of_memory);
}

TEST_CASE("process runner: a local name leads here for the replica alone") {
  const std::string before = contents("/etc/hosts");
  const auto resolves = [](ProcessWorld& world) {
    RunReplica replica = world.replica(
        "mail-1", "getent ahostsv4 shop.jobmill-test.invalid; getent hosts localhost");
    replica.local_names = {"shop.jobmill-test.invalid", "localhost"};
    CHECK(run(world, std::move(replica)).exit_code == 0);
    CHECK(world.log_text("mail-1").find("stdout 127.0.0.1") != std::string::npos);
  };
  if (::geteuid() == 0) {
    ProcessWorld world;
    resolves(world);
  }
  // Replicas belong to the thread that started them.
  std::thread([&] {
    if (::geteuid() == 0) drop_admin();
    ProcessWorld world;
    resolves(world);
  }).join();
  CHECK(contents("/etc/hosts") == before);
}

TEST_CASE("process runner: a name that cannot be made to lead here is a reason not to start") {
  std::thread([] {
    ProcessWorld world;
    refuse_namespaces();
    RunReplica replica = world.replica("mail-1", "exit 0");
    replica.local_names = {"192.0.2.1"};  // leads elsewhere, and no server need be asked
    world.runner().start(replica);
    world.run_until([&] { return world.told().failed.size() == 1; });
    const std::string reason = world.told().failed["mail-1"];
    CHECK(reason.starts_with("NameNotResolvable: "));
    CHECK(reason.find("192.0.2.1") != std::string::npos);
    CHECK(reason.ends_with("run: sudo jobmill hosts apply"));
    CHECK_FALSE(std::filesystem::exists(world.work() + "/mail-1"));

    // The resolver may know more than the hosts file.
    replica = world.replica("mail-2", "exit 0");
    replica.local_names = {"127.0.0.9"};
    CHECK(run(world, replica).exit_code == 0);
  }).join();
}

TEST_CASE("process runner: a replica knows the leaders of its processes") {
  ProcessWorld world;
  RunReplica replica = world.replica("mail-1", "echo up; sleep 1000");
  replica.beside = {shell("sleep 1000")};
  world.runner().start(std::move(replica));
  const auto leaders = world.process_runner().leaders();
  REQUIRE(leaders.size() == 2);
  for (const ReplicaLeader& leader : leaders) {
    CHECK(leader.replica == "mail-1");
    CHECK(session_members(leader.pid).size() >= 1);
  }
}

TEST_CASE("process runner: what an earlier server left of a replica is ended") {
  ProcessWorld world;
  // As after the death of a server: the leader dies with it, its children do not.
  const auto orphan = [&](const std::string& script, bool leader_stays) {
    Texts environment = kEnvironment;
    environment["JOBMILL_REPLICA"] = kOwn;
    auto process = Process::start({.command = {"sh", "-c", script}, .environment = environment});
    REQUIRE(process);
    const auto listed = listed_process(process->pid());
    REQUIRE(listed);
    if (!leader_stays) {
      const Fd out = process->take_stdout();
      std::array<char, 8> up{};
      pollfd wait{out.get(), POLLIN, 0};
      REQUIRE(::poll(&wait, 1, 60'000) == 1);
      REQUIRE(::read(out.get(), up.data(), up.size()) > 0);
      ::kill(process->pid(), SIGKILL);
      pollfd end{process->pidfd(), POLLIN, 0};
      REQUIRE(::poll(&end, 1, 60'000) == 1);
    }
    return std::pair(*std::move(process), *listed);
  };

  SUBCASE("by its mark, with its leader") {
    const auto [process, listed] = orphan("sleep 1000 & sleep 1000", true);
    world.runner().sweep({.pid = listed.pid, .start_ticks = listed.start_ticks});
    CHECK(session_members(listed.pid).empty());
  }
  SUBCASE("by its mark, without its leader") {
    const auto [process, listed] = orphan("set -m; sh -c 'echo up; kill -STOP $$' & wait", false);
    CHECK(session_members(listed.pid).size() == 1);
    world.runner().sweep({.pid = listed.pid, .start_ticks = listed.start_ticks});
    CHECK(session_members(listed.pid).empty());
  }
  SUBCASE("not by a number that belongs to somebody else now") {
    const auto [process, listed] = orphan("sleep 1000", true);
    world.runner().sweep({.pid = listed.pid, .start_ticks = listed.start_ticks - 1});
    CHECK(session_members(listed.pid).size() >= 1);
    world.runner().sweep({});
  }
  SUBCASE("by its working folder, also in a session of its own") {
    const auto [process, listed] = orphan("setsid sh -c 'echo up; kill -STOP $$' & wait", false);
    const auto strays = [] {
      auto all = listed_processes();
      std::erase_if(all, [](const ListedProcess& one) {
        return started_with(one.pid, "JOBMILL_REPLICA") != kOwn;
      });
      return all;
    };
    CHECK(strays().size() == 1);
    std::filesystem::create_directories(world.work() + "/" + kOwn + "/work");
    world.close();
    world.open();
    CHECK(strays().empty());
    CHECK_FALSE(std::filesystem::exists(world.work() + "/" + kOwn));
  }
  SUBCASE("by its cgroup") {
    const auto [process, listed] = orphan("sleep 1000", true);
    const testing::TemporaryFolder folder;
    std::ofstream(folder.path() + "/cgroup.procs") << listed.pid << "\n0\n";
    world.runner().sweep({.pid = 0, .start_ticks = 0, .cgroup = folder.path()});
    CHECK_FALSE(listed_process(listed.pid));
  }
}

}  // namespace jobmill::targets
