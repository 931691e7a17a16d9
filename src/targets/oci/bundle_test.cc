// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/bundle.h"

#include <doctest/doctest.h>

namespace jobmill::targets {
namespace {

Bundle bundle() {
  return {.command = {"/.jobmill/init", "--", "/app"},
          .environment = {{"A", "b c"}},
          .workdir = "/shop",
          .user = {.uid = 7, .gid = 8},
          .hostname = "mail-1",
          .rootfs = "rootfs",
          .shown = {{"/here/hosts", "/etc/hosts"}}};
}

const Node& at(const Node& node, const std::vector<std::string>& path) {
  const Node* found = &node;
  for (const std::string& name : path) {
    CAPTURE(name);
    found = found->find(name);
    REQUIRE(found != nullptr);
  }
  return *found;
}

bool has_namespace(const Node& config, std::string_view type) {
  for (const Node& one : at(config, {"linux", "namespaces"}).items)
    if (one.find("type")->text == type) return true;
  return false;
}

}  // namespace

TEST_CASE("bundle: the command with its variables, folder and user, and no limits of processes") {
  const Node config = bundle_config(bundle());
  CHECK(to_json(at(config, {"process", "args"})) == R"(["/.jobmill/init","--","/app"])");
  CHECK(to_json(at(config, {"process", "env"})) == R"(["A=b c"])");
  CHECK(at(config, {"process", "cwd"}).text == "/shop");
  CHECK(to_json(at(config, {"process", "user"})) == R"({"uid":7,"gid":8})");
  CHECK(at(config, {"process"}).find("rlimits") == nullptr);
  CHECK(at(config, {"linux", "resources"}).find("memory") == nullptr);
}

TEST_CASE("bundle: processes, mounts and name are its own, the network is the machine's") {
  const Node config = bundle_config(bundle());
  for (const char* type : {"pid", "ipc", "uts", "mount"}) CHECK(has_namespace(config, type));
  for (const char* type : {"network", "user"}) CHECK_FALSE(has_namespace(config, type));
  const Node& shown = at(config, {"mounts"}).items.back();
  CHECK(to_json(shown) == R"({"destination":"/etc/hosts","type":"bind","source":"/here/hosts",)"
                          R"("options":["rbind","ro","nosuid","nodev"]})");
}

TEST_CASE("bundle: limits are those of its cgroup") {
  Bundle limited = bundle();
  limited.limits = {.cpu_milli = 250, .memory_bytes = 1024};
  const Node config = bundle_config(limited);
  CHECK(to_json(at(config, {"linux", "resources", "memory"})) == R"({"limit":1024})");
  CHECK(to_json(at(config, {"linux", "resources", "cpu"})) == R"({"quota":25000,"period":100000})");
}

TEST_CASE("bundle: of a server that is not root, its user is the server's outside") {
  Bundle rootless = bundle();
  rootless.rootless = true;
  rootless.own_uid = 1000;
  rootless.own_gid = 1001;
  const Node config = bundle_config(rootless);
  CHECK(has_namespace(config, "user"));
  CHECK(to_json(at(config, {"linux", "uidMappings"})) ==
        R"([{"containerID":7,"hostID":1000,"size":1}])");
  CHECK(to_json(at(config, {"linux", "gidMappings"})) ==
        R"([{"containerID":8,"hostID":1001,"size":1}])");
  CHECK(at(config, {"linux"}).find("resources") == nullptr);
}

}  // namespace jobmill::targets
