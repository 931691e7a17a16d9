// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/bundle.h"

#include <array>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace jobmill::targets {
namespace {

using Words = std::initializer_list<std::string_view>;

// What the usual container programs leave to root in a container, less the making of devices.
constexpr std::array<std::string_view, 13> kCapabilities{
    "CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_FSETID",     "CAP_FOWNER",  "CAP_NET_RAW",
    "CAP_SETGID", "CAP_SETUID",       "CAP_SETFCAP",    "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
    "CAP_KILL",   "CAP_SYS_CHROOT",   "CAP_AUDIT_WRITE"};
constexpr std::array<std::string_view, 8> kMasked{
    "/proc/acpi",       "/proc/kcore", "/proc/keys",        "/proc/latency_stats",
    "/proc/timer_list", "/proc/scsi",  "/proc/sched_debug", "/sys/firmware"};
constexpr std::array<std::string_view, 6> kReadonly{
    "/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
constexpr std::int64_t kPeriod = 100'000;  // microseconds, the kernel's default

template <class Texts>
Node strings(const Texts& texts) {
  Node list = Node::array();
  for (const auto& text : texts) list.push(Node::string(text));
  return list;
}

Node object(std::initializer_list<std::pair<std::string, Node>> members) {
  Node node = Node::object();
  for (const auto& [key, value] : members) node.set(key, value);
  return node;
}

Node mount(std::string_view type, std::string_view source, std::string_view target, Words options) {
  return object({{"destination", Node::string(target)},
                 {"type", Node::string(type)},
                 {"source", Node::string(source)},
                 {"options", strings(options)}});
}

Node mounts_of(const Bundle& bundle) {
  Node mounts = Node::array();
  mounts.push(mount("proc", "proc", "/proc", {"nosuid", "noexec", "nodev"}));
  mounts.push(
      mount("tmpfs", "tmpfs", "/dev", {"nosuid", "strictatime", "mode=755", "size=65536k"}));
  mounts.push(mount("devpts", "devpts", "/dev/pts",
                    {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}));
  mounts.push(
      mount("tmpfs", "shm", "/dev/shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}));
  mounts.push(mount("mqueue", "mqueue", "/dev/mqueue", {"nosuid", "noexec", "nodev"}));
  // A new one would be that of a network namespace, which only root of it may have.
  if (bundle.rootless)
    mounts.push(mount("none", "/sys", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"}));
  else
    mounts.push(mount("sysfs", "sysfs", "/sys", {"nosuid", "noexec", "nodev", "ro"}));
  for (const Shown& shown : bundle.shown)
    mounts.push(mount("bind", shown.source, shown.target, {"rbind", "ro", "nosuid", "nodev"}));
  return mounts;
}

Node process_of(const Bundle& bundle) {
  Node variables = Node::array();
  for (const auto& [name, value] : bundle.environment)
    variables.push(Node::string(name + "=" + value));
  const Node capabilities = strings(kCapabilities);
  return object({{"terminal", Node::boolean(false)},
                 {"user", object({{"uid", Node::integer(bundle.user.uid)},
                                  {"gid", Node::integer(bundle.user.gid)}})},
                 {"args", strings(bundle.command)},
                 {"env", std::move(variables)},
                 {"cwd", Node::string(bundle.workdir)},
                 {"capabilities", object({{"bounding", capabilities},
                                          {"effective", capabilities},
                                          {"permitted", capabilities}})},
                 {"noNewPrivileges", Node::boolean(false)}});
}

Node resources_of(const Bundle& bundle) {
  Node nothing = object({{"allow", Node::boolean(false)}, {"access", Node::string("rwm")}});
  Node devices = Node::array();  // beside those that every container has
  devices.push(std::move(nothing));
  Node resources = object({{"devices", std::move(devices)}});
  if (const auto memory = bundle.limits.memory_bytes)
    resources.set("memory", object({{"limit", Node::integer(*memory)}}));
  if (const auto cpu = bundle.limits.cpu_milli)
    resources.set("cpu", object({{"quota", Node::integer(*cpu * (kPeriod / 1000))},
                                 {"period", Node::integer(kPeriod)}}));
  return resources;
}

Node mapping(std::uint32_t inside, std::uint32_t outside) {
  Node list = Node::array();
  list.push(object({{"containerID", Node::integer(inside)},
                    {"hostID", Node::integer(outside)},
                    {"size", Node::integer(1)}}));
  return list;
}

Node linux_of(const Bundle& bundle) {
  Node namespaces = Node::array();
  for (const char* type : {"pid", "ipc", "uts", "mount"})
    namespaces.push(object({{"type", Node::string(type)}}));
  Node kernel = Node::object();
  if (bundle.rootless) {
    namespaces.push(object({{"type", Node::string("user")}}));
    kernel.set("uidMappings", mapping(bundle.user.uid, bundle.own_uid));
    kernel.set("gidMappings", mapping(bundle.user.gid, bundle.own_gid));
  } else {
    kernel.set("resources", resources_of(bundle));
  }
  kernel.set("namespaces", std::move(namespaces));
  kernel.set("maskedPaths", strings(kMasked));
  kernel.set("readonlyPaths", strings(kReadonly));
  return kernel;
}

}  // namespace

Node bundle_config(const Bundle& bundle) {
  return object({{"ociVersion", Node::string("1.0.2")},
                 {"process", process_of(bundle)},
                 {"root", object({{"path", Node::string(bundle.rootfs)},
                                  {"readonly", Node::boolean(false)}})},
                 {"hostname", Node::string(bundle.hostname)},
                 {"mounts", mounts_of(bundle)},
                 {"linux", linux_of(bundle)}});
}

}  // namespace jobmill::targets
