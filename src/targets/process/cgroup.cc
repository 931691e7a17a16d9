// SPDX-License-Identifier: Apache-2.0
#include "targets/process/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <system_error>

#include <fmt/format.h>

namespace jobmill::targets {
namespace {

constexpr int kPeriod = 100'000;  // microseconds, the kernel's default

Fault refused(std::string_view what, const std::string& path) {
  return fail(Code::Unsupported,
              fmt::format("cannot {} {} ({})", what, path, std::generic_category().message(errno)));
}

// In a cgroup file system the files are there already, and creating changes nothing.
Result<Fd> open_for_writing(const std::string& path) {
  Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return refused("write to", path);
  return fd;
}

Status put(const std::string& path, std::string_view text) {
  TRY(const Fd fd, open_for_writing(path));
  if (::write(fd.get(), text.data(), text.size()) < 0) return refused("write to", path);
  return {};
}

Status make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return refused("make", path);
  return {};
}

Status set_limits(const std::string& folder, const manifest::Limits& limits) {
  if (limits.memory_bytes) {
    TRY_VOID(put(folder + "/memory.max", std::to_string(*limits.memory_bytes)));
  }
  if (limits.cpu_milli) {
    TRY_VOID(put(folder + "/cpu.max",
                 fmt::format("{} {}", *limits.cpu_milli * (kPeriod / 1000), kPeriod)));
  }
  return {};
}

}  // namespace

Cgroup::~Cgroup() {
  if (procs_) ::rmdir(path_.c_str());  // fails while something lives in it, which then keeps it
}

bool Cgroup::out_of_memory() const {
  std::ifstream events(path_ + "/memory.events");
  for (std::string name; events >> name;) {
    long long count = 0;
    events >> count;
    if (name == "oom_kill") return count > 0;
  }
  return false;
}

Result<Cgroup> Cgroups::create(std::string_view name, const manifest::Limits& limits) {
  if (!own_) own_ = prepare();
  if (!*own_) return own_->error();
  const std::string folder = fmt::format("{}/{}", **own_, name);
  TRY_VOID(make_folder(folder));
  TRY_VOID(set_limits(folder, limits));
  TRY(Fd procs, open_for_writing(folder + "/cgroup.procs"));
  return Cgroup(folder, std::move(procs));
}

Result<std::string> Cgroups::prepare() const {
  if (::access((root_ + "/cgroup.controllers").c_str(), R_OK) != 0) {
    return fail(Code::Unsupported, "this machine has no cgroup v2 at " + root_);
  }
  std::ifstream membership(membership_);
  std::string line;
  while (std::getline(membership, line) && !line.starts_with("0::")) {
  }
  if (!line.starts_with("0::")) return fail(Code::Unsupported, "we are in no cgroup v2");

  const std::string path = line.substr(3);
  const std::string own = root_ + (path == "/" ? "" : path);
  if (::access((own + "/cgroup.subtree_control").c_str(), W_OK) != 0) {
    return refused("use", own);
  }
  TRY_VOID(make_folder(own + "/server"));
  TRY_VOID(put(own + "/server/cgroup.procs", "0"));
  TRY_VOID(put(own + "/cgroup.subtree_control", "+cpu +memory"));
  return own;
}

}  // namespace jobmill::targets
