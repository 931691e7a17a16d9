// SPDX-License-Identifier: Apache-2.0
#include "api/sessions.h"

#include <algorithm>

#include <fmt/format.h>

#include "api/dashboard_assets.h"
#include "base/base64.h"
#include "base/hmac.h"
#include "base/id.h"
#include "base/sha256.h"

namespace jobmill::api {

using access::AccessToken;
using access::Session;

namespace {

constexpr std::size_t kTokenBytes = 32;
constexpr std::string_view kTokenPrefix = "jm_";  // what scanners of leaked secrets look for
constexpr Duration kSeenEvery = std::chrono::minutes(1);

// By id: ids grow with time.
template <class Map>
auto latest_first(const Map& map) {
  std::vector<typename Map::mapped_type> all;
  for (const auto& [key, value] : map) all.push_back(value);
  std::ranges::sort(all, std::greater<>(), [](const auto& item) { return item.id; });
  return all;
}

std::string cookie_name(const http::Request& request) {
  const std::string_view host = request.headers.get("Host").value_or("");
  const auto colon = host.rfind(':');
  const bool has_port = colon != std::string_view::npos && !host.ends_with(']');
  return fmt::format("{}jobmill-session{}{}", request.tls ? "__Host-" : "", has_port ? "-" : "",
                     has_port ? host.substr(colon + 1) : "");
}

std::string cookie_header(const http::Request& request, std::string_view value,
                          std::chrono::seconds age) {
  return fmt::format("{}={}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{}", cookie_name(request),
                     value, age.count(), request.tls ? "; Secure" : "");
}

}  // namespace

Status Sessions::load() {
  TRY(const auto sessions, store_.sessions());
  for (const Session& session : sessions) sessions_.emplace(session.key, session);
  TRY(const auto tokens, store_.tokens());
  for (const AccessToken& token : tokens) tokens_.emplace(token.key, token);
  return {};
}

// --- logins -------------------------------------------------------------------------------------

bool Sessions::is_over(const Session& session) const {
  const TimePoint now = clock_.now();
  return now >= session.started + kLongest || now >= session.seen + kIdle;
}

std::string Sessions::begin(const NewLogin& login) {
  std::string cookie = random_token(kTokenBytes);
  const TimePoint now = clock_.now();
  Session session{.id = new_id(now),
                  .key = sha256_hex(cookie),
                  .user = login.user,
                  .role = login.role,
                  .address = login.address,
                  .foreign_user = login.foreign_user,
                  .started = now,
                  .seen = now};
  store_.save(session, {});
  sessions_.emplace(session.key, std::move(session));
  keep_few(login.user);
  return cookie;
}

void Sessions::keep_few(const std::string& user) {
  std::vector<std::string> ids;
  for (const Session& session : list())
    if (session.user == user) ids.push_back(session.id);
  for (std::size_t i = kMostPerUser; i < ids.size(); ++i) end(ids[i]);
}

const Session* Sessions::find(std::string_view cookie) {
  const auto found = sessions_.find(sha256_hex(cookie));
  if (found == sessions_.end()) return nullptr;
  Session& session = found->second;
  if (is_over(session)) {
    end(std::string(session.id));
    return nullptr;
  }
  // Written down at times only: a page that is open asks every few seconds.
  const TimePoint now = clock_.now();
  if (now - session.seen >= kSeenEvery) store_.session_seen(session.id, session.seen = now);
  return &session;
}

bool Sessions::end(const std::string& id, access::AccessStore::Done done) {
  const auto found =
      std::ranges::find(sessions_, id, [](const auto& entry) { return entry.second.id; });
  if (found == sessions_.end()) return false;
  const std::string ended = id;  // may be the entry's own
  sessions_.erase(found);
  store_.remove_session(ended, std::move(done));
  if (told_) told_(ended);
  return true;
}

void Sessions::end_of_user(const std::string& user) {
  for (const Session& session : list())
    if (session.user == user && !session.foreign_user) end(session.id);
}

void Sessions::expire() {
  for (const Session& session : list())
    if (is_over(session)) end(session.id);
}

std::vector<Session> Sessions::list() const { return latest_first(sessions_); }

std::string Sessions::csrf_of(std::string_view cookie) {
  return base64url_encode(hmac_sha256(Secret(std::string(cookie)), "csrf"));
}

// --- tokens -------------------------------------------------------------------------------------

Sessions::Created Sessions::make_token(const NewToken& wanted) const {
  std::string text = std::string(kTokenPrefix) + random_token(kTokenBytes);
  const TimePoint now = clock_.now();
  AccessToken token{.id = new_id(now),
                    .key = sha256_hex(text),
                    .name = wanted.name,
                    .scopes = wanted.scopes,
                    .queues = wanted.queues,
                    .creator = wanted.creator,
                    .created = now};
  if (wanted.lifetime) token.expires = now + *wanted.lifetime;
  return {std::move(token), std::move(text)};
}

void Sessions::add(const AccessToken& token, access::AccessStore::Done done) {
  tokens_.emplace(token.key, token);
  store_.save(token, std::move(done));
}

const AccessToken* Sessions::find_token(std::string_view text) {
  if (!text.starts_with(kTokenPrefix)) return nullptr;
  const auto found = tokens_.find(sha256_hex(text));
  if (found == tokens_.end()) return nullptr;
  AccessToken& token = found->second;
  const TimePoint now = clock_.now();
  if (token.expires && now >= *token.expires) return nullptr;
  if (!token.used || now - *token.used >= kSeenEvery)
    store_.token_used(token.id, *(token.used = now));
  return &token;
}

bool Sessions::revoke(const std::string& id, access::AccessStore::Done done) {
  const auto found =
      std::ranges::find(tokens_, id, [](const auto& entry) { return entry.second.id; });
  if (found == tokens_.end()) return false;
  tokens_.erase(found);
  store_.remove_token(id, std::move(done));
  return true;
}

std::vector<AccessToken> Sessions::tokens() const { return latest_first(tokens_); }

// --- cookies ------------------------------------------------------------------------------------

std::optional<std::string_view> session_cookie(const http::Request& request) {
  return cookie(request, cookie_name(request));
}

std::string set_session_cookie(const http::Request& request, std::string_view value) {
  return cookie_header(request, value,
                       std::chrono::duration_cast<std::chrono::seconds>(Sessions::kLongest));
}

std::string clear_session_cookie(const http::Request& request) {
  return cookie_header(request, "", std::chrono::seconds(0));
}

}  // namespace jobmill::api
