// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/build/image_load.h"

#include <array>
#include <chrono>
#include <span>

#include "targets/oci/tool_run.h"

namespace jobmill::targets {
namespace {

constexpr Duration kLoadLimit = std::chrono::minutes(10);

struct Engine {
  const char* name;
  std::array<const char*, 5> command;  // then the archive
};

constexpr std::array kEngines{
    Engine{"containerd", {"ctr", "-n", "k8s.io", "images", "import"}},
    Engine{"podman", {"podman", "load", "-i"}},
    Engine{"docker", {"docker", "load", "-i"}},
};

std::vector<std::string> command_of(const Engine& engine, const std::string& archive) {
  std::vector<std::string> command;
  for (const char* word : engine.command)
    if (word != nullptr) command.emplace_back(word);
  command.push_back(archive);
  return command;
}

}  // namespace

std::vector<EngineAnswer> load_image(const std::string& archive, const Texts& environment) {
  std::vector<EngineAnswer> answers;
  for (const Engine& engine : kEngines) {
    if (find_program(engine.command.front(), environment).empty()) continue;
    const auto done = tool_output(
        {.command = command_of(engine, archive), .environment = environment}, kLoadLimit);
    answers.push_back({engine.name, done ? Status() : Status(done.error())});
  }
  return answers;
}

}  // namespace jobmill::targets
