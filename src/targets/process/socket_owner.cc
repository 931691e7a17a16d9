// SPDX-License-Identifier: Apache-2.0
#include "targets/process/socket_owner.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <system_error>

#include <fmt/format.h>

#include "targets/process/process_table.h"

namespace jobmill::targets {
namespace {

namespace fs = std::filesystem;

struct Endpoint {
  std::array<std::uint8_t, 16> address{};  // of IPv4: mapped, as sockets of both kinds show it
  std::uint16_t port = 0;
  bool operator==(const Endpoint&) const = default;
};

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

template <class T>
bool parse_number(std::string_view text, int base, T& number) {
  const auto [end, error] = std::from_chars(text.begin(), text.end(), number, base);
  return error == std::errc() && end == text.end();
}

std::optional<Endpoint> parse_peer(std::string_view peer) {
  const std::size_t colon = peer.rfind(':');
  Endpoint endpoint;
  if (colon == std::string_view::npos || !parse_number(peer.substr(colon + 1), 10, endpoint.port)) {
    return {};
  }
  std::string host(peer.substr(0, colon));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (::inet_pton(AF_INET6, host.c_str(), endpoint.address.data()) == 1) return endpoint;
  std::ranges::copy(kMapped, endpoint.address.begin());
  if (::inet_pton(AF_INET, host.c_str(), endpoint.address.data() + kMapped.size()) == 1) {
    return endpoint;
  }
  return {};
}

// "0100007F:9D78": the address in words of four bytes, each in the machine's own order.
std::optional<Endpoint> parse_listed(std::string_view text) {
  const std::size_t colon = text.find(':');
  Endpoint endpoint;
  if (colon != 8 && colon != 32) return {};
  if (!parse_number(text.substr(colon + 1), 16, endpoint.port)) return {};
  std::size_t at = 0;
  if (colon == 8) {
    std::ranges::copy(kMapped, endpoint.address.begin());
    at = kMapped.size();
  }
  for (std::size_t i = 0; i < colon; i += 8, at += 4) {
    std::uint32_t word = 0;
    if (!parse_number(text.substr(i, 8), 16, word)) return {};
    std::memcpy(endpoint.address.data() + at, &word, sizeof word);
  }
  return endpoint;
}

// One address may be that of several sockets, with different other ends.
void add_inodes(const char* table, const Endpoint& peer, std::set<std::string>& inodes) {
  std::ifstream file(table);
  std::string line;
  std::getline(file, line);  // the heading
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string number;
    std::string local;
    words >> number >> local;
    if (parse_listed(local) != peer) continue;
    std::string inode;
    for (int word = 0; word < 8; ++word) words >> inode;  // remote, state, …, inode
    if (inode != "0") inodes.insert(inode);               // 0: closed, waits for late segments
  }
}

bool holds_one(pid_t pid, const std::set<std::string>& inodes) {
  std::error_code error;  // it has ended, or is not ours to look at
  for (const auto& entry : fs::directory_iterator(fmt::format("/proc/{}/fd", pid), error)) {
    const std::string target = fs::read_symlink(entry.path(), error).string();
    if (!target.starts_with("socket:[") || !target.ends_with(']')) continue;
    if (inodes.count(target.substr(8, target.size() - 9)) > 0) return true;
  }
  return false;
}

}  // namespace

std::optional<std::string> replica_of_socket(std::string_view peer,
                                             std::span<const ReplicaLeader> leaders) {
  const auto endpoint = parse_peer(peer);
  if (!endpoint || leaders.empty()) return {};
  std::set<std::string> inodes;
  add_inodes("/proc/net/tcp", *endpoint, inodes);
  add_inodes("/proc/net/tcp6", *endpoint, inodes);
  if (inodes.empty()) return {};

  std::optional<std::string> owner;
  for (const ListedProcess& process : listed_processes()) {
    const auto leader = std::ranges::find(leaders, process.session, &ReplicaLeader::pid);
    if (leader == leaders.end() || !holds_one(process.pid, inodes)) continue;
    if (owner && *owner != leader->replica) return {};
    owner = leader->replica;
  }
  return owner;
}

}  // namespace jobmill::targets
