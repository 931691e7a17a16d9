// SPDX-License-Identifier: Apache-2.0
#include "app/front_door.h"

#include <fmt/core.h>

#include "api/problem.h"
#include "app/version.h"
#include "base/json_writer.h"

namespace jobmill::app {
namespace {

const api::Identity kAnyone{
    .name = {}, .scopes = static_cast<unsigned>(api::Scope::Read), .worker_id = {}};

}  // namespace

FrontDoor::FrontDoor(api::ApiContext& context, const api::Authenticator& authenticator)
    : context_(context), authenticator_(authenticator), routes_(api::all_routes()) {}

void FrontDoor::allow_hosts(std::set<std::string, std::less<>> hosts) {
  std::lock_guard lock(mutex_);
  rules_.hosts = std::move(hosts);
}

void FrontDoor::set_loopback(bool loopback) {
  std::lock_guard lock(mutex_);
  rules_.loopback = loopback;
}

Status FrontDoor::check_origin(const http::Request& request) {
  std::lock_guard lock(mutex_);
  return http::check_origin(request, rules_);
}

// What a scraper without credentials may read, when the configuration says so.
bool FrontDoor::is_public(const http::Request& request) const {
  return context_.public_metrics && request.path == "/metrics";
}

// Alive is who answers. Ready is who can also do something: a store that is away for a short time
// is waited for.
http::Response FrontDoor::health(bool ready) const {
  const auto outage = context_.store.outage();
  const bool up =
      !ready || !outage || std::chrono::steady_clock::now() - outage->since < outage_grace_;
  JsonWriter json;
  json.object().member("status", up ? "UP" : "DOWN").member("version", kVersion);
  if (outage) json.member("store", outage->why);
  auto response = api::json_response(up ? 200 : 503, std::move(json.end()).text());
  if (!up) response.headers.set("Retry-After", "5");
  return response;
}

void FrontDoor::serve(http::Request request, http::Responder responder) {
  if (request.path == "/health" || request.path.starts_with("/health/"))
    return responder.send(health(request.path == "/health/ready"));
  if (const Status ours = check_origin(request); !ours)
    return responder.send(api::to_response(ours.error()));

  const auto identity = is_public(request) ? kAnyone : authenticator_.identify(request);
  if (!identity) return responder.send(api::unauthenticated());
  api::Match match = api::match(routes_, request.method, request.target);
  if (match.route == nullptr) return responder.send(api::no_route(match, request));
  if (match.route->scope != api::Scope::None && !identity->may(match.route->scope))
    return responder.send(api::forbidden(
        fmt::format("{} may not {} {}", identity->name.empty() ? "this token" : identity->name,
                    request.method, request.path)));
  match.route->handler(
      context_, {std::move(request), std::move(responder), *identity, std::move(match.path)});
}

}  // namespace jobmill::app
