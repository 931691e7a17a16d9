// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/container_setup.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/id.h"
#include "targets/oci/bundle.h"
#include "targets/oci/container_init.h"
#include "targets/oci/tool_run.h"
#include "targets/process/hosts_file.h"

namespace jobmill::targets {

using executions::RunContainer;
using executions::RunReplica;

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kInit = "/.jobmill/init";  // in a container
constexpr std::string_view kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr Duration kToolLimit = std::chrono::minutes(10);  // of a download, for instance
constexpr std::size_t kHostnameBytes = 63;

Fault not_runnable(std::string_view why) {
  return fail(Code::Unsupported, fmt::format("ImageNotRunnable: {}", why));
}

Fault not_startable(const Fault& why) { return fail(why.code, "StartError: " + why.message); }

Status make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) return {};
  return fail(Code::Internal, fmt::format("cannot make {} ({})", folder.string(), error.message()));
}

Status write_file(const std::string& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (file) return {};
  return fail(Code::Internal, "cannot write " + path);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// As Kubernetes has it: a command of one's own is not followed by the image's arguments.
std::vector<std::string> command_of(const RunContainer& container, const ImageConfig& image) {
  std::vector<std::string> words = container.command.empty() ? image.entrypoint : container.command;
  const bool images_own = container.command.empty() && container.args.empty();
  const std::vector<std::string>& args = images_own ? image.command : container.args;
  words.insert(words.end(), args.begin(), args.end());
  return words;
}

Result<std::vector<std::string>> init_command(const RunContainer& container,
                                              const ImageConfig& image) {
  const auto words = command_of(container, image);
  if (words.empty())
    return not_runnable(
        fmt::format("the image '{}' has no command, and the job gives none", container.image));
  std::vector<std::string> command{std::string(kInit), "--"};
  command.insert(command.end(), words.begin(), words.end());
  return command;
}

Texts environment_of(const RunContainer& container, const ImageConfig& image) {
  Texts all = image.environment;
  all.try_emplace("PATH", kPath);
  for (const auto& [name, value] : container.environment) all[name] = value;
  return all;
}

std::string workdir_of(const RunContainer& container, const ImageConfig& image) {
  const std::string& own = container.workdir.empty() ? image.workdir : container.workdir;
  return own.empty() ? "/" : own;
}

// Those of this machine that the container is to see; what is not there is not shown.
std::vector<Shown> shown_to(const RunContainer& container, const std::string& init,
                            const std::string& hosts) {
  std::vector<Shown> all{
      {init, std::string(kInit)}, {hosts, "/etc/hosts"}, {"/etc/resolv.conf", "/etc/resolv.conf"}};
  for (const std::string& file : container.files) all.push_back({file, file});
  std::erase_if(all, [](const Shown& one) {
    std::error_code error;
    return !fs::exists(one.source, error);
  });
  return all;
}

bool wants_limits(const RunReplica& replica) {
  const auto limited = [](const RunContainer& one) { return one.cpu_milli || one.memory_bytes; };
  return limited(replica.main) || std::ranges::any_of(replica.init, limited) ||
         std::ranges::any_of(replica.beside, limited);
}

// In the order in which they are launched.
std::vector<const RunContainer*> containers_of(const RunReplica& replica) {
  std::vector<const RunContainer*> all;
  for (const RunContainer& init : replica.init) all.push_back(&init);
  for (const RunContainer& beside : replica.beside) all.push_back(&beside);
  all.push_back(&replica.main);
  return all;
}

}  // namespace

ContainerSetup::ContainerSetup(std::string folder, Texts environment, Log& log)
    : place_{.folder = folder, .init = folder + "/init", .environment = std::move(environment)},
      log_(log),
      images_(folder + "/images") {}

Result<std::vector<ContainerLaunch>> ContainerSetup::prepare(const RunReplica& replica,
                                                             const std::string& folder) {
  if (const Status found = find_tool(); !found) return not_runnable(found.error().message);
  say_unlimited(replica);
  const std::string hosts = folder + "/hosts";
  if (const Status written =
          write_file(hosts, with_local_names(read_file("/etc/hosts"), replica.local_names));
      !written)
    return not_startable(written.error());
  std::vector<ContainerLaunch> launches;
  for (const RunContainer* container : containers_of(replica)) {
    const std::size_t number = launches.size();
    const Parts parts{
        .replica = replica,
        .container = *container,
        .folder = fmt::format("{}/{}", folder, number),
        .hosts = hosts,
        // Its cgroup is called so, too, and other servers may have such a replica.
        .id = fmt::format("jobmill-{}-{}-{}", replica.replica, number, random_suffix(8))};
    if (const Status made = make_folder(parts.folder); !made) return not_startable(made.error());
    TRY(ContainerLaunch launch, (*tool_)->has_images() ? podman(parts) : bundle(parts));
    launches.push_back(std::move(launch));
  }
  return launches;
}

void ContainerSetup::remove(const std::string& id) {
  if (tool_ && *tool_) remove_container(**tool_, place_, id);
}

// Once; and again when no tool worked, and others are there now.
Status ContainerSetup::find_tool() {
  if (tool_ && (*tool_ || tried_ == container_tools(place_.environment))) {
    if (*tool_) return {};
    return tool_->error();
  }
  tried_ = container_tools(place_.environment);
  TRY_VOID(write_init());
  tool_ = find_container_tool(place_, log_);
  if (!*tool_) return tool_->error();
  remove_leftovers(**tool_, place_);
  return {};
}

// To a file of its own first: the old one may be running.
Status ContainerSetup::write_init() {
  TRY_VOID(make_folder(place_.folder));
  const std::string fresh = place_.init + ".new";
  TRY_VOID(write_file(fresh, container_init()));
  std::error_code error;
  fs::permissions(fresh, fs::perms(0755), error);
  if (!error) fs::rename(fresh, place_.init, error);
  if (!error) return {};
  return fail(Code::Internal, fmt::format("cannot write {} ({})", place_.init, error.message()));
}

void ContainerSetup::say_unlimited(const RunReplica& replica) {
  if ((*tool_)->limits || !wants_limits(replica) || std::exchange(said_unlimited_, true)) return;
  log_.warn("resources are not limited on this machine",
            {{"job", replica.job}, {"reason", (*tool_)->without_limits}});
}

// --- crun and runc -----------------------------------------------------------------------------

Result<ContainerLaunch> ContainerSetup::bundle(const Parts& parts) {
  const RunContainer& container = parts.container;
  if (container.archive.empty())
    return not_runnable(fmt::format(
        "no file is known for image '{0}', and {1} fetches none; add one with: jobmill image map "
        "'{0}' --runner oci --archive FILE",
        container.image, fs::path((*tool_)->program).filename().string()));
  const auto image = images_.get(container.archive, container.image);
  if (!image) return not_runnable(image.error().message);
  TRY(auto command, init_command(container, image->config));
  const auto user = find_user(image->config.user, image->rootfs);
  if (!user) return not_runnable(user.error().message);
  BundleRun run{
      .bundle = parts.folder, .id = parts.id, .pid_file = parts.folder + "/pid", .overlay = {}};
  Bundle made{.command = std::move(command),
              .environment = environment_of(container, image->config),
              .workdir = workdir_of(container, image->config),
              .user = *user,
              .hostname = parts.replica.replica.substr(0, kHostnameBytes),
              .rootfs = "rootfs",
              .shown = shown_to(container, place_.init, parts.hosts),
              .rootless = ::geteuid() != 0,
              .own_uid = ::geteuid(),
              .own_gid = ::getegid()};
  if ((*tool_)->limits)
    made.limits = {.cpu_milli = container.cpu_milli, .memory_bytes = container.memory_bytes};
  Status status = fill_rootfs(parts, *image, run);
  if (status) status = write_file(parts.folder + "/config.json", to_json(bundle_config(made)));
  if (!status) return not_startable(status.error());
  return ContainerLaunch{
      .spec = {.command = bundle_command(**tool_, place_, run), .environment = place_.environment},
      .id = run.id,
      .pid_file = run.pid_file};
}

// The image stays as it is: the container writes to a layer over it, or to a copy.
Status ContainerSetup::fill_rootfs(const Parts& parts, const UnpackedImage& image,
                                   BundleRun& run) const {
  const std::string rootfs = parts.folder + "/rootfs";
  TRY_VOID(make_folder(rootfs));
  if ((*tool_)->overlay) {
    TRY_VOID(make_folder(parts.folder + "/upper"));
    TRY_VOID(make_folder(parts.folder + "/work"));
    run.overlay = overlay_options(image.rootfs, parts.folder + "/upper", parts.folder + "/work");
    // The root folder of the container is the upper one, with its rights.
    struct stat info {};
    if (::stat(image.rootfs.c_str(), &info) == 0)
      ::chmod((parts.folder + "/upper").c_str(), info.st_mode & 07777);
    return {};
  }
  const auto copied =
      tool_output({.command = {"cp", "-a", "--reflink=auto", image.rootfs + "/.", rootfs},
                   .environment = place_.environment},
                  kToolLimit);
  if (!copied) return copied.error();
  return {};
}

// --- podman ------------------------------------------------------------------------------------

namespace {

// These mean something to podman itself, so it must not find the container's in its environment.
// What they say is seen by everybody in the command line.
bool for_command_line(std::string_view name) {
  static constexpr std::array<std::string_view, 4> kNames{"PATH", "HOME", "TMPDIR", "USER"};
  static constexpr std::array<std::string_view, 6> kBeginnings{"LD_",       "XDG_",     "CONTAINER",
                                                               "REGISTRY_", "STORAGE_", "DBUS_"};
  return std::ranges::find(kNames, name) != kNames.end() ||
         std::ranges::any_of(kBeginnings, [&](auto begin) { return name.starts_with(begin); });
}

}  // namespace

Result<std::string> ContainerSetup::ask_podman(std::vector<std::string> words) const {
  words.insert(words.begin(), (*tool_)->program);
  return tool_output({.command = std::move(words), .environment = place_.environment}, kToolLimit);
}

// The name by which podman knows the image, which it fetches where it has to.
Result<std::string> ContainerSetup::podman_image(const RunContainer& container) {
  if (!container.archive.empty()) {
    std::error_code error;
    const bool folder = fs::is_directory(container.archive, error);
    TRY(std::string said, folder ? ask_podman({"pull", "--quiet", "oci:" + container.archive})
                                 : ask_podman({"load", "--quiet", "-i", container.archive}));
    while (!said.empty() && said.back() == '\n') said.pop_back();
    const auto line = said.rfind('\n');
    if (line != std::string::npos) said.erase(0, line + 1);
    constexpr std::string_view kLoaded = "Loaded image: ";
    return said.starts_with(kLoaded) ? said.substr(kLoaded.size()) : said;
  }
  if (!ask_podman({"image", "exists", container.image}))
    TRY_VOID(ask_podman({"pull", "--quiet", container.image}));
  return container.image;
}

Result<ContainerLaunch> ContainerSetup::podman(const Parts& parts) {
  const RunContainer& container = parts.container;
  const auto image = podman_image(container);
  if (!image) return not_runnable(image.error().message);
  const auto text = ask_podman({"image", "inspect", *image});
  if (!text) return not_runnable(text.error().message);
  const auto inspected = parse_json(*text);
  if (!inspected) return not_runnable(inspected.error().message);
  const Node* config = inspected->items.empty() ? nullptr : inspected->items.front().find("Config");
  const ImageConfig image_config = config == nullptr ? ImageConfig() : decode_image_config(*config);
  TRY(const auto command, init_command(container, image_config));

  ContainerLaunch launch{.spec = {.command = {(*tool_)->program,
                                              "run",
                                              "--rm",
                                              "--interactive",
                                              "--preserve-fds",
                                              "1",
                                              "--name",
                                              parts.id,
                                              "--label",
                                              "jobmill.folder=" + place_.folder,
                                              "--network",
                                              "host",
                                              "--security-opt",
                                              "label=disable",
                                              "--log-driver",
                                              "none",
                                              "--pull",
                                              "never",
                                              "--pidfile",
                                              parts.folder + "/pid",
                                              "--workdir",
                                              workdir_of(container, image_config),
                                              "--entrypoint",
                                              command.front()},
                                  .environment = place_.environment},
                         .id = parts.id,
                         .pid_file = parts.folder + "/pid"};
  std::vector<std::string>& words = launch.spec.command;
  const auto add = [&words](const char* flag, std::string value) {
    words.emplace_back(flag);
    words.push_back(std::move(value));
  };
  for (const Shown& shown : shown_to(container, place_.init, parts.hosts))
    add("--volume", fmt::format("{}:{}:ro", shown.source, shown.target));
  for (const auto& [name, value] : environment_of(container, image_config)) {
    if (!for_command_line(name)) launch.spec.environment[name] = value;
    add("--env", for_command_line(name) ? name + "=" + value : name);
  }
  if ((*tool_)->limits && container.cpu_milli)
    add("--cpus", fmt::format("{:.3f}", static_cast<double>(*container.cpu_milli) / 1000));
  if ((*tool_)->limits && container.memory_bytes)
    add("--memory", fmt::format("{}b", *container.memory_bytes));
  words.push_back(*image);
  words.insert(words.end(), command.begin() + 1, command.end());
  return launch;
}

}  // namespace jobmill::targets
