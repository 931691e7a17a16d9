// SPDX-License-Identifier: Apache-2.0
#include "app/command_line.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <span>
#include <string_view>

#include "app/command_rig.h"

namespace jobmill::app {
namespace {

using Words = std::vector<std::string>;

bool is_there(std::span<const Command> list, std::string_view path) {
  return std::ranges::any_of(list, [&](const Command& command) { return path == command.path; });
}

TEST_CASE("command line: several values after one flag, or none") {
  const auto some = try_command("containerapp job create", {"--env-vars", "A=b", "C=d", "-n", "j"});
  CHECK(some.arguments.all("env-vars") == Words{"A=b", "C=d"});
  CHECK(some.arguments.get("name") == "j");
  const auto none = try_command("containerapp job create", {"--env-vars", "-n", "j"});
  CHECK(none.arguments.all("env-vars") == Words{""});
  CHECK(none.arguments.get("name") == "j");
}

TEST_CASE("command line: a flag of az's goes before one of ours of the same name") {
  const auto trial = try_command("containerapp job registry set", {"--server", "docker.io"},
                                 {"--server", "http://127.0.0.1:9"});
  CHECK(trial.exit == 0);
  CHECK(trial.arguments.get("registry-server") == "docker.io");
  CHECK(trial.arguments.get("server") == "http://127.0.0.1:9");
  CHECK(try_command("containerapp job show", {"--server", "http://127.0.0.1:9"})
            .arguments.get("server") == "http://127.0.0.1:9");
}

TEST_CASE("command line: after -- everything is the command's") {
  const auto trial = try_command("image map", {"*/a:*", "--env", "A=b", "--", "python", "-u", "x"});
  CHECK(trial.arguments.positional == Words{"*/a:*", "python", "-u", "x"});
  CHECK(trial.arguments.all("env") == Words{"A=b"});
  CHECK(try_command("image map", {"*/a:*", "--runner", "oci", "--archive", "a.tar"}).exit == 0);
  CHECK(try_command("image map", {}).exit == kUsage);
}

TEST_CASE("command line: a program named az has az's commands, and nothing else") {
  for (const char* path :
       {"containerapp job create", "servicebus queue create", "acr build", "identity create",
        "role assignment create", "group create", "account show", "login"})
    CHECK_MESSAGE(is_there(az_commands(), path), path);
  for (const char* path : {"job enqueue", "serve", "image map", "az-shim", "hosts apply"}) {
    CHECK_MESSAGE(is_there(commands(), path), path);
    CHECK_MESSAGE(!is_there(az_commands(), path), path);
  }
  for (const char* path : {"account show", "login"}) CHECK_FALSE(is_there(commands(), path));
}

}  // namespace
}  // namespace jobmill::app
