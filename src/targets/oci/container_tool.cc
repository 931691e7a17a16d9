// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/container_tool.h"

#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/id.h"
#include "targets/oci/bundle.h"
#include "targets/oci/tool_run.h"

namespace jobmill::targets {
namespace {

namespace fs = std::filesystem;
using Kind = ContainerTool::Kind;

constexpr Duration kTryLimit = std::chrono::seconds(30);
constexpr std::string_view kInit = "/.jobmill/init";  // in a container
constexpr std::string_view kTryName = "jobmill-check";

struct NamedTool {
  Kind kind;
  std::string_view name;
};
// In the order in which they are preferred.
constexpr std::array kTools{NamedTool{Kind::Podman, "podman"}, NamedTool{Kind::Crun, "crun"},
                            NamedTool{Kind::Runc, "runc"}};

std::optional<std::string> look_up(std::string_view name, const Texts& environment) {
  const auto path = environment.find("PATH");
  std::istringstream folders(path == environment.end() ? "" : path->second);
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string file = fmt::format("{}/{}", folder, name);
    if (!folder.empty() && ::access(file.c_str(), X_OK) == 0) return file;
  }
  return {};
}

std::string state_folder(const ToolPlace& place) { return place.folder + "/state"; }

// The tool's own words, of which the last line says most.
std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const auto newline = text.rfind('\n');
  return newline == std::string::npos ? text : text.substr(newline + 1);
}

std::string words_of(const ToolRun& run) {
  std::string said = last_line(run.err);
  return said.empty() ? describe(run.exit) : said;
}

Status must_succeed(const ProcessSpec& spec) {
  TRY(const ToolRun run, run_tool(spec, kTryLimit));
  if (run.ok()) return {};
  return fail(Code::Unsupported, words_of(run));
}

// --- trying ------------------------------------------------------------------------------------

constexpr manifest::Limits kTryLimits{.cpu_milli = 1000, .memory_bytes = 64 << 20};

Status make_try_bundle(const ContainerTool& tool, const ToolPlace& place, const fs::path& folder) {
  std::error_code error;
  for (const char* part : {"rootfs", "lower", "upper", "work"})
    if (!error) fs::create_directories(folder / part, error);
  if (error)
    return fail(Code::Unsupported,
                fmt::format("cannot make {} ({})", folder.string(), error.message()));
  const Bundle bundle{.command = {std::string(kInit), "--check"},
                      .environment = {},
                      .user = {},
                      .hostname = std::string(kTryName),
                      .rootfs = "rootfs",
                      .shown = {{place.init, std::string(kInit)}},
                      .limits = tool.limits ? kTryLimits : manifest::Limits(),
                      .rootless = ::geteuid() != 0,
                      .own_uid = ::geteuid(),
                      .own_gid = ::getegid()};
  std::ofstream file(folder / "config.json");
  file << to_json(bundle_config(bundle));
  file.close();
  return file ? Status() : fail(Code::Unsupported, "cannot write to " + folder.string());
}

Status try_bundle(const ContainerTool& tool, const ToolPlace& place) {
  const fs::path folder = fs::path(place.folder) / "check";
  std::error_code ignored;  // what is in the way makes the try fail
  fs::remove_all(folder, ignored);
  TRY_VOID(make_try_bundle(tool, place, folder));
  BundleRun run{.bundle = folder.string(),
                .id = fmt::format("{}-{}", kTryName, random_suffix(8)),
                .pid_file = (folder / "pid").string(),
                .overlay = {}};
  if (tool.overlay)
    run.overlay = overlay_options((folder / "lower").string(), (folder / "upper").string(),
                                  (folder / "work").string());
  const Status tried =
      must_succeed({.command = bundle_command(tool, place, run), .environment = place.environment});
  if (!tried) remove_container(tool, place, run.id);
  fs::remove_all(folder, ignored);
  return tried;
}

Status try_podman(const ContainerTool& tool, const ToolPlace& place) {
  const fs::path folder = fs::path(place.folder) / "check";
  std::error_code error;
  fs::create_directories(folder, error);
  std::vector<std::string> command{tool.program,
                                   "run",
                                   "--rm",
                                   "--network",
                                   "host",
                                   "--security-opt",
                                   "label=disable",
                                   "--log-driver",
                                   "none",
                                   "-v",
                                   fmt::format("{}:{}:ro", place.init, kInit)};
  if (tool.limits)
    for (const char* word : {"--memory", "64m", "--cpus", "1"}) command.emplace_back(word);
  for (const std::string& word :
       {std::string("--rootfs"), folder.string(), std::string(kInit), std::string("--check")})
    command.push_back(word);
  const Status tried =
      must_succeed({.command = std::move(command), .environment = place.environment});
  fs::remove_all(folder, error);
  return tried;
}

Status try_tool(const ContainerTool& tool, const ToolPlace& place) {
  return tool.has_images() ? try_podman(tool, place) : try_bundle(tool, place);
}

// With all that it may be able to do, then with less. The error is that of the last try, which
// asked for the least.
Result<ContainerTool> try_out(ContainerTool tool, const ToolPlace& place) {
  const bool bundles = !tool.has_images();
  const bool root = ::geteuid() == 0;
  Status tried;
  for (const bool limits : {true, false}) {
    for (const bool overlay : {true, false}) {
      if ((overlay && !(bundles && root)) || (limits && bundles && !root)) continue;
      tool.limits = limits;
      tool.overlay = overlay;
      tried = try_tool(tool, place);
      if (tried) return tool;
      if (limits) tool.without_limits = tried.error().message;
    }
  }
  return tried.error();
}

}  // namespace

std::vector<std::string> container_tools(const Texts& environment) {
  std::vector<std::string> found;
  for (const NamedTool& named : kTools)
    if (const auto program = look_up(named.name, environment)) found.push_back(*program);
  return found;
}

bool knows_images(const Texts& environment) { return look_up("podman", environment).has_value(); }

Result<ContainerTool> find_container_tool(const ToolPlace& place, Log& log) {
  std::vector<std::string> reasons;
  for (const NamedTool& named : kTools) {
    const auto program = look_up(named.name, place.environment);
    if (!program) continue;
    auto tool = try_out({.kind = named.kind, .program = *program}, place);
    if (tool) {
      log.info("containers are run by a tool of this machine",
               {{"tool", *program}, {"limits", tool->limits}});
      return tool;
    }
    log.warn("a container tool does not work here",
             {{"tool", *program}, {"reason", tool.error().message}});
    reasons.push_back(fmt::format("{}: {}", named.name, tool.error().message));
  }
  if (reasons.empty())
    return fail(Code::Unsupported, "no container tool found; install podman, crun or runc");
  return fail(Code::Unsupported,
              fmt::format("no container tool works here ({})", fmt::join(reasons, "; ")));
}

std::string overlay_options(std::string_view lower, std::string_view upper, std::string_view work) {
  const auto escaped = [](std::string_view path) {
    std::string text;
    for (const char c : path) {
      if (c == '\\' || c == ':' || c == ',') text += '\\';
      text += c;
    }
    return text;
  };
  return fmt::format("lowerdir={},upperdir={},workdir={}", escaped(lower), escaped(upper),
                     escaped(work));
}

// The overlay is mounted in a mount namespace that the tool and its container have for themselves:
// when they end, however that may be, the kernel unmounts it.
std::vector<std::string> bundle_command(const ContainerTool& tool, const ToolPlace& place,
                                        const BundleRun& run) {
  std::vector<std::string> command;
  if (!run.overlay.empty())
    command = {"unshare",
               "--mount",
               "--propagation",
               "private",
               "sh",
               "-c",
               "mount -t overlay overlay -o \"$1\" \"$2\" && shift 2 && exec \"$@\"",
               "sh",
               run.overlay,
               run.bundle + "/rootfs"};
  command.push_back(tool.program);
  // What it says of itself is not the container's stderr: where it must wait for cgroups to be
  // gone, it says so a dozen times. Why it could not run it says there as well.
  if (tool.kind == ContainerTool::Kind::Runc) {
    command.emplace_back("--log");
    command.push_back(run.bundle + "/tool.log");
  }
  for (const std::string& word :
       {std::string("--root"), state_folder(place), std::string("run"), std::string("--bundle"),
        run.bundle, std::string("--pid-file"), run.pid_file, std::string("--preserve-fds"),
        std::string("1"), run.id})
    command.push_back(word);
  return command;
}

void remove_container(const ContainerTool& tool, const ToolPlace& place, const std::string& id) {
  std::vector<std::string> command{tool.program};
  if (tool.has_images())
    command.insert(command.end(), {"rm", "--force", "--ignore", id});
  else
    command.insert(command.end(), {"--root", state_folder(place), "delete", "--force", id});
  // One that is not there any more is what we want.
  (void)run_tool({.command = std::move(command), .environment = place.environment}, kTryLimit);
}

void remove_leftovers(const ContainerTool& tool, const ToolPlace& place) {
  std::vector<std::string> ids;
  if (tool.has_images()) {
    const auto listed = tool_output({.command = {tool.program, "ps", "--all", "--quiet", "--filter",
                                                 "label=jobmill.folder=" + place.folder},
                                     .environment = place.environment},
                                    kTryLimit);
    std::istringstream lines(listed ? *listed : "");
    for (std::string id; lines >> id;) ids.push_back(id);
  }
  std::error_code error;  // no folder: nothing was left
  if (!tool.has_images())
    for (const auto& entry : fs::directory_iterator(state_folder(place), error))
      ids.push_back(entry.path().filename().string());
  for (const std::string& id : ids) remove_container(tool, place, id);
}

}  // namespace jobmill::targets
