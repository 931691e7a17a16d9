// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/oci_runner.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/id.h"
#include "conformance/runner.h"
#include "control_queue.h"
#include "targets/oci/image_fixture.h"
#include "targets/process/child_environment.h"
#include "temporary_folder.h"

namespace jobmill::targets {
namespace {

namespace fs = std::filesystem;

using executions::ReplicaEnd;
using executions::RunContainer;
using executions::RunnerKind;
using executions::RunReplica;

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Processes of a replica are found by this on the whole machine, where these tests may run twice.
const std::string kMark = "mail-" + random_suffix(8);

// With a shell and what belongs to it, made once for all tests.
const std::string& shell_image() {
  static const testing::TemporaryFolder folder;
  static const std::string path = testing::make_shell_image(folder.path() + "/image.tar");
  return path;
}

class OciWorld final : public executions::RunnerWorld {
 public:
  explicit OciWorld(Texts environment = inherited_environment())
      : environment_(std::move(environment)) {
    open();
  }

  executions::Runner& runner() override { return *runner_; }
  executions::Told& told() override { return told_; }
  RunContainer container(const std::string& name, const std::string& script) override {
    return {.name = name,
            .image = "shop/shell:1",
            .command = {"/bin/sh", "-c", script},
            .environment = {{"PATH", "/bin"}, {"JOBMILL_REPLICA", kMark}},
            .workdir = "",
            .cpu_milli = {},
            .memory_bytes = {},
            .archive = shell_image()};
  }
  RunContainer broken_container(const std::string& name) override {
    RunContainer broken = container(name, "");
    broken.command = {"/nonexistent/program"};
    return broken;
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
            .main = container("main", script),
            .init = {},
            .beside = {},
            .local_names = {},
            .masked = {},
            .log = log_path(name),
            .runner = RunnerKind::Oci};
  }
  std::string folder() const { return folder_.path(); }
  std::string server_log() const { return contents(folder_.path() + "/server.log"); }
  void close() { runner_.reset(); }
  void open() {
    runner_.emplace(
        told_.events(),
        OciRunner::World{
            .watcher = watcher_,
            .log = log_,
            .now = [this] { return clock_.now(); },
            .post = control_.post(),
            .run_after = [this](Duration delay,
                                std::function<void()> work) { control_.run_after(delay, work); },
            .folder = folder_.path() + "/replicas",
            .on_written = [this](const std::string&) { control_.post()([] {}); }},
        folder_.path() + "/oci", environment_);
  }

 private:
  testing::TemporaryFolder folder_;
  const Texts environment_;
  SystemClock clock_;
  Fd server_log_{
      ::open((folder_.path() + "/server.log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
  Log log_{clock_, {.fd = server_log_.get()}};
  testing::ControlQueue control_;
  ProcessWatcher watcher_{control_.post()};
  executions::Told told_;
  std::optional<OciRunner> runner_;
};

ReplicaEnd run(OciWorld& world, RunReplica replica) {
  const std::string name = replica.replica;
  world.runner().start(std::move(replica));
  world.run_until([&] { return world.told().ended.count(name) + world.told().failed.count(name); });
  CHECK(world.told().failed[name] == "");
  return world.told().ended[name];
}

std::string failure_of(OciWorld& world, RunReplica replica) {
  const std::string name = replica.replica;
  world.runner().start(std::move(replica));
  world.run_until([&] { return world.told().failed.count(name) > 0; });
  return world.told().failed[name];
}

// What this machine can do, found out once. A machine without a tool that works must say so; the
// test of that is below.
const Result<ContainerTool>& tool_here() {
  static const auto tool = [] {
    const testing::TemporaryFolder folder;
    const SystemClock clock;
    Log log(clock, {.level = LogLevel::Off});
    const ToolPlace place{.folder = folder.path(),
                          .init = testing::write_init(folder.path()),
                          .environment = inherited_environment()};
    return find_container_tool(place, log);
  }();
  return tool;
}

}  // namespace

TEST_CASE("oci runner: the contract of runners, or the reason why there are no containers here") {
  if (tool_here()) {
    executions::exercise_runner([] { return std::make_unique<OciWorld>(); });
    return;
  }
  OciWorld world;
  const std::string reason = failure_of(world, world.replica("mail-1", "exit 0"));
  CHECK(reason == "ImageNotRunnable: " + tool_here().error().message);
}

TEST_CASE("oci runner: a container has what its image says, but for what the job says") {
  if (!tool_here()) return;  // the contract's test has seen to the reason
  OciWorld world;
  RunReplica replica = world.replica("mail-1", "");
  replica.main.command.clear();
  run(world, replica);
  CHECK(has(world.log_text("mail-1"), "stdout the command of the image\n"));

  replica = world.replica("mail-2", "");
  replica.main.command.clear();
  replica.main.args = {"/bin/sh", "-c", "echo $FROM; pwd; exit 3"};
  CHECK(run(world, replica).exit_code == 3);
  CHECK(has(world.log_text("mail-2"), "stdout image\n"));
  CHECK(has(world.log_text("mail-2"), "stdout /shop\n"));
}

TEST_CASE("oci runner: a container sees its own processes and files, and names of ours") {
  if (!tool_here()) return;
  OciWorld world;
  RunReplica replica =
      world.replica("mail-1", "cat /etc/hosts; set -- /proc/[0-9]*; echo $# processes; ls " +
                                  world.folder() + " || echo hidden");
  replica.local_names = {"shop.jobmill-test.invalid"};
  CHECK(run(world, replica).exit_code == 0);
  const std::string text = world.log_text("mail-1");
  CHECK(has(text, "stdout 127.0.0.1 shop.jobmill-test.invalid\n"));
  CHECK(has(text, "stdout hidden\n"));
  CHECK(has(text, "stdout 2 processes\n"));  // ours, and the shell
}

TEST_CASE("oci runner: a container that takes more memory than it may is ended for that") {
  if (!tool_here()) return;
  OciWorld world;
  RunReplica replica = world.replica("mail-1", "dd if=/dev/zero of=/dev/null bs=200M count=1");
  replica.main.command = {"dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"};
  replica.main.memory_bytes = 32 << 20;
  const ReplicaEnd end = run(world, replica);
  if (tool_here()->limits) {
    CHECK(end.signal == SIGKILL);
    CHECK(end.out_of_memory);
  } else {
    CHECK(end.exit_code == 0);
    CHECK(has(world.server_log(), "resources are not limited on this machine"));
  }
}

TEST_CASE("oci runner: what a replica had is gone with it, also when the server goes") {
  if (!tool_here()) return;
  OciWorld world;
  const auto is_there = [&](const std::string& path) { return fs::exists(world.folder() + path); };
  run(world, world.replica("mail-1", "echo 1 >a"));
  CHECK_FALSE(is_there("/replicas/mail-1"));

  world.runner().start(world.replica("mail-2", "echo up; sleep 1000"));
  world.run_until([&] { return world.told().started.count("mail-2") > 0; });
  const auto pid = static_cast<pid_t>(world.told().started.at("mail-2").pid);
  CHECK(listed_process(pid));
  world.close();
  CHECK_FALSE(listed_process(pid));
  CHECK_FALSE(is_there("/replicas/mail-2"));
  CHECK((!is_there("/oci/state") || fs::is_empty(world.folder() + "/oci/state")));
}

TEST_CASE("oci runner: what a server that was killed left is ended by the next one") {
  if (!tool_here()) return;
  OciWorld world;
  world.runner().start(world.replica("mail-1", "echo up; sleep 1000"));
  world.run_until([&] { return world.told().started.count("mail-1") > 0; });
  const executions::ProcessMark mark = world.told().started.at("mail-1");
  world.runner().sweep(mark);
  CHECK_FALSE(listed_process(static_cast<pid_t>(mark.pid)));
  world.run_until([&] { return world.told().ended.count("mail-1") > 0; });
  CHECK(world.told().ended["mail-1"].signal == SIGKILL);
}

TEST_CASE("oci runner: an image that cannot be had is a reason not to start") {
  if (!tool_here()) return;
  OciWorld world;
  RunReplica replica = world.replica("mail-1", "exit 0");
  replica.main.archive = world.folder() + "/nothing.tar";
  const std::string reason = failure_of(world, replica);
  CHECK(reason.starts_with("ImageNotRunnable: "));
  CHECK(has(reason, "nothing.tar"));
  CHECK_FALSE(fs::exists(world.folder() + "/replicas/mail-1"));

  if (tool_here()->has_images()) return;  // it may know the image, or fetch it
  replica = world.replica("mail-2", "exit 0");
  replica.main.archive.clear();
  CHECK(has(failure_of(world, replica), "jobmill image map 'shop/shell:1' --runner oci --archive"));
}

TEST_CASE("oci runner: a machine without a container tool is told what to install") {
  const testing::TemporaryFolder empty;
  OciWorld world({{"PATH", empty.path()}});
  CHECK(failure_of(world, world.replica("mail-1", "exit 0")) ==
        "ImageNotRunnable: no container tool found; install podman, crun or runc");
}

}  // namespace jobmill::targets
