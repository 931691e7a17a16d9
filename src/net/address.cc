// SPDX-License-Identifier: Apache-2.0
#include "net/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/text.h"

namespace fs = std::filesystem;

namespace jobmill::net {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

// Inodes of the sockets that listen on the port. A line of /proc/net/tcp (proc(5)):
// "sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode", hexadecimal port.
void add_listening_inodes(const char* table, std::uint16_t port, std::set<std::string>& inodes) {
  std::ifstream file(table);
  const std::string suffix = fmt::format(":{:04X}", port);
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string sl, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
    words >> sl >> local >> remote >> state >> queues >> timer >> retransmits >> uid >> timeout >>
        inode;
    if (state == "0A" && local.ends_with(suffix)) inodes.insert(inode);
  }
}

bool holds_socket(const fs::path& process, const std::set<std::string>& inodes) {
  std::error_code error;  // other users' processes and those that end meanwhile are passed over
  for (fs::directory_iterator fd(process / "fd", error), end; !error && fd != end;
       fd.increment(error)) {
    std::error_code unreadable;
    const std::string link = fs::read_symlink(fd->path(), unreadable).string();
    if (link.starts_with("socket:[") && inodes.contains(link.substr(8, link.size() - 9))) {
      return true;
    }
  }
  return false;
}

bool is_pid(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

Result<Address> parse_address(std::string_view text) {
  const auto invalid = [text](std::string_view why) {
    return fail(Code::InvalidArgument, fmt::format("address {}: {}", text, why));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return invalid("HOST:PORT expected");
  std::string_view host = text.substr(0, colon);
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return invalid("the port must be 0 to 65535");

  if (host.empty()) return Address{.host = "127.0.0.1", .port = *port};
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!bracketed && host.find_first_of(":[]") != std::string_view::npos) {
    return invalid("an IPv6 address is written in brackets, [::1]:8000");
  }
  return Address{.host = std::string(host), .port = *port};
}

std::string format_address(std::string_view host, std::uint16_t port) {
  const bool ipv6 = host.find(':') != std::string_view::npos;
  return ipv6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

bool is_loopback(std::string_view host) {
  std::string name = lower(host);
  if (name.ends_with('.')) name.pop_back();
  if (name == "localhost" || name.ends_with(".localhost")) return true;
  in_addr v4{};
  if (inet_pton(AF_INET, name.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6{};
  return inet_pton(AF_INET6, name.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

std::optional<std::string> listening_process(std::uint16_t port) {
  std::set<std::string> inodes;
  add_listening_inodes("/proc/net/tcp", port, inodes);
  add_listening_inodes("/proc/net/tcp6", port, inodes);
  if (inodes.empty()) return std::nullopt;

  std::error_code error;
  for (fs::directory_iterator process("/proc", error), end; !error && process != end;
       process.increment(error)) {
    const std::string pid = process->path().filename().string();
    if (!is_pid(pid) || !holds_socket(process->path(), inodes)) continue;
    std::string name;
    std::getline(std::ifstream(process->path() / "comm"), name);
    return fmt::format("{} (pid {})", name.empty() ? "a process" : name, pid);
  }
  return std::nullopt;
}

}  // namespace jobmill::net
