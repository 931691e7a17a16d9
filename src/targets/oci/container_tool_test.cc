// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/container_tool.h"

#include <doctest/doctest.h>

#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "targets/oci/container_setup.h"
#include "targets/oci/image_fixture.h"
#include "targets/oci/memory_events.h"
#include "temporary_folder.h"

namespace jobmill::targets {
namespace {

namespace fs = std::filesystem;

// A machine with the tools that a test puts there: scripts, which write their words to `calls`.
struct Machine {
  testing::TemporaryFolder folder;
  SystemClock clock;
  Log log{clock, {.level = LogLevel::Off}};
  Texts environment{{"PATH", folder.path() + "/bin:/usr/bin:/bin"}};

  explicit Machine() { fs::create_directories(folder.path() + "/bin"); }
  void put(const std::string& name, const std::string& script) const {
    const std::string path = folder.path() + "/bin/" + name;
    testing::write(path, "#!/bin/sh\necho \"$0 $*\" >>'" + calls() + "'\n" + script + "\n");
    fs::permissions(path, fs::perms(0755));
  }
  std::string calls() const { return folder.path() + "/calls"; }
  std::string called() const {
    std::ifstream file(calls());
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // Without the tools that this machine itself may have.
  ToolPlace place() const {
    for (const char* name : {"unshare", "sh", "echo", "mount"})
      if (!fs::exists(folder.path() + "/bin/" + name))
        fs::create_symlink(std::string("/usr/bin/") + name, folder.path() + "/bin/" + name);
    return {.folder = folder.path() + "/place",
            .init = testing::write_init(folder.path()),
            .environment = {{"PATH", folder.path() + "/bin"}}};
  }
};

}  // namespace

TEST_CASE("container tool: podman is preferred to crun, and crun to runc") {
  Machine machine;
  const ToolPlace place = machine.place();
  CHECK(find_container_tool(place, machine.log).error().message ==
        "no container tool found; install podman, crun or runc");
  machine.put("runc", "exit 0");
  CHECK(find_container_tool(place, machine.log)->kind == ContainerTool::Kind::Runc);
  machine.put("crun", "exit 0");
  CHECK(find_container_tool(place, machine.log)->kind == ContainerTool::Kind::Crun);
  CHECK_FALSE(knows_images(place.environment));
  machine.put("podman", "exit 0");
  CHECK(find_container_tool(place, machine.log)->kind == ContainerTool::Kind::Podman);
  CHECK(knows_images(place.environment));
}

TEST_CASE("container tool: one that does not work is passed over, and says why") {
  Machine machine;
  const ToolPlace place = machine.place();
  machine.put("podman", "echo 'warning: old' >&2; echo 'no cgroups here' >&2; exit 125");
  machine.put("crun", "kill -KILL $$");
  CHECK(find_container_tool(place, machine.log).error().message ==
        "no container tool works here (podman: no cgroups here; crun: signal 9)");
  machine.put("runc", "exit 0");
  CHECK(find_container_tool(place, machine.log)->kind == ContainerTool::Kind::Runc);
}

TEST_CASE("container tool: what it cannot do it is not asked for later") {
  Machine machine;
  const ToolPlace place = machine.place();
  machine.put("podman", "case \"$*\" in *--memory*) echo 'no limits' >&2; exit 1;; esac");
  const auto tool = find_container_tool(place, machine.log);
  REQUIRE(tool);
  CHECK_FALSE(tool->limits);
  CHECK(tool->without_limits == "no limits");
}

TEST_CASE("container tool: paths may hold what mount options must not") {
  CHECK(overlay_options("/a:b", "/c,d", "/e\\f") ==
        "lowerdir=/a\\:b,upperdir=/c\\,d,workdir=/e\\\\f");
}

TEST_CASE("container setup: podman runs what it knows, and is told of variables without values") {
  Machine machine;
  const ToolPlace place = machine.place();
  machine.put("podman",
              "case \"$1 $2\" in\n"
              "'image exists') exit 1;;\n"
              "'image inspect') echo '[{\"Config\":{\"Cmd\":[\"/run\",\"fast\"],"
              "\"Env\":[\"OF=image\"],\"WorkingDir\":\"/shop\"}}]';;\n"
              "esac");
  ContainerSetup setup(place.folder, place.environment, machine.log);
  executions::RunReplica replica{.job = "mail",
                                 .execution = "mail-1",
                                 .replica = "mail-1-a",
                                 .main = {.name = "main",
                                          .image = "r.io/job:1",
                                          .command = {},
                                          .environment = {{"KEY", "a secret"}, {"PATH", "/opt"}},
                                          .workdir = "",
                                          .cpu_milli = 500,
                                          .memory_bytes = 1024},
                                 .init = {},
                                 .beside = {},
                                 .local_names = {"shop.example"},
                                 .masked = {},
                                 .log = ""};
  fs::create_directories(machine.folder.path() + "/mail-1-a");
  const auto launches = setup.prepare(replica, machine.folder.path() + "/mail-1-a");
  REQUIRE(launches);
  REQUIRE(launches->size() == 1);
  const ProcessSpec& spec = launches->front().spec;
  std::string line;
  for (const std::string& word : spec.command) line += word + " ";
  CAPTURE(line);
  const auto has = [&](std::string_view part) { return line.find(part) != std::string::npos; };
  CHECK(has("/podman run --rm "));
  CHECK(has(" --network host "));
  CHECK(has(" --workdir /shop "));
  CHECK(has(" --cpus 0.500 --memory 1024b "));
  CHECK(has("/hosts:/etc/hosts:ro "));
  CHECK(has(" --entrypoint /.jobmill/init "));
  CHECK(line.ends_with(" r.io/job:1 -- /run fast "));
  CHECK(has(" --env KEY "));
  CHECK_FALSE(has("a secret"));  // command lines are seen by everybody
  CHECK(spec.environment.at("KEY") == "a secret");
  CHECK(spec.environment.at("OF") == "image");
  CHECK(has(" --env PATH=/opt "));
  CHECK(spec.environment.at("PATH") == place.environment.at("PATH"));  // podman's own
  CHECK(machine.called().find("podman pull --quiet r.io/job:1\n") != std::string::npos);
}

TEST_CASE("container setup: a tool that is installed later is found") {
  Machine machine;
  const ToolPlace place = machine.place();
  ContainerSetup setup(place.folder, place.environment, machine.log);
  const executions::RunReplica replica{.job = "mail",
                                       .execution = "mail-1",
                                       .replica = "mail-1-a",
                                       .main = {.name = "main",
                                                .image = "r.io/job:1",
                                                .command = {"/run"},
                                                .environment = {},
                                                .workdir = "",
                                                .cpu_milli = {},
                                                .memory_bytes = {}},
                                       .init = {},
                                       .beside = {},
                                       .local_names = {},
                                       .masked = {},
                                       .log = ""};
  const std::string folder = machine.folder.path() + "/mail-1-a";
  fs::create_directories(folder);
  CHECK(setup.prepare(replica, folder).error().message ==
        "ImageNotRunnable: no container tool found; install podman, crun or runc");
  machine.put("crun", "echo broken >&2; exit 1");
  for (int i = 0; i < 2; ++i)
    CHECK(setup.prepare(replica, folder).error().message ==
          "ImageNotRunnable: no container tool works here (crun: broken)");
  const std::string once = machine.called();
  (void)setup.prepare(replica, folder);
  CHECK(machine.called() == once);  // it was tried, and is not again
  machine.put("podman", "test \"$1\" != image || echo '[{}]'");
  CHECK(setup.prepare(replica, folder));
}

TEST_CASE("memory events: kills of either version of cgroups are seen") {
  const testing::TemporaryFolder folder;
  const auto path = [&](const std::string& name) { return folder.path() + "/" + name; };
  testing::write(path("proc/7/cgroup"), "3:cpu,cpuacct:/c\n2:memory:/jobs/a\n0::/own\n");
  const auto killed = [&] { return out_of_memory(7, path("proc"), path("cgroups")); };
  CHECK_FALSE(killed());
  testing::write(path("cgroups/memory/jobs/a/memory.oom_control"), "under_oom 0\noom_kill 0\n");
  testing::write(path("cgroups/own/memory.events"), "oom 1\noom_kill 0\n");
  CHECK_FALSE(killed());
  testing::write(path("cgroups/memory/jobs/a/memory.oom_control"), "under_oom 0\noom_kill 1\n");
  CHECK(killed());
  testing::write(path("proc/7/cgroup"), "0::/own\n");
  CHECK_FALSE(killed());
  testing::write(path("cgroups/own/memory.events"), "oom 1\noom_kill 2\n");
  CHECK(killed());
}

}  // namespace jobmill::targets
