// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "app/api_client.h"
#include "app/commands/commands.h"
#include "app/table.h"
#include "app/version.h"
#include "base/time_zone.h"
#include "net/address.h"

namespace jobmill::app {
namespace {

struct Check {
  bool ok = true;
  std::string name;
  std::string says;
};

// The folder itself, or where a server would make it.
std::string existing(const std::string& path) {
  std::filesystem::path at = std::filesystem::absolute(path);
  while (!std::filesystem::exists(at) && at.has_relative_path()) at = at.parent_path();
  return at.string();
}

Check data_folder(const std::string& path) {
  const std::string folder = existing(path);
  if (::access(folder.c_str(), W_OK) != 0)
    return {false, "data folder",
            fmt::format("{} is not writable; choose another one with --data", folder)};
  std::error_code error;
  const auto space = std::filesystem::space(folder, error);
  const auto free_mb = error ? 0 : space.available >> 20;
  return {free_mb > 64, "data folder", fmt::format("{} is writable, {} MiB free", path, free_mb)};
}

// The median time of one durable 4 KiB write: what every confirmed job costs at least.
Check disk_sync(const std::string& folder) {
  const std::string path = folder + "/.jobmill-doctor";
  const int file = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (file < 0) return {false, "disk sync", "cannot write to " + folder};
  std::array<char, 4096> block{};
  std::vector<double> times;
  for (int i = 0; i < 20; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const bool written =
        ::pwrite(file, block.data(), block.size(), 0) == static_cast<ssize_t>(block.size()) &&
        ::fdatasync(file) == 0;
    if (!written) break;
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
            .count());
  }
  ::close(file);
  ::unlink(path.c_str());
  if (times.empty()) return {false, "disk sync", "fdatasync fails in " + folder};
  std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2));
  return {true, "disk sync",
          fmt::format("{:.2f} ms for one durable write", times[times.size() / 2])};
}

Check port(std::uint16_t number) {
  const auto holder = net::listening_process(number);
  if (!holder) return {true, fmt::format("port {}", number), "free"};
  return {true, fmt::format("port {}", number), fmt::format("in use by {}", *holder)};
}

Check time_zones() {
  const auto zone = TimeZone::find("Europe/Brussels");
  if (zone) return {true, "time zones", "the time-zone data can be read"};
  return {false, "time zones", "no time-zone data; install tzdata"};
}

Check cgroups() {
  std::error_code error;
  const bool writable = ::access("/sys/fs/cgroup/cgroup.subtree_control", W_OK) == 0;
  if (writable) return {true, "cgroups", "cpu and memory limits can be set"};
  const bool there = std::filesystem::exists("/sys/fs/cgroup/cgroup.controllers", error);
  return {true, "cgroups",
          there ? "not delegated to this user: cpu and memory limits are not enforced"
                : "no cgroup v2: cpu and memory limits are not enforced"};
}

Check server(ApiClient& client) {
  const Reply reply = client.get("/health");
  if (!reply)
    return {false, "server",
            fmt::format("no answer from {}; start one with `jobmill dev`", client.url())};
  return {true, "server",
          fmt::format("{} answers, version {}", client.url(), cell(reply.document, "version"))};
}

// Never a failure: only what one should know before going there. None without a broker, or when the
// server does not tell us.
std::optional<Check> cloud_limits(ApiClient& client) {
  const Reply reply = client.get("/v1/servicebus/limits");
  const Node* beyond = reply ? reply.document.find("beyond") : nullptr;
  if (beyond == nullptr) return std::nullopt;
  const std::string setting = cell(reply.document, "limits");
  Check check{true, "cloud limits",
              fmt::format("servicebus.limits is {}; nothing here is beyond them", setting)};
  if (beyond->items.empty()) return check;
  check.says = fmt::format("servicebus.limits is {}; beyond them", setting);
  const char* between = ": ";
  for (const Node& one : beyond->items) check.says += std::exchange(between, "; ") + one.text;
  return check;
}

int doctor(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  const std::string state = environment("STATE_DIRECTORY");
  const std::string data = arguments.get("data", state.empty() ? ".jobmill" : state);
  std::vector<Check> checks{
      data_folder(data), disk_sync(existing(data)), port(8000), port(8080), time_zones(), cgroups(),
      server(*client)};
  if (auto limits = cloud_limits(*client)) checks.push_back(*std::move(limits));

  Node list = Node::array();
  for (const Check& check : checks) {
    if (client->output() == Output::Table)
      fmt::print("{:<4} {:<12} {}\n", check.ok ? "ok" : "FAIL", check.name, check.says);
    Node node = Node::object();
    node.set("check", Node::string(check.name));
    node.set("ok", Node::boolean(check.ok));
    node.set("detail", Node::string(check.says));
    list.push(std::move(node));
  }
  if (client->output() == Output::Json) fmt::print("{}\n", to_json_pretty(list));
  if (client->output() == Output::Yaml) fmt::print("{}", to_yaml(list));
  return std::ranges::all_of(checks, &Check::ok) ? kOk : kFailed;
}

int version(const Arguments& arguments) {
  const auto output = output_of(arguments);
  if (!output) return kUsage;
  const std::string name = fmt::format("jobmill/{}", kVersion);
  Node document = Node::object();
  document.set("version", Node::string(kVersion));
  if (*output != Output::Table) return print(*output, document, Table({""}), {name});
  fmt::print("jobmill {}\n", kVersion);
  return kOk;
}

constexpr std::array kVersionFlags{Flag{"-o,--output", "FORMAT", "table, json, yaml or name"}};
constexpr std::array kDoctorFlags{Flag{"--data", "DIR", "the data folder to check (./.jobmill)"}};

}  // namespace

const std::array<Command, 2> kDoctorCommands{
    Command{"doctor", "", "Check this machine and the server; exit 1 if something fails.",
            kDoctorFlags, true, doctor},
    Command{"version", "", "Print the version.", kVersionFlags, false, version},
};

}  // namespace jobmill::app
