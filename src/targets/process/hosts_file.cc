// SPDX-License-Identifier: Apache-2.0
#include "targets/process/hosts_file.h"

#include <netdb.h>
#include <netinet/in.h>
#include <strings.h>

#include <algorithm>
#include <memory>
#include <sstream>

namespace jobmill::targets {
namespace {

struct HostsLine {
  std::string address;  // empty: a comment
  std::vector<std::string> names;
};

HostsLine parse(std::string_view line) {
  std::istringstream words{std::string(line.substr(0, line.find('#')))};
  HostsLine parsed;
  words >> parsed.address;
  for (std::string name; words >> name;) parsed.names.push_back(std::move(name));
  return parsed;
}

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

bool names(const HostsLine& line, std::string_view name) {
  return std::ranges::any_of(line.names,
                             [&](const std::string& other) { return same_name(other, name); });
}

bool is_loopback(std::string_view address) {
  return address.starts_with("127.") || address == "::1";
}

bool is_loopback(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
  }
  return address.sa_family == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
}

template <class F>
void each_line(std::string_view text, const F& take) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    take(line);
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
}

}  // namespace

bool leads_here(std::string_view hosts, std::string_view name) {
  bool here = false;
  bool elsewhere = false;
  each_line(hosts, [&](std::string_view text) {
    const HostsLine line = parse(text);
    if (!names(line, name)) return;
    (is_loopback(line.address) ? here : elsewhere) = true;
  });
  return here && !elsewhere;
}

std::string with_local_names(std::string_view hosts, const std::vector<std::string>& local) {
  std::string result;
  each_line(hosts, [&](std::string_view text) {
    HostsLine line = parse(text);
    const auto removed = std::erase_if(line.names, [&](const std::string& name) {
      return std::ranges::any_of(local, [&](const auto& other) { return same_name(other, name); });
    });
    if (removed == 0) {
      result.append(text).append("\n");
    } else if (!line.names.empty()) {
      result += line.address;
      for (const std::string& name : line.names) result += " " + name;
      result += "\n";
    }
  });
  if (local.empty()) return result;
  result += "127.0.0.1";
  for (const std::string& name : local) result += " " + name;
  return result + "\n";
}

bool resolves_here(const std::string& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(name.c_str(), nullptr, &hints, &found) != 0) return false;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, &::freeaddrinfo);
  for (const addrinfo* item = found; item != nullptr; item = item->ai_next) {
    if (!is_loopback(*item->ai_addr)) return false;
  }
  return true;
}

}  // namespace jobmill::targets
