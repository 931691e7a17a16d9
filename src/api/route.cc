// SPDX-License-Identifier: Apache-2.0
#include "api/route.h"

#include <fmt/format.h>
#include <algorithm>
#include <cassert>
#include <optional>

#include "api/insight.h"
#include "api/message_pages.h"
#include "api/problem.h"
#include "api/service_bus_api.h"

namespace jobmill::api {
namespace {

constexpr std::string_view kSeveral = "…}";
constexpr std::string_view kArm = "/subscriptions";

// Takes the first segment, with the slash before it, from the path.
std::string_view take_segment(std::string_view& path) {
  path.remove_prefix(1);
  const auto end = std::min(path.find('/'), path.size());
  const std::string_view segment = path.substr(0, end);
  path.remove_prefix(end);
  return segment;
}

bool is_name(std::string_view segment) { return segment.starts_with('{'); }

std::string_view name_of(std::string_view segment) {
  segment.remove_prefix(1);
  segment.remove_suffix(segment.ends_with(kSeveral) ? kSeveral.size() : 1);
  return segment;
}

// Clients of Azure Resource Manager write the words of its paths in any case.
bool same_literal(std::string_view pattern, std::string_view segment, bool arm) {
  return arm ? http::iequals(pattern, segment) : pattern == segment;
}

// The parameters, if the pattern fits. Literals are compared decoded, as any client may encode.
// Every request is held against every route, and most differ early: so nothing is made before.
std::optional<Parameters> fit(std::string_view pattern, std::span<const std::string> path) {
  const auto size = static_cast<std::size_t>(std::ranges::count(pattern, '/'));
  if (path.size() < size) return std::nullopt;
  const std::size_t more = path.size() - size;  // what a {name…} takes besides one
  const bool arm = pattern.starts_with(kArm);
  Parameters found;
  while (!pattern.empty() && !path.empty()) {
    const std::string_view segment = take_segment(pattern);
    if (!is_name(segment)) {
      if (!same_literal(segment, path.front(), arm)) return std::nullopt;
      path = path.subspan(1);
      continue;
    }
    const std::size_t count = segment.ends_with(kSeveral) ? more + 1 : 1;
    std::string value = fmt::format("{}", fmt::join(path.first(count), "/"));
    if (value.empty()) return std::nullopt;
    found.emplace_back(name_of(segment), std::move(value));
    path = path.subspan(count);
  }
  return path.empty() ? std::optional(std::move(found)) : std::nullopt;
}

std::optional<std::vector<std::string>> decoded_segments(std::string_view target) {
  if (!target.starts_with('/')) return std::nullopt;
  std::vector<std::string> parts;
  for (auto path = target.substr(0, target.find('?')); !path.empty();) {
    auto part = http::url_decode(take_segment(path));
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
    auto parameters = fit(route.pattern, *path);
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
  if (method != "POST") return usual;
  if (path == "/v1/jobs" || path == "/api/jobs" || sends) return std::max(usual, kInsertBodyBytes);
  return path == "/api/jobs/bulk" ? std::max(usual, kBulkBodyBytes) : usual;
}

std::vector<Route> all_routes() {
  std::vector<Route> routes;
  for (const auto part :
       {worker_routes(),       jobs_routes(),          recurring_routes(), queues_routes(),
        metrics_routes(),      openapi_routes(),       manifest_routes(),  arm_routes(),
        message_routes(),      container_app_routes(), execution_routes(), search_routes(),
        jobrunr_routes(),      operation_routes(),     failure_routes(),   server_routes(),
        problem_routes(),      export_routes(),        event_routes(),     stats_routes(),
        message_page_routes(), insight_routes(),       access_routes()})
    routes.insert(routes.end(), part.begin(), part.end());
  return routes;
}

}  // namespace jobmill::api
