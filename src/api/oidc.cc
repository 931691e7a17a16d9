// SPDX-License-Identifier: Apache-2.0
#include "api/oidc.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

#include "access/login_guard.h"
#include "api/access_api.h"
#include "api/audit.h"
#include "api/auth.h"
#include "api/dashboard_assets.h"
#include "api/html.h"
#include "api/problem.h"
#include "api/sessions.h"
#include "base/base64.h"
#include "base/id.h"
#include "base/sha256.h"

namespace jobmill::api {
namespace {

constexpr Duration kPatience = std::chrono::seconds(10);  // with the other server
constexpr Duration kPendingFor = std::chrono::minutes(10);
constexpr Duration kSkew = std::chrono::minutes(1);  // between its clock and ours
constexpr std::size_t kMostPending = 1000;
constexpr std::size_t kRandomBytes = 32;
constexpr std::string_view kCookie = "jobmill-oidc";

// --- claims -------------------------------------------------------------------------------------

std::string text_of(const Node& node, std::string_view name) {
  const Node* member = node.find(name);
  return member != nullptr && member->is_string() ? member->text : std::string();
}

// "roles", "https://example/roles", or a path: "realm_access.roles".
const Node* claim_at(const Node& claims, std::string_view path) {
  if (const Node* whole = claims.find(path)) return whole;
  const Node* at = &claims;
  while (at != nullptr && !path.empty()) {
    const auto dot = std::min(path.find('.'), path.size());
    at = at->find(path.substr(0, dot));
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return at;
}

// A claim that is one text or a list of them.
std::vector<std::string> values_of(const Node* claim) {
  std::vector<std::string> values;
  if (claim == nullptr) return values;
  if (claim->is_string()) values.push_back(claim->text);
  for (const Node& item : claim->items) values.push_back(item.text);
  return values;
}

TimePoint instant_of(const Node& claims, std::string_view name, TimePoint otherwise) {
  const Node* claim = claims.find(name);
  const auto seconds = claim == nullptr ? std::nullopt : claim->as_double();
  if (!seconds || *seconds < 0 || *seconds > 1e11) return otherwise;
  return TimePoint(std::chrono::seconds(static_cast<std::int64_t>(*seconds)));
}

Fault denied(std::string why) { return fail(Code::PermissionDenied, std::move(why)); }

// The one with the most rights.
std::string role_in(const Node& claims, const OidcOptions& options) {
  std::string best = options.default_role;
  for (const std::string& value : values_of(claim_at(claims, options.role_claim))) {
    const auto role = options.roles.find(value);
    if (role != options.roles.end() && scopes_of_role(role->second) > scopes_of_role(best))
      best = role->second;
  }
  return best;
}

std::string name_in(const Node& claims, const OidcOptions& options) {
  for (const std::string_view claim :
       {std::string_view(options.user_claim), std::string_view("preferred_username"),
        std::string_view("email"), std::string_view("sub")})
    if (std::string name = text_of(claims, claim); !claim.empty() && !name.empty()) return name;
  return {};
}

// --- pages --------------------------------------------------------------------------------------

http::Response html(int status, const std::string& head, const std::string& body, bool tls) {
  http::Response page{.status = status};
  page.headers.add("Content-Type", "text/html; charset=utf-8");
  page.headers.add("Cache-Control", "no-store");
  set_security_headers(page, tls);
  page.body = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">{}"
      "<title>jobmill</title></head><body>{}</body></html>\n",
      head, body);
  return page;
}

// A redirect would still belong to the request that the other site made, and a browser sends no
// cookie of ours with it. A page that leads on begins anew.
http::Response lead_on(const std::string& path, bool tls) {
  return html(
      200, fmt::format("<meta http-equiv=\"refresh\" content=\"0; url={}\">", html_escaped(path)),
      fmt::format("<p><a href=\"{}\">Go on</a></p>", html_escaped(path)), tls);
}

http::Response refused(const OidcOptions& options, std::string_view why, bool tls) {
  return html(403, "",
              fmt::format("<h1>The login was refused</h1><p>{}</p>"
                          "<p><a href=\"{}/dashboard/login\">Try again</a></p>",
                          html_escaped(why), html_escaped(options.context_path)),
              tls);
}

// A page of ours only: whoever made the link must not choose another site.
std::string local_path(std::string_view wanted) {
  const bool ours = wanted.starts_with("/dashboard/") &&
                    wanted.find_first_of("\\\r\n\t") == std::string_view::npos &&
                    wanted.find("//") == std::string_view::npos;
  return ours ? std::string(wanted) : "/dashboard/overview";
}

std::string form(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  std::string text;
  for (const auto& [name, value] : fields)
    text += fmt::format("{}{}={}", text.empty() ? "" : "&", name, http::url_encode(value));
  return text;
}

template <void (Oidc::*Serve)(ApiContext&, Call)>
void with_oidc(ApiContext& context, Call call) {
  if (context.oidc == nullptr)
    return call.responder.send(
        to_response(fail(Code::NotFound, "this server knows no logins by OpenID Connect")));
  (context.oidc->*Serve)(context, std::move(call));
}

constexpr std::array kRoutes{
    Route{"GET", "/oidc/login", Scope::None, with_oidc<&Oidc::login>},
    Route{"GET", "/oidc/auth_callback", Scope::None, with_oidc<&Oidc::callback>},
    Route{"GET", "/oidc/logout", Scope::None, with_oidc<&Oidc::logout>},
};

}  // namespace

std::span<const Route> oidc_routes() { return kRoutes; }

Result<OidcUser> judge_claims(const Node& claims, const OidcOptions& options,
                              std::string_view nonce, TimePoint now) {
  if (text_of(claims, "iss") != options.issuer) return denied("the token has another issuer");
  const auto audience = values_of(claims.find("aud"));
  if (std::ranges::find(audience, options.client_id) == audience.end())
    return denied("the token is for somebody else");
  if (const std::string party = text_of(claims, "azp");
      !party.empty() && party != options.client_id)
    return denied("the token was given to somebody else");
  if (instant_of(claims, "exp", TimePoint()) + kSkew <= now) return denied("the token has expired");
  if (instant_of(claims, "iat", now) > now + kSkew || instant_of(claims, "nbf", now) > now + kSkew)
    return denied("the token is not valid yet; compare the clocks");
  if (nonce.empty() || text_of(claims, "nonce") != nonce)
    return denied("the token belongs to another login");
  OidcUser user{name_in(claims, options), role_in(claims, options)};
  if (user.name.empty()) return denied("the token does not say who it is about");
  if (user.role.empty()) return denied(user.name + " has no role here");
  return user;
}

// --- the other server ---------------------------------------------------------------------------

// A JSON object, or why there is none.
void Oidc::fetch(http::ClientRequest request, std::function<void(Result<Node>)> done) {
  request.timeout = kPatience;
  request.max_response_bytes = 1u << 20;
  request.headers.set("Accept", "application/json");
  client_.send(std::move(request), [this, done = std::move(done)](http::ClientResult answer) {
    loop_.post([done, answer = std::move(answer)] {
      if (!answer) return done(answer.error());
      if (answer->status != 200)
        return done(
            fail(Code::Unavailable, fmt::format("the login server answered {}", answer->status)));
      done(parse_json(answer->body, {.bytes = 1u << 20, .depth = 30, .nodes = 20'000}));
    });
  });
}

void Oidc::with_provider(std::function<void(Result<Provider>)> done) {
  if (provider_) return done(*provider_);
  fetch({.url = options_.issuer + "/.well-known/openid-configuration"},
        [this, done = std::move(done)](const Result<Node>& document) {
          if (!document) return done(document.error());
          Provider provider{text_of(*document, "authorization_endpoint"),
                            text_of(*document, "token_endpoint"), text_of(*document, "jwks_uri"),
                            text_of(*document, "end_session_endpoint")};
          if (text_of(*document, "issuer") != options_.issuer)
            return done(fail(Code::InvalidArgument, "the login server calls itself " +
                                                        text_of(*document, "issuer") + ", not " +
                                                        options_.issuer));
          if (provider.authorization.empty() || provider.token.empty() || provider.keys.empty())
            return done(fail(Code::InvalidArgument, "the login server does not say where to go"));
          provider_ = std::move(provider);
          done(*provider_);
        });
}

std::string Oidc::base_url(const http::Request& request) const {
  return fmt::format("{}://{}{}", request.tls ? "https" : "http",
                     request.headers.get("Host").value_or("localhost"), options_.context_path);
}

// --- there --------------------------------------------------------------------------------------

void Oidc::login(ApiContext&, Call call) {
  with_provider([this, call = std::move(call)](const Result<Provider>& provider) {
    if (!provider) return call.responder.send(to_response(provider.error()));
    lead_away(call, *provider);
  });
}

void Oidc::lead_away(const Call& call, const Provider& provider) {
  const TimePoint now = clock_.now();
  std::erase_if(pending_,
                [&](const auto& entry) { return entry.second.since + kPendingFor <= now; });
  if (pending_.size() >= kMostPending) pending_.erase(pending_.begin());

  const std::string state = random_token(kRandomBytes);
  Pending pending{.browser = random_token(kRandomBytes),
                  .nonce = random_token(kRandomBytes),
                  .verifier = random_token(kRandomBytes),
                  .redirect_uri = options_.redirect_uri.empty()
                                      ? base_url(call.request) + "/oidc/auth_callback"
                                      : options_.redirect_uri,
                  .return_to = local_path(call.request.parameter("return").value_or("")),
                  .since = now};
  const std::string query = form({{"response_type", "code"},
                                  {"client_id", options_.client_id},
                                  {"redirect_uri", pending.redirect_uri},
                                  {"scope", options_.scopes},
                                  {"state", state},
                                  {"nonce", pending.nonce},
                                  {"code_challenge", base64url_encode(sha256(pending.verifier))},
                                  {"code_challenge_method", "S256"}});
  const bool has_query = provider.authorization.find('?') != std::string::npos;
  http::Response away = redirect(provider.authorization + (has_query ? "&" : "?") + query);
  // Lax, as the way back begins at the other site.
  away.headers.add("Set-Cookie",
                   fmt::format("{}={}; Path=/; Max-Age=600; HttpOnly; SameSite=Lax{}", kCookie,
                               pending.browser, call.request.tls ? "; Secure" : ""));
  pending_.emplace(state, std::move(pending));
  call.responder.send(std::move(away));
}

// --- and back -----------------------------------------------------------------------------------

// A state is good once, for the browser that it was given to.
std::optional<Oidc::Pending> Oidc::take_pending(const Call& call) {
  auto taken = pending_.extract(std::string(call.request.parameter("state").value_or("")));
  if (taken.empty()) return std::nullopt;
  Pending pending = std::move(taken.mapped());
  const auto browser = cookie(call.request, kCookie);
  if (!browser || !equal_in_constant_time(pending.browser, *browser)) return std::nullopt;
  if (pending.since + kPendingFor <= clock_.now()) return std::nullopt;
  return pending;
}

void Oidc::callback(ApiContext& context, Call call) {
  const auto pending = take_pending(call);
  const auto refuse = [&](std::string_view why) {
    call.responder.send(refused(options_, why, call.request.tls));
  };
  if (!pending) return refuse("This login was not begun here, or too long ago.");
  const auto code = call.request.parameter("code");
  if (!code) return refuse("The login server did not let you in.");
  with_provider([this, &context, call = std::move(call), pending = *pending,
                 code = std::string(*code)](const Result<Provider>& provider) {
    if (!provider) return call.responder.send(to_response(provider.error()));
    redeem(*provider, pending, code, [this, &context, call, pending](const Result<Node>& claims) {
      arrive(context, call, pending, claims);
    });
  });
}

void Oidc::redeem(const Provider& provider, const Pending& pending, const std::string& code,
                  Claims done) {
  http::ClientRequest request{.method = "POST", .url = provider.token};
  request.headers.set("Content-Type", "application/x-www-form-urlencoded");
  if (!options_.client_secret.empty())
    request.headers.set("Authorization", http::basic_authorization(
                                             http::url_encode(options_.client_id),
                                             http::url_encode(options_.client_secret.reveal())));
  request.body = form({{"grant_type", "authorization_code"},
                       {"code", code},
                       {"redirect_uri", pending.redirect_uri},
                       {"client_id", options_.client_id},
                       {"code_verifier", pending.verifier}});
  fetch(std::move(request), [this, provider, done = std::move(done)](const Result<Node>& answer) {
    if (!answer) return done(answer.error());
    verify(provider, text_of(*answer, "id_token"), true, done);
  });
}

// Keys change now and then: a token of one that is not known is checked once more with those that
// the other server has now.
void Oidc::verify(const Provider& provider, const std::string& token, bool again, Claims done) {
  auto claims = keys_ ? keys_->verify(token) : Result<Node>(fail(Code::NotFound, "no keys yet"));
  if (claims || claims.error().code != Code::NotFound || !again) return done(std::move(claims));
  fetch({.url = provider.keys},
        [this, provider, token, done = std::move(done)](const Result<Node>& document) {
          if (!document) return done(document.error());
          auto keys = KeySet::parse(to_json(*document));
          if (!keys) return done(keys.error());
          keys_ = *std::move(keys);
          verify(provider, token, false, done);
        });
}

void Oidc::arrive(ApiContext& context, const Call& call, const Pending& pending,
                  const Result<Node>& claims) {
  const auto user = claims ? judge_claims(*claims, options_, pending.nonce, clock_.now())
                           : Result<OidcUser>(claims.error());
  const std::string address = access::address_of(call.request.peer);
  access::AuditEntry entry{.at = clock_.now(),
                           .user = user ? user->name : "",
                           .address = address,
                           .action = "login.oidc",
                           .target = user ? user->name : user.error().message,
                           .status = user ? 200 : 403};
  http::Response page;
  if (user) {
    if (const auto old = session_cookie(call.request))
      if (const auto* session = context.sessions->find(*old)) context.sessions->end(session->id);
    page = lead_on(options_.context_path + pending.return_to, call.request.tls);
    const std::string value = context.sessions->begin(
        {.user = user->name, .role = user->role, .address = address, .foreign_user = true});
    page.headers.add("Set-Cookie", set_session_cookie(call.request, value));
  } else {
    context.log.warn("a login by OpenID Connect was refused", {{"why", user.error().message}});
    page = refused(options_, user.error().message, call.request.tls);
  }
  if (context.audit == nullptr) return call.responder.send(std::move(page));
  context.audit->append(std::move(entry),
                        [responder = call.responder, page] { responder.send(page); });
}

// The cookie comes only from pages of ours, so nobody can log others out with a link.
void Oidc::logout(ApiContext& context, Call call) {
  context.sessions->end(call.identity.session);
  const std::string home = base_url(call.request) + "/dashboard/login";
  with_provider([this, call = std::move(call), home](const Result<Provider>& provider) {
    const bool ends_there = provider && !provider->end_session.empty();
    const std::string query =
        form({{"client_id", options_.client_id}, {"post_logout_redirect_uri", home}});
    http::Response away = redirect(ends_there ? provider->end_session + "?" + query : home);
    away.headers.add("Set-Cookie", clear_session_cookie(call.request));
    call.responder.send(std::move(away));
  });
}

}  // namespace jobmill::api
