// SPDX-License-Identifier: Apache-2.0
#include "app/container_build.h"

#include <filesystem>
#include <utility>

#include <fmt/core.h>

namespace jobmill::app {
namespace {

// "/app/x.py" of an image with WORKDIR /app -> "<folder>/x.py"
std::string moved(const std::string& word, const std::string& workdir, const std::string& folder) {
  if (workdir.size() < 2 || !word.starts_with(workdir)) return word;
  const std::string below = word.substr(workdir.size());
  return below.empty() || below.starts_with('/') ? folder + below : word;
}

}  // namespace

std::string image_name(std::string_view registry, std::string_view tag) {
  const std::string_view first = tag.substr(0, tag.find('/'));
  const bool has_registry = first.size() < tag.size() && first.find('.') != std::string_view::npos;
  if (registry.empty() || has_registry) return std::string(tag);
  const bool is_short = registry.find('.') == std::string_view::npos;
  return fmt::format("{}{}/{}", registry, is_short ? ".azurecr.io" : "", tag);
}

Result<Node> built_entry(const Dockerfile& file, const std::string& image,
                         const std::string& folder) {
  const std::vector<std::string> command = file.command();
  if (command.empty())
    return fail(Code::InvalidArgument,
                "the Dockerfile has neither ENTRYPOINT nor CMD: what its base image runs is not "
                "known here; name a command with `jobmill image map`");
  Node entry = Node::object();
  entry.set("match", Node::string(image));
  entry.set("runner", Node::string("process"));
  entry.set("workdir", Node::string(folder));
  Node& words = entry.set("command", Node::array());
  for (const std::string& word : command)
    words.push(Node::string(moved(word, file.workdir, folder)));
  Node& env = entry.set("env", Node::object());
  for (const auto& [name, value] : file.env)
    env.set(name, Node::string(moved(value, file.workdir, folder)));
  return entry;
}

std::string venv_of(const std::string& folder) { return folder + "/.jobmill-venv"; }

void use_venv(Node& entry, const std::string& venv, const std::string& path) {
  Node& program = entry.find("command")->items.front();
  const std::string own = venv + "/bin/" + program.text;
  if (program.text.find('/') == std::string::npos && std::filesystem::exists(own))
    program = Node::string(own);
  Node& env = *entry.find("env");
  env.set("VIRTUAL_ENV", Node::string(venv));
  env.set("PATH", Node::string(fmt::format("{}/bin:{}", venv, path)));
}

}  // namespace jobmill::app
