// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <spawn.h>
#include <sys/wait.h>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "app/commands/az_command.h"
#include "app/commands/commands.h"
#include "app/container_build.h"
#include "app/containerapp_values.h"
#include "app/table.h"
#include "http/message.h"

// What container images mean on this machine.
extern char** environ;

namespace jobmill::app {
namespace {

namespace fs = std::filesystem;

std::string absolute(const std::string& path) {
  std::string whole = fs::absolute(path).lexically_normal().string();
  while (whole.size() > 1 && whole.ends_with('/')) whole.pop_back();
  return whole;
}

// --- image map ---------------------------------------------------------------------------------

// A program that is a path is one of this folder; its process has another one.
std::string program_of(const std::string& word) {
  return word.find('/') == std::string::npos ? word : absolute(word);
}

Result<Node> entry_of(const Arguments& arguments) {
  Node entry = Node::object();
  entry.set("match", Node::string(arguments.positional.front()));
  entry.set("runner", Node::string(arguments.get("runner", "process")));
  if (arguments.has("workdir"))
    entry.set("workdir", Node::string(absolute(arguments.get("workdir"))));
  if (arguments.has("archive"))
    entry.set("archive", Node::string(absolute(arguments.get("archive"))));
  Node& command = entry.set("command", Node::array());
  for (std::size_t i = 1; i < arguments.positional.size(); ++i) {
    const std::string& word = arguments.positional[i];
    command.push(Node::string(i == 1 ? program_of(word) : word));
  }
  Node& env = entry.set("env", Node::object());
  for (const std::string& pair : arguments.all("env")) {
    const auto equals = pair.find('=');
    if (equals == std::string::npos)
      return fail(Code::InvalidArgument, fmt::format("--env takes NAME=VALUE, not '{}'", pair));
    env.set(pair.substr(0, equals), Node::string(pair.substr(equals + 1)));
  }
  return entry;
}

int map_image(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  const auto entry = entry_of(arguments);
  if (!entry) return client->complain(kUsage, entry.error().message);
  const Reply reply = client->put("/v1/images", *entry);
  return reply ? kOk : client->refused(reply);
}

std::string command_line_of(const Node& entry) {
  std::string line;
  if (const Node* command = entry.find("command"))
    for (const Node& word : command->items) line += (line.empty() ? "" : " ") + word.text;
  return line;
}

int list_images(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  const Reply reply = client->get("/v1/images");
  if (!reply) return client->refused(reply);
  Table table({"PATTERN", "RUNNER", "WORKDIR", "COMMAND"});
  std::vector<std::string> names;
  const Node* entries = reply.document.find("images");
  for (std::size_t i = 0; entries != nullptr && i < entries->items.size(); ++i) {
    const Node& entry = entries->items[i];
    table.row({cell(entry, "match"), cell(entry, "runner"), cell(entry, "workdir"),
               command_line_of(entry)});
    names.push_back("image/" + cell(entry, "match"));
  }
  return print(client->output(), reply.document, table, names);
}

int remove_image(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  const Reply reply =
      client->remove("/v1/images?match=" + http::url_encode(arguments.positional.front()));
  return reply ? kOk : client->refused(reply);
}

// --- acr build ---------------------------------------------------------------------------------

// Runs a program and waits for it; what it writes goes to stderr, as it is no result.
Status run_program(std::vector<std::string> words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t to_stderr;
  posix_spawn_file_actions_init(&to_stderr);
  posix_spawn_file_actions_adddup2(&to_stderr, 2, 1);
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], &to_stderr, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&to_stderr);
  if (error != 0)
    return fail(Code::Unavailable,
                fmt::format("cannot run {}: {}", words[0], std::strerror(error)));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail(Code::Internal, fmt::format("{} failed", fmt::join(words, " ")));
}

// The Dockerfile as it was named: from here, or from the folder.
std::string dockerfile_path(const Arguments& arguments, const std::string& folder) {
  const std::string file = arguments.get("file", "Dockerfile");
  if (arguments.has("file") && fs::exists(file)) return file;
  return folder + "/" + file;
}

Status prepare(Node& entry, const Dockerfile& file, const std::string& folder) {
  const std::string requirements = file.requirements();
  if (requirements.empty())
    return fail(Code::InvalidArgument,
                "--prepare: no RUN of the Dockerfile says pip install -r FILE");
  const std::string venv = venv_of(folder);
  TRY_VOID(run_program({"python3", "-m", "venv", venv}));
  TRY_VOID(run_program({venv + "/bin/python", "-m", "pip", "install", "--disable-pip-version-check",
                        "-r", folder + "/" + requirements}));
  use_venv(entry, venv, environment("PATH"));
  return {};
}

void list_runs(const AzClient& client, const Dockerfile& file, bool prepared) {
  for (const std::string& run : file.runs)
    if (!prepared || run.find("pip") == std::string::npos)
      client.warn(fmt::format("not executed: RUN {}", run));
  if (!prepared && !file.requirements().empty())
    client.warn("--prepare installs the requirements into a virtual environment.");
}

Result<Node> build_entry(const Arguments& arguments, const AzClient& client,
                         const std::string& image) {
  const std::string folder =
      absolute(arguments.positional.empty() ? "." : arguments.positional.front());
  TRY(const std::string text, read_text_file(dockerfile_path(arguments, folder)));
  TRY(const Dockerfile file, parse_dockerfile(text));
  TRY(Node entry, built_entry(file, image, folder));
  const bool prepares = arguments.has("prepare");
  if (prepares) TRY_VOID(prepare(entry, file, folder));
  list_runs(client, file, prepares);
  return entry;
}

int build(const Arguments& arguments, AzClient& client) {
  const auto tag = required(client, arguments, "image");
  if (!tag) return kUsage;
  for (const std::string& one : arguments.all("image")) {
    const auto entry = build_entry(arguments, client, image_name(arguments.get("registry"), one));
    if (!entry) return client.fail(entry.error().message);
    const Reply reply = client.api().put("/v1/images", *entry);
    if (!reply) return client.refused(reply);
    if (const int exit = client.print(reply.document); exit != kOk) return exit;
  }
  return kOk;
}

int login(const Arguments&, AzClient& client) {
  client.warn("nothing to log in to: a registry is a name here.");
  return client.print_text("Login Succeeded");
}

// --- the table ---------------------------------------------------------------------------------

constexpr std::array kMapFlags{
    Flag{"--workdir", "DIR", "folder of the processes (default: one of their own)"},
    Flag{"--env", "NAME=VALUE…", "variables; those of a job go before them"},
    Flag{"--runner", "KIND", "process (default), auto, oci or kubernetes"},
    Flag{"--archive", "FILE", "the image itself: of `docker save`, or an OCI layout; for oci"},
};
constexpr std::array kBuildFlags{
    Flag{"-r,--registry", "NAME", "the registry, short or as NAME.azurecr.io"},
    Flag{"-t,--image", "NAME:TAG…", "the image"},
    Flag{"-f,--file", "FILE", "the Dockerfile (default: that of the folder)"},
    Flag{"--prepare", "", "install the requirements of a Python application beside it"},
    Flag{"--platform", "NAME", "no effect"},
    Flag{"--no-logs", "", "no effect"},
    kNoWait,
};
constexpr std::array kLoginFlags{
    Flag{"-n,--name", "NAME", "the registry"},
    Flag{"--expose-token", "", "no effect"},
};

}  // namespace

const std::array<Command, 5> kImageCommands{
    Command{
        "image map", "PATTERN [COMMAND…]",
        "Say what runs for images of this name: `jobmill image map '*/shop:*' -- node shop.js`.",
        kMapFlags, true, map_image},
    Command{"image list", "", "List what was said of images.", {}, true, list_images},
    Command{"image remove", "PATTERN", "Forget what was said of images.", {}, true, remove_image},
    Command{"acr build", "[CONTEXT]",
            "Run an image's command from its sources: reads the Dockerfile, builds nothing.",
            kBuildFlags, true, with_client<build>, true},
    az("acr login", "Does nothing; there is nothing to log in to.", kLoginFlags,
       with_client<login>),
};

}  // namespace jobmill::app
