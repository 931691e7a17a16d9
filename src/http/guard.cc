// SPDX-License-Identifier: Apache-2.0
#include "http/guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/text.h"
#include "net/address.h"

namespace jobmill::http {
namespace {

// "[::1]:8000" -> "::1", "Jobs.Example:80" -> "jobs.example".
std::string host_name(std::string_view host) {
  if (host.starts_with('[')) return lower(host.substr(1, host.find(']') - 1));
  return lower(host.substr(0, host.find(':')));
}

// Browsers leave out the scheme's own port, in Origin as in Host.
bool is_same_origin(std::string_view origin, std::string_view host) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (origin.starts_with(scheme)) return iequals(origin.substr(scheme.size()), host);
  }
  return false;  // "null", an extension, …
}

bool is_ours(const std::string& name, const GuardRules& rules) {
  return net::is_loopback(name) || rules.hosts.contains(name);
}

// The browser shows the answer in its window; the page with the link does not get to see it.
bool is_followed_link(const Request& request) {
  return request.headers.get("Sec-Fetch-Mode") == "navigate" &&
         request.headers.get("Sec-Fetch-Dest") == "document";
}

}  // namespace

Status check_origin(const Request& request, const GuardRules& rules) {
  const auto host = request.headers.get("Host");
  const auto origin = request.headers.get("Origin");
  if (origin && !is_same_origin(*origin, host.value_or(""))) {
    return fail(Code::PermissionDenied, fmt::format("a request from another origin, {}", *origin));
  }
  const auto site = request.headers.get("Sec-Fetch-Site");
  const bool followed = rules.links && is_followed_link(request);
  if (site && iequals(*site, "cross-site") && !followed) {
    return fail(Code::PermissionDenied, "a request from another site");
  }
  if (rules.loopback && host && !is_ours(host_name(*host), rules)) {
    return fail(Code::PermissionDenied,
                fmt::format("this server is not called {}; allow the name in `hosts`", *host));
  }
  return {};
}

}  // namespace jobmill::http
