// SPDX-License-Identifier: Apache-2.0
#include "app/container_build.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "temporary_folder.h"

namespace jobmill::app {
namespace {

Node entry_of(std::string_view dockerfile, const std::string& folder = "/srv/job/app") {
  const auto file = parse_dockerfile(dockerfile);
  REQUIRE(file);
  auto entry = built_entry(*file, "r.azurecr.io/job:1", folder);
  REQUIRE(entry);
  return *std::move(entry);
}

TEST_CASE("container build: an image has its registry's name, once") {
  CHECK(image_name("myacr", "job:1") == "myacr.azurecr.io/job:1");
  CHECK(image_name("myacr.azurecr.io", "team/job:1") == "myacr.azurecr.io/team/job:1");
  CHECK(image_name("myacr", "other.azurecr.io/job:1") == "other.azurecr.io/job:1");
  CHECK(image_name("", "job:1") == "job:1");
}

TEST_CASE("container build: the folder stands for the image's WORKDIR") {
  CHECK(to_json(entry_of("FROM python\nWORKDIR /app\nENV PYTHONUNBUFFERED=1 CONF=/app/etc\n"
                         "CMD [\"python\", \"/app/x.py\", \"/apple\", \"/app\"]")) ==
        R"({"match":"r.azurecr.io/job:1","runner":"process","workdir":"/srv/job/app",)"
        R"("command":["python","/srv/job/app/x.py","/apple","/srv/job/app"],)"
        R"("env":{"PYTHONUNBUFFERED":"1","CONF":"/srv/job/app/etc"}})");
  CHECK(entry_of("FROM a\nWORKDIR /\nCMD [\"/bin/true\"]").find("command")->items[0].text ==
        "/bin/true");
}

TEST_CASE("container build: an image without a command cannot be run as a process") {
  const auto file = parse_dockerfile("FROM python");
  REQUIRE(file);
  CHECK_FALSE(built_entry(*file, "a", "/b"));
}

TEST_CASE("container build: programs of the virtual environment go first") {
  const testing::TemporaryFolder folder;
  const std::string venv = venv_of(folder.path());
  std::filesystem::create_directories(venv + "/bin");
  std::ofstream(venv + "/bin/python") << "";
  Node entry = entry_of("FROM a\nCMD [\"python\", \"x.py\"]", folder.path());
  use_venv(entry, venv, "/usr/bin");
  CHECK(entry.find("command")->items[0].text == venv + "/bin/python");
  CHECK(entry.find("env")->find("PATH")->text == venv + "/bin:/usr/bin");
  Node other = entry_of("FROM a\nCMD [\"node\", \"x.js\"]", folder.path());
  use_venv(other, venv, "/usr/bin");
  CHECK(other.find("command")->items[0].text == "node");
}

}  // namespace
}  // namespace jobmill::app
