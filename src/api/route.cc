// SPDX-License-Identifier: Apache-2.0
#include "api/route.h"

#include <fmt/format.h>
#include <algorithm>
#include <cassert>
#include <optional>

#include "api/problem.h"
#include "api/service_bus_api.h"

namespace jobmill::api {
namespace {

std::vector<std::string_view> segments(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const auto end = std::min(path.find('/'), path.size());
    parts.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return parts;
}

constexpr std::string_view kSeveral = "…}";
constexpr std::string_view kArm = "subscriptions";

bool is_name(std::string_view segment) { return segment.starts_with('{'); }

std::string_view name_of(std::string_view segment) {
  segment.remove_prefix(1);
  segment.remove_suffix(segment.ends_with(kSeveral) ? kSeveral.size() : 1);
  return segment;
}

// Where the pattern's {name…} stands, if it has one.
std::optional<std::ptrdiff_t> several_at(const std::vector<std::string_view>& pattern) {
  const auto at = std::ranges::find_if(
      pattern, [](std::string_view segment) { return segment.ends_with(kSeveral); });
  return at == pattern.end() ? std::nullopt : std::optional(at - pattern.begin());
}

// The segments that a {name…} stands for become one.
void join(std::vector<std::string>& path, std::ptrdiff_t at, std::size_t size) {
  const auto first = path.begin() + at;
  for (; path.size() > size; path.erase(first + 1)) *first += "/" + *(first + 1);
}

// Clients of Azure Resource Manager write the words of its paths in any case.
bool same_literal(std::string_view pattern, std::string_view segment, bool arm) {
  return arm ? http::iequals(pattern, segment) : pattern == segment;
}

// The parameters, if the pattern fits. Literals are compared decoded, as any client may encode.
std::optional<Parameters> fit(const std::vector<std::string_view>& pattern,
                              const std::vector<std::string>& path) {
  if (path.size() > pattern.size()) {
    const auto several = several_at(pattern);
    if (!several) return std::nullopt;
    std::vector<std::string> shorter = path;
    join(shorter, *several, pattern.size());
    return fit(pattern, shorter);
  }
  if (pattern.size() != path.size()) return std::nullopt;
  const bool arm = !pattern.empty() && pattern.front() == kArm;
  Parameters found;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (is_name(pattern[i]) && !path[i].empty())
      found.emplace_back(name_of(pattern[i]), path[i]);
    else if (!same_literal(pattern[i], path[i], arm))
      return std::nullopt;
  }
  return found;
}

std::optional<std::vector<std::string>> decoded_segments(std::string_view target) {
  if (!target.starts_with('/')) return std::nullopt;
  std::vector<std::string> parts;
  for (const std::string_view raw : segments(target.substr(0, target.find('?')))) {
    auto part = http::url_decode(raw);
    if (!part) return std::nullopt;
    parts.push_back(*std::move(part));
  }
  return parts;
}

// Of two patterns that fit one path, that one with fewer names is meant.
bool more_exact(const Parameters& a, const Match& best) {
  return best.route == nullptr || a.size() < best.path.size();
}

std::string_view served_as(std::string_view method) { return method == "HEAD" ? "GET" : method; }

}  // namespace

const std::string& Call::parameter(std::string_view name) const {
  const auto found = std::ranges::find(path, name, &Parameters::value_type::first);
  assert(found != path.end());  // the pattern names it
  return found->second;
}

Match match(std::span<const Route> routes, std::string_view method, std::string_view target) {
  Match best;
  const auto path = decoded_segments(target);
  if (!path) return best;
  for (const Route& route : routes) {
    auto parameters = fit(segments(route.pattern), *path);
    if (!parameters) continue;
    if (std::ranges::find(best.allowed, route.method) == best.allowed.end())
      best.allowed.push_back(route.method);
    if (route.method != served_as(method) || !more_exact(*parameters, best)) continue;
    best.route = &route;
    best.path = *std::move(parameters);
  }
  return best;
}

http::Response no_route(const Match& match, const http::Request& request) {
  if (match.allowed.empty())
    return to_response(
        Problem{.status = 404, .code = "not_found", .detail = "nothing is at " + request.path});
  const std::string allowed = fmt::format("{}", fmt::join(match.allowed, ", "));
  auto response = to_response(
      Problem{.status = 405,
              .code = "method_not_allowed",
              .detail = fmt::format("{} takes {}, not {}", request.path, allowed, request.method)});
  response.headers.set("Allow", allowed);
  return response;
}

void answer(ApiContext& context, http::Responder responder, std::function<http::Response()> work) {
  context.pool.post(
      [responder = std::move(responder), work = std::move(work)] { responder.send(work()); });
}

std::size_t body_limit(std::string_view method, std::string_view target, std::size_t usual) {
  const std::string_view path = target.substr(0, target.find('?'));
  const bool sends = path.starts_with("/v1/messages/") && path.ends_with("/send");
  const bool insert = method == "POST" && (path == "/v1/jobs" || sends);
  return insert ? std::max(usual, kInsertBodyBytes) : usual;
}

std::vector<Route> all_routes() {
  std::vector<Route> routes;
  for (const auto part : {worker_routes(), jobs_routes(), recurring_routes(), queues_routes(),
                          metrics_routes(), openapi_routes(), manifest_routes(), arm_routes(),
                          message_routes(), container_app_routes(), execution_routes()})
    routes.insert(routes.end(), part.begin(), part.end());
  return routes;
}

}  // namespace jobmill::api
