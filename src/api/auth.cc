// SPDX-License-Identifier: Apache-2.0
#include "api/auth.h"

#include <algorithm>

#include <fmt/format.h>

#include "api/problem.h"
#include "api/worker_token.h"
#include "base/hmac.h"
#include "base/id.h"
#include "jobs/job.h"

namespace jobmill::api {
namespace {

constexpr unsigned bits(Scope scope) { return static_cast<unsigned>(scope); }
constexpr unsigned kReplicaScopes = bits(Scope::Work) | bits(Scope::Produce);

Identity identity_of(const KnownUser& user) {
  return {.name = user.name, .scopes = scopes_of_role(user.role), .role = user.role};
}

Verdict known(Identity identity) {
  return {.kind = Verdict::Kind::Known, .identity = std::move(identity)};
}

Verdict verdict_of(const UserDirectory::Checked& checked) {
  if (checked.user) return known(identity_of(*checked.user));
  if (checked.wait > Duration::zero())
    return {.kind = Verdict::Kind::Blocked, .wait = checked.wait};
  return {.kind = Verdict::Kind::Wrong};
}

}  // namespace

unsigned scopes_of_role(std::string_view role) {
  const unsigned viewer = bits(Scope::Read);
  const unsigned user = viewer | bits(Scope::Produce) | bits(Scope::Work) | bits(Scope::Operate);
  if (role == "viewer") return viewer;
  if (role == "operator") return user;
  return role == "admin" ? user | bits(Scope::Admin) : 0;
}

Authenticator::Authenticator(AuthenticatorParts parts)
    : parts_(std::move(parts)), cache_key_(random_token(32)) {
  if (parts_.sessions != nullptr) parts_.sessions->set_directory(*this);
}

void Authenticator::set_users(std::vector<User> users) {
  std::vector<std::string> changed;
  {
    std::lock_guard lock(mutex_);
    for (const User& before : users_) {
      const auto now = std::ranges::find(users, before.name, &User::name);
      if (now == users.end() || !(now->password == before.password)) changed.push_back(before.name);
    }
    users_ = std::move(users);
    ++generation_;
  }
  if (parts_.sessions == nullptr || changed.empty()) return;
  parts_.loop.post([sessions = parts_.sessions, changed] {
    for (const std::string& user : changed) sessions->end_of_user(user);
  });
}

std::string Authenticator::mint_replica_token(const std::string& replica) {
  std::string token = "jr_" + random_token(32);
  std::lock_guard lock(mutex_);
  // It has started again: the token of its process before ends here.
  std::erase_if(replica_tokens_, [&](const auto& entry) { return entry.second == replica; });
  replica_tokens_.emplace(token, replica);
  return token;
}

void Authenticator::revoke_replica(const std::string& replica) {
  std::lock_guard lock(mutex_);
  std::erase_if(replica_tokens_, [&](const auto& entry) { return entry.second == replica; });
}

bool Authenticator::open() const {
  std::lock_guard lock(mutex_);
  return users_.empty() && !parts_.users_from_outside;
}

std::vector<KnownUser> Authenticator::list() const {
  std::lock_guard lock(mutex_);
  std::vector<KnownUser> all;
  for (const User& user : users_) all.push_back({user.name, user.role});
  return all;
}

std::optional<std::string> Authenticator::role_of(const std::string& user) const {
  std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(users_, user, &User::name);
  return found == users_.end() ? std::nullopt : std::optional(found->role);
}

// --- who asks -----------------------------------------------------------------------------------

void Authenticator::identify(const http::Request& request, std::function<void(Verdict)> done) {
  const auto authorization = request.headers.get("Authorization");
  constexpr std::string_view kBearer = "Bearer ";
  if (authorization && authorization->starts_with(kBearer))
    return done(by_token(authorization->substr(kBearer.size())));
  const bool everyone = open();
  if (const auto value = session_cookie(request); value && parts_.sessions && !everyone)
    if (const access::Session* session = parts_.sessions->find(*value)) {
      Verdict verdict = by_session(*value, *session);
      if (verdict.kind == Verdict::Kind::Known) return done(std::move(verdict));
    }
  if (!authorization) {
    if (!everyone) return done({});
    return done(known(identity_of({.name = {}, .role = "admin"})));
  }
  auto given = http::parse_basic(*authorization);
  if (!given) return done({.kind = Verdict::Kind::Wrong});
  if (everyone) return done(known(identity_of({.name = given->user, .role = "admin"})));
  check(std::move(given->user), std::move(given->password), access::address_of(request.peer),
        [done = std::move(done)](const Checked& checked) { done(verdict_of(checked)); });
}

// A user of the configuration has the role that it gives him now.
Verdict Authenticator::by_session(std::string_view cookie, const access::Session& session) const {
  const auto role = session.foreign_user ? std::optional(session.role) : role_of(session.user);
  if (!role) return {.kind = Verdict::Kind::Wrong};
  Verdict verdict = known(identity_of({session.user, *role}));
  verdict.identity.session = session.id;
  verdict.csrf = Sessions::csrf_of(cookie);
  return verdict;
}

Verdict Authenticator::by_token(std::string_view token) {
  if (auto own = by_own_token(token)) return known(*std::move(own));
  const auto* found = parts_.sessions == nullptr ? nullptr : parts_.sessions->find_token(token);
  if (found == nullptr) return {.kind = Verdict::Kind::Wrong};
  return known({.name = "token:" + found->name, .scopes = found->scopes, .queues = found->queues});
}

std::optional<Identity> Authenticator::by_own_token(std::string_view token) const {
  if (auto worker = verify_worker_token(parts_.worker_key, token))
    return Identity{.name = "worker", .scopes = bits(Scope::Work), .worker_id = *std::move(worker)};
  std::lock_guard lock(mutex_);
  const auto it = replica_tokens_.find(std::string(token));
  if (it == replica_tokens_.end()) return std::nullopt;
  return Identity{.name = it->second, .scopes = kReplicaScopes};
}

// --- passwords ----------------------------------------------------------------------------------

// Of somebody who is not there it is another one's, the slowest kind that we have: how long it
// takes does not tell which names exist.
std::optional<access::Password> Authenticator::password_of(const std::string& user) const {
  std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(users_, user, &User::name);
  if (found != users_.end()) return found->password;
  const auto slow =
      std::ranges::find_if(users_, [](const User& other) { return other.password.is_slow(); });
  if (slow != users_.end()) return slow->password;
  return users_.empty() ? std::nullopt : std::optional(users_.front().password);
}

void Authenticator::check(std::string user, std::string password, const std::string& address,
                          std::function<void(Checked)> done) {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(seen_generation_, generation_) != generation_) right_.clear();
  }
  const std::string digest = hmac_sha256(cache_key_, user + '\0' + password);
  const auto answered = [this, address, done](auto found) {
    if (found) guard_.succeeded(address);
    done({.user = std::move(found)});
  };
  // The same one is on its way: many connections of a program that has just started.
  if (const auto same = checking_.find(digest); same != checking_.end())
    return same->second.push_back([done = answered](auto found) { done(std::move(found)); });

  if (const Duration wait = guard_.attempt(address, parts_.clock.now()); wait > Duration::zero())
    return done({.user = {}, .wait = wait});
  const auto role = role_of(user);
  if (right_.contains(digest) && role) return answered(std::optional(KnownUser{user, *role}));
  hash(user, std::move(password), digest, answered);
}

void Authenticator::hash(const std::string& user, std::string given, const std::string& digest,
                         Waiting waiting) {
  const auto password = password_of(user);
  if (!password) return waiting(std::nullopt);
  const auto role = role_of(user);
  std::optional<KnownUser> who;
  if (role) who = {user, *role};
  if (!password->is_slow()) {
    const bool matches = password->matches(given);
    return waiting(matches ? who : std::nullopt);
  }
  checking_[digest].push_back(std::move(waiting));
  parts_.pool.post([this, password = *password, given = Secret(std::move(given)), who, digest,
                    generation = seen_generation_] {
    const bool matches = password.matches(given.reveal());
    parts_.loop.post([this, digest, generation, found = matches ? who : std::nullopt] {
      hashed(digest, generation, found);
    });
  });
}

void Authenticator::hashed(const std::string& digest, std::uint64_t generation,
                           const std::optional<KnownUser>& user) {
  if (user && generation == seen_generation_) right_.emplace(digest, user->name);
  const auto waiting = checking_.extract(digest);
  if (waiting.empty()) return;
  for (const Waiting& done : waiting.mapped()) done(user);
}

// --- queues of tokens ---------------------------------------------------------------------------

std::optional<http::Response> outside_of_token(const Identity& identity,
                                               const std::vector<std::string>& queues) {
  if (identity.queues.empty()) return std::nullopt;
  for (const std::string& named : queues) {
    const std::string_view queue = named.empty() ? jobs::kDefaultQueue : std::string_view(named);
    if (std::ranges::find(identity.queues, queue) == identity.queues.end())
      return forbidden(fmt::format("{} is not for the queue {}", identity.name, queue));
  }
  return std::nullopt;
}

// --- answers ------------------------------------------------------------------------------------

http::Response unauthenticated(const http::Request& request) {
  http::Response response = to_response(
      Problem{.status = 401,
              .code = "unauthenticated",
              .detail = "credentials are missing or wrong; give user and password, or a token"});
  const auto mode = request.headers.get("Sec-Fetch-Mode");
  const bool script = mode && !http::iequals(*mode, "navigate");
  response.headers.set("WWW-Authenticate", script ? "Session realm=\"jobmill\""
                                                  : "Basic realm=\"jobmill\", charset=\"UTF-8\"");
  return response;
}

http::Response forbidden(std::string_view why) {
  return to_response(Problem{.status = 403, .code = "forbidden", .detail = std::string(why)});
}

http::Response too_many_failures(Duration wait) {
  http::Response response = to_response(
      Problem{.status = 429,
              .code = "rate_limited",
              .detail = "too many wrong passwords came from this address; try again later"});
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  response.headers.set("Retry-After", fmt::to_string(seconds));
  return response;
}

}  // namespace jobmill::api
