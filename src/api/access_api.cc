// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "access/login_guard.h"
#include "api/access_api.h"
#include "api/audit.h"
#include "api/audit_record.h"
#include "api/auth.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/session_json.h"
#include "api/sessions.h"
#include "api/settings.h"
#include "base/duration.h"
#include "base/json_writer.h"

// Logging in and out, tokens of programs, who may come in, and how the server is configured.
namespace jobmill::api {
namespace {

// A server inside a test may have none.
template <Handler Serve>
void with_sessions(ApiContext& context, Call call) {
  if (context.sessions == nullptr)
    return call.responder.send(to_response(fail(Code::NotFound, "this server has no logins")));
  Serve(context, std::move(call));
}

http::Response no_such(std::string_view what, const std::string& id) {
  return to_response(fail(Code::NotFound, std::string(what) + " " + id + " does not exist"));
}

// Sends 204 when a change is durable, or why it is not.
access::AccessStore::Done then_no_content(const http::Responder& responder) {
  return [responder](const Status& status) { responder.send(done_or_problem(status)); };
}

http::Response fresh_json(std::string body) {
  http::Response response = json_response(200, std::move(body));
  response.headers.set("Cache-Control", "no-store");
  return response;
}

// --- login --------------------------------------------------------------------------------------

Identity identity_of(const KnownUser& user) {
  return {.name = user.name, .scopes = scopes_of_role(user.role), .role = user.role};
}

// A new cookie each time: one that somebody planted before is worth nothing.
http::Response logged_in(ApiContext& context, const Call& call, const Identity& identity) {
  Sessions& sessions = *context.sessions;
  if (const auto old = session_cookie(call.request))
    if (const access::Session* session = sessions.find(*old)) sessions.end(session->id);
  const std::string cookie = sessions.begin({.user = identity.name,
                                             .role = identity.role,
                                             .address = access::address_of(call.request.peer)});
  http::Response response = fresh_json(session_json(context, identity, Sessions::csrf_of(cookie)));
  response.headers.add("Set-Cookie", set_session_cookie(call.request, cookie));
  return response;
}

void answer_login(ApiContext& context, const Call& call, const std::string& name,
                  const UserDirectory::Checked& checked) {
  if (call.audit != nullptr) {
    const std::lock_guard lock(call.audit->mutex);
    call.audit->entry.user = name;
  }
  record(context, call, "login", name);
  if (checked.user)
    return call.responder.send(logged_in(context, call, identity_of(*checked.user)));
  call.responder.send(checked.wait > Duration::zero() ? too_many_failures(checked.wait)
                                                      : unauthenticated(call.request));
}

void post_login(ApiContext& context, Call call) {
  JsonBody body(call.request);
  std::string user;
  std::string password;
  auto in = body.reader();
  in.text("user", user, Field::Required);
  in.text("password", password, Field::Required);
  in.close();
  if (auto problem = body.problem()) return call.responder.send(to_response(*problem));
  if (context.sessions->users().open())
    return call.responder.send(fresh_json(session_json(context, call.identity, "")));
  const std::string address = access::address_of(call.request.peer);
  context.sessions->users().check(user, std::move(password), address,
                                  [&context, call, user](const UserDirectory::Checked& checked) {
                                    answer_login(context, call, user, checked);
                                  });
}

void post_logout(ApiContext& context, Call call) {
  record(context, call, "logout", call.identity.name);
  http::Response response = no_content();
  response.headers.add("Set-Cookie", clear_session_cookie(call.request));
  const bool ended = context.sessions->end(
      call.identity.session, [responder = call.responder, response](const Status& status) {
        responder.send(status ? response : to_response(status.error()));
      });
  if (!ended) call.responder.send(std::move(response));
}

// A browser that shows a password with each request gets a session, too: streams of events and the
// token against forged requests need one.
void get_session(ApiContext& context, Call call) {
  const bool browser = call.request.headers.get("Sec-Fetch-Mode").has_value();
  const bool by_password = !call.identity.name.empty() && !call.identity.role.empty() &&
                           call.identity.session.empty() && !context.sessions->users().open();
  if (browser && by_password) return call.responder.send(logged_in(context, call, call.identity));
  const auto cookie = session_cookie(call.request);
  const bool session = cookie && !call.identity.session.empty();
  call.responder.send(
      fresh_json(session_json(context, call.identity, session ? Sessions::csrf_of(*cookie) : "")));
}

// --- sessions -----------------------------------------------------------------------------------

void write_session(JsonWriter& json, const access::Session& session, bool current) {
  json.object()
      .member("id", session.id)
      .member("user", session.user)
      .member("address", session.address)
      .member("startedAt", format_instant(session.started))
      .member("lastSeenAt", format_instant(session.seen))
      .member("current", current)
      .end();
}

// An admin sees all, others their own.
void list_sessions(ApiContext& context, Call call) {
  const bool all = call.identity.may(Scope::Admin);
  JsonWriter json;
  json.array();
  for (const access::Session& session : context.sessions->list())
    if (all || (session.user == call.identity.name && !call.identity.name.empty()))
      write_session(json, session, session.id == call.identity.session);
  call.responder.send(fresh_json(std::move(json.end()).text()));
}

void delete_session(ApiContext& context, Call call) {
  const std::string& id = call.parameter("id");
  record(context, call, "session.revoke", id);
  if (!context.sessions->end(id, then_no_content(call.responder)))
    call.responder.send(no_such("session", id));
}

// --- tokens -------------------------------------------------------------------------------------

void write_token(JsonWriter& json, const access::AccessToken& token) {
  json.member("id", token.id).member("name", token.name).key("scopes").array();
  for (const std::string_view scope : scope_names(token.scopes)) json.value(scope);
  json.end();
  if (!token.queues.empty()) {
    json.key("queues").array();
    for (const std::string& queue : token.queues) json.value(queue);
    json.end();
  }
  json.member("createdAt", format_instant(token.created)).member("createdBy", token.creator);
  if (token.expires) json.member("expiresAt", format_instant(*token.expires));
  if (token.used) json.member("lastUsedAt", format_instant(*token.used));
}

std::string token_json(const access::AccessToken& token) {
  JsonWriter json;
  write_token(json.object(), token);
  return std::move(json.end()).text();
}

void list_tokens(ApiContext& context, Call call) {
  JsonWriter json;
  json.array();
  for (const access::AccessToken& token : context.sessions->tokens()) json.raw(token_json(token));
  call.responder.send(fresh_json(std::move(json.end()).text()));
}

// "P30D", "12h", or a number of seconds.
std::optional<Duration> lifetime_in(ObjectReader& in) {
  const Node* node = in.any("expiresIn");
  if (node == nullptr) return std::nullopt;
  Result<Duration> given = parse_duration(node->text);
  if (const auto seconds = node->as_int()) given = Duration(std::chrono::seconds(*seconds));
  constexpr Duration kMost = std::chrono::hours(24) * 3660;
  if (given && *given > Duration::zero() && *given <= kMost) return *given;
  in.wrong("expiresIn", "expected a duration such as \"P30D\", at most ten years");
  return std::nullopt;
}

unsigned scopes_in(ObjectReader& in) {
  std::vector<std::string> names;
  in.texts("scopes", names);
  unsigned scopes = 0;
  for (const std::string& name : names) {
    if (scope_of(name) == 0)
      in.wrong("scopes", "unknown scope " + name + "; known: read, produce, work, operate, admin");
    scopes |= scope_of(name);
  }
  if (names.empty()) in.wrong("scopes", "a token needs at least one");
  return scopes;
}

// The only time that the token itself is told.
http::Response created(const Sessions::Created& made) {
  JsonWriter json;
  write_token(json.object(), made.token);
  json.member("token", made.text);
  http::Response response = json_response(201, std::move(json.end()).text());
  response.headers.set("Cache-Control", "no-store");
  return response;
}

void post_token(ApiContext& context, Call call) {
  JsonBody body(call.request);
  Sessions::NewToken wanted{.creator = call.identity.name};
  auto in = body.reader();
  in.text("name", wanted.name, Field::Required);
  if (in.has("name") && (wanted.name.empty() || wanted.name.size() > 100))
    in.wrong("name", "expected 1 to 100 bytes");
  wanted.scopes = scopes_in(in);
  wanted.lifetime = lifetime_in(in);
  in.texts("queues", wanted.queues);
  const unsigned all = scope_of("operate") | scope_of("admin");
  if (!wanted.queues.empty() && (wanted.scopes & all) != 0)
    in.wrong("queues", "a token for some queues can read, produce and work only");
  in.close();
  if (auto problem = body.problem()) return call.responder.send(to_response(*problem));

  const Sessions::Created made = context.sessions->make_token(wanted);
  record(context, call, "token.create", made.token.id, {}, token_json(made.token));
  context.sessions->add(made.token, [responder = call.responder, made](const Status& status) {
    responder.send(status ? created(made) : to_response(status.error()));
  });
}

void delete_token(ApiContext& context, Call call) {
  const std::string& id = call.parameter("id");
  record(context, call, "token.revoke", id);
  if (!context.sessions->revoke(id, then_no_content(call.responder)))
    call.responder.send(no_such("token", id));
}

// --- users and settings -------------------------------------------------------------------------

void write_user(JsonWriter& json, const KnownUser& user, std::string_view source) {
  json.object().member("name", user.name).member("role", user.role).member("source", source).end();
}

// Those of the configuration, and those whom another server knows and who are logged in.
void list_users(ApiContext& context, Call call) {
  JsonWriter json;
  json.array();
  for (const KnownUser& user : context.sessions->users().list())
    write_user(json, user, "configuration");
  std::vector<std::string> told;
  for (const access::Session& session : context.sessions->list()) {
    if (!session.foreign_user || std::ranges::find(told, session.user) != told.end()) continue;
    told.push_back(session.user);
    write_user(json, {session.user, session.role}, "oidc");
  }
  call.responder.send(fresh_json(std::move(json.end()).text()));
}

void get_settings(ApiContext& context, Call call) {
  if (context.settings == nullptr || !context.settings->document)
    return call.responder.send(to_response(fail(Code::NotFound, "this server tells no settings")));
  answer(context, call.responder, [&context] { return fresh_json(context.settings->document()); });
}

constexpr std::array kRoutes{
    Route{"POST", "/api/login", Scope::None, with_sessions<post_login>},
    Route{"POST", "/api/logout", Scope::None, with_sessions<post_logout>},
    Route{"GET", "/api/session", Scope::None, with_sessions<get_session>},
    Route{"GET", "/api/sessions", Scope::Read, with_sessions<list_sessions>},
    Route{"DELETE", "/api/sessions/{id}", Scope::Admin, with_sessions<delete_session>},
    Route{"GET", "/api/tokens", Scope::Read, with_sessions<list_tokens>},
    Route{"POST", "/api/tokens", Scope::Admin, with_sessions<post_token>},
    Route{"DELETE", "/api/tokens/{id}", Scope::Admin, with_sessions<delete_token>},
    Route{"GET", "/api/users", Scope::Read, with_sessions<list_users>},
    Route{"GET", "/api/settings", Scope::Read, get_settings},
};

}  // namespace

std::span<const Route> access_routes() {
  static const std::vector<Route> all = [] {
    std::vector<Route> routes(kRoutes.begin(), kRoutes.end());
    for (const auto more : {audit_routes(), oidc_routes()})
      routes.insert(routes.end(), more.begin(), more.end());
    return routes;
  }();
  return all;
}

}  // namespace jobmill::api
