// SPDX-License-Identifier: Apache-2.0
#include "targets/process/cgroup.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "temporary_folder.h"

namespace jobmill::targets {
namespace {

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

std::string read(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

// A plain folder in the place of the kernel's: what is written to it is what the kernel would get.
TEST_CASE("cgroup: limits are written below our own cgroup, which we leave first") {
  const testing::TemporaryFolder root;
  const std::string own = root.path() + "/system.slice/jobmill.service";
  std::filesystem::create_directories(own);
  write(root.path() + "/cgroup.controllers", "cpu memory\n");
  write(own + "/cgroup.subtree_control", "");
  write(root.path() + "/membership", "1:name=x:/\n0::/system.slice/jobmill.service\n");

  Cgroups cgroups(root.path(), root.path() + "/membership");
  const auto cgroup = cgroups.create("mill-x7k2p", {.cpu_milli = 250, .memory_bytes = 64 << 20});
  REQUIRE(cgroup);
  CHECK(read(own + "/server/cgroup.procs") == "0");
  CHECK(read(own + "/cgroup.subtree_control") == "+cpu +memory");
  CHECK(read(own + "/mill-x7k2p/cpu.max") == "25000 100000");
  CHECK(read(own + "/mill-x7k2p/memory.max") == "67108864");
  CHECK(cgroup->procs() >= 0);

  CHECK_FALSE(cgroup->out_of_memory());
  write(own + "/mill-x7k2p/memory.events", "low 0\nmax 3\noom 1\noom_kill 1\n");
  CHECK(cgroup->out_of_memory());
}

TEST_CASE("cgroup: where limits cannot be set it says why") {
  const testing::TemporaryFolder root;
  const auto none = Cgroups(root.path(), root.path() + "/membership").create("a", {});
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Code::Unsupported);
  CHECK(none.error().message == "this machine has no cgroup v2 at " + root.path());

  write(root.path() + "/cgroup.controllers", "");
  write(root.path() + "/membership", "0::/user.slice\n");
  const auto foreign = Cgroups(root.path(), root.path() + "/membership").create("a", {});
  REQUIRE_FALSE(foreign);
  CHECK(foreign.error().message.find(root.path() + "/user.slice") != std::string::npos);
}

}  // namespace jobmill::targets
