// SPDX-License-Identifier: Apache-2.0
#include "app/front_door.h"

#include <fmt/core.h>

#include "access/login_guard.h"
#include "api/audit.h"
#include "api/problem.h"
#include "api/sessions.h"
#include "app/version.h"
#include "base/json_writer.h"

namespace jobmill::app {
namespace {

const api::Identity kAnyone{.scopes = static_cast<unsigned>(api::Scope::Read)};
constexpr std::string_view kDashboard = "/dashboard";
constexpr std::string_view kLoginPage = "/dashboard/login";
constexpr std::string_view kCsrfHeader = "X-Jobmill-CSRF";

bool is_page(const http::Request& request) {
  return request.path == kDashboard || request.path.starts_with("/dashboard/");
}

bool is_read(const http::Request& request) {
  return request.method == "GET" || request.method == "HEAD";
}

// What a person may be led to by a link of another site: pages, and the way back from a login
// there.
bool may_be_linked(const http::Request& request) {
  return is_read(request) &&
         (request.path == "/" || is_page(request) || request.path.starts_with("/oidc/"));
}

// These look at the queue of each job.
bool inserts(const api::Route& route) {
  return route.pattern == "/v1/jobs" || route.pattern == "/api/jobs";
}

bool by_bearer(const http::Request& request) {
  return request.headers.get("Authorization").value_or("").starts_with("Bearer ");
}

// A cookie comes with whatever a browser sends, so a change has to show two things more that only a
// page of ours can: the token of its session, and where it comes from, which the browser says.
bool is_forged(const http::Request& request, const api::Verdict& verdict) {
  if (is_read(request) || by_bearer(request) || !api::session_cookie(request)) return false;
  const auto site = request.headers.get("Sec-Fetch-Site");
  const bool ours = request.headers.get("Origin") || (site && *site == "same-origin");
  const auto token = request.headers.get(kCsrfHeader);
  return !ours || !token || verdict.csrf.empty() || !equal_in_constant_time(verdict.csrf, *token);
}

http::Response forged() {
  return api::to_response(api::Problem{
      .status = 403,
      .code = "forbidden",
      .detail = "a change by a browser's session needs X-Jobmill-CSRF with the token of GET "
                "/api/session, and has to come from a page of this server"});
}

}  // namespace

FrontDoor::FrontDoor(api::ApiContext& context, api::Authenticator& authenticator)
    : context_(context), authenticator_(authenticator), routes_(api::all_routes()) {
  set_context_path("");
}

void FrontDoor::set_context_path(const std::string& path) {
  context_path_ = path;
  dashboard_ = std::make_unique<api::DashboardAssets>(path);
}

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
  rules_.links = may_be_linked(request);
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

// A proxy in front may have removed it or not; both work.
void FrontDoor::strip_context(http::Request& request) const {
  const std::size_t size = context_path_.size();
  if (size == 0 || !request.path.starts_with(context_path_)) return;
  if (request.path.size() > size && request.path[size] != '/') return;
  if (!request.target.starts_with(context_path_)) return;  // escaped in a strange way
  for (std::string* path : {&request.path, &request.target}) {
    path->erase(0, size);
    if (!path->starts_with('/')) path->insert(0, "/");
  }
}

// Files hold nothing that anybody may not know; the page in front of a login needs them.
bool FrontDoor::serve_file(const Visit& visit) const {
  const http::Request& request = visit.request;
  if (request.path == "/") {
    visit.responder.send(api::redirect(context_path_ + std::string(kDashboard)));
    return true;
  }
  if (!is_page(request)) return false;
  if (!is_read(request)) {
    visit.responder.send(api::no_route({nullptr, {}, {"GET"}}, request));
    return true;
  }
  auto file = dashboard_->file(request);
  if (file) visit.responder.send(*std::move(file));
  return file.has_value();
}

void FrontDoor::serve(http::Request request, http::Responder responder) {
  if (request.path == "/health" || request.path.starts_with("/health/"))
    return responder.send(health(request.path == "/health/ready"));
  strip_context(request);
  if (const Status ours = check_origin(request); !ours)
    return responder.send(api::to_response(ours.error()));

  const auto visit = std::make_shared<Visit>(Visit{std::move(request), std::move(responder)});
  if (serve_file(*visit)) return;
  authenticator_.identify(visit->request, [this, visit](api::Verdict verdict) {
    admit(std::move(*visit), std::move(verdict));
  });
}

void FrontDoor::admit(Visit visit, api::Verdict verdict) {
  using Kind = api::Verdict::Kind;
  if (verdict.kind == Kind::Blocked)
    return visit.responder.send(api::too_many_failures(verdict.wait));
  if (is_page(visit.request)) return serve_page(visit, verdict);
  if (verdict.kind == Kind::Wrong) return visit.responder.send(api::unauthenticated(visit.request));
  serve_route(std::move(visit), verdict);
}

// Whether the page itself asks who is there; otherwise the browser does.
bool FrontDoor::page_asks(const http::Request& request) const {
  return request.path == kLoginPage || context_.oidc != nullptr || !anonymous_.empty();
}

// Who shows a password gets a session with the page, which the page's own requests need.
void FrontDoor::serve_page(const Visit& visit, const api::Verdict& verdict) const {
  const http::Request& request = visit.request;
  const bool known = verdict.kind == api::Verdict::Kind::Known;
  if (!known && !page_asks(request)) return visit.responder.send(api::unauthenticated(request));
  if (request.path == kDashboard || request.path == "/dashboard/")
    return visit.responder.send(api::redirect(context_path_ + "/dashboard/overview"));

  const api::Identity& who = verdict.identity;
  const bool begins = known && who.session.empty() && !who.role.empty() &&
                      context_.sessions != nullptr && !authenticator_.open();
  if (!begins) return visit.responder.send(dashboard_->page(request, {.csrf = verdict.csrf}));
  const std::string cookie = context_.sessions->begin(
      {.user = who.name, .role = who.role, .address = access::address_of(request.peer)});
  auto page = dashboard_->page(request, {.csrf = api::Sessions::csrf_of(cookie)});
  page.headers.add("Set-Cookie", api::set_session_cookie(request, cookie));
  visit.responder.send(std::move(page));
}

std::optional<api::Identity> FrontDoor::identity_of(const http::Request& request,
                                                    const api::Verdict& verdict) const {
  if (verdict.kind == api::Verdict::Kind::Known) return verdict.identity;
  if (!anonymous_.empty())
    return api::Identity{.scopes = api::scopes_of_role(anonymous_), .role = anonymous_};
  return is_public(request) ? std::optional(kAnyone) : std::nullopt;
}

void FrontDoor::serve_route(Visit visit, const api::Verdict& verdict) {
  auto& [request, responder] = visit;
  const auto identity = identity_of(request, verdict);
  api::Match match = api::match(routes_, request.method, request.target);
  const bool for_all = match.route != nullptr && match.route->scope == api::Scope::None;
  if (!identity && !for_all) return responder.send(api::unauthenticated(request));
  if (match.route == nullptr) return responder.send(api::no_route(match, request));

  const api::Route& route = *match.route;
  api::Call call{std::move(request), std::move(responder), identity.value_or(api::Identity{}),
                 std::move(match.path)};
  if (context_.audit != nullptr && api::is_audited(route, call.identity)) {
    call.audit = api::draft_of(route, call.request, call.identity);
    call.responder = api::audited(*context_.audit, call.audit, std::move(call.responder));
  }
  // Who logs in may still have the cookie of a session that is over.
  const bool logs_in = route.pattern == "/api/login";
  if (!logs_in && !authenticator_.open() && is_forged(call.request, verdict))
    return call.responder.send(forged());
  if (!for_all && !call.identity.may(route.scope))
    return call.responder.send(api::forbidden(fmt::format(
        "{} may not {} {}", call.identity.name.empty() ? "nobody here" : call.identity.name,
        call.request.method, call.request.path)));
  if (!call.identity.queues.empty() && route.scope == api::Scope::Produce && !inserts(route))
    return call.responder.send(
        api::forbidden(call.identity.name + " is for the jobs of some queues only"));
  if (route.method == "GET")
    context_.log.debug("read", {{"path", call.request.path}, {"by", call.identity.name}});
  route.handler(context_, std::move(call));
}

}  // namespace jobmill::app
