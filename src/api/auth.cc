// SPDX-License-Identifier: Apache-2.0
#include "api/auth.h"

#include "api/problem.h"
#include "api/worker_token.h"
#include "base/id.h"

namespace jobmill::api {
namespace {

constexpr unsigned bits(Scope scope) { return static_cast<unsigned>(scope); }
constexpr unsigned kReplicaScopes = bits(Scope::Work) | bits(Scope::Produce);

}  // namespace

unsigned scopes_of_role(std::string_view role) {
  const unsigned viewer = bits(Scope::Read);
  const unsigned user = viewer | bits(Scope::Produce) | bits(Scope::Work) | bits(Scope::Operate);
  if (role == "viewer") return viewer;
  if (role == "operator") return user;
  return role == "admin" ? user | bits(Scope::Admin) : 0;
}

void Authenticator::set_users(std::vector<User> users) {
  std::lock_guard lock(mutex_);
  users_ = std::move(users);
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

std::optional<Identity> Authenticator::identify(const http::Request& request) const {
  const auto authorization = request.headers.get("Authorization");
  if (!authorization) {
    std::lock_guard lock(mutex_);
    if (!users_.empty()) return std::nullopt;
    return Identity{.name = {}, .scopes = scopes_of_role("admin"), .worker_id = {}};
  }
  constexpr std::string_view kBearer = "Bearer ";
  if (authorization->starts_with(kBearer)) return by_token(authorization->substr(kBearer.size()));
  return by_password(*authorization);
}

std::optional<Identity> Authenticator::by_password(std::string_view authorization) const {
  const auto given = http::parse_basic(authorization);
  if (!given) return std::nullopt;
  std::lock_guard lock(mutex_);
  if (users_.empty())
    return Identity{.name = given->user, .scopes = scopes_of_role("admin"), .worker_id = {}};
  std::optional<Identity> found;
  for (const User& user : users_) {  // all of them, so that time does not tell which names exist
    const bool matches =
        equal_in_constant_time(user.name, given->user) & user.password.equals(given->password);
    if (matches) found = Identity{.name = user.name, .scopes = user.scopes, .worker_id = {}};
  }
  return found;
}

std::optional<Identity> Authenticator::by_token(std::string_view token) const {
  if (auto worker = verify_worker_token(worker_key_, token))
    return Identity{.name = "worker", .scopes = bits(Scope::Work), .worker_id = *std::move(worker)};
  std::lock_guard lock(mutex_);
  const auto it = replica_tokens_.find(std::string(token));
  if (it == replica_tokens_.end()) return std::nullopt;
  return Identity{.name = it->second, .scopes = kReplicaScopes, .worker_id = {}};
}

http::Response unauthenticated() {
  http::Response response = to_response(
      Problem{.status = 401,
              .code = "unauthenticated",
              .detail = "credentials are missing or wrong; give user and password, or a token",
              .parameter = {},
              .errors = {},
              .job_id = {}});
  response.headers.set("WWW-Authenticate", "Basic realm=\"jobmill\", charset=\"UTF-8\"");
  return response;
}

http::Response forbidden(std::string_view why) {
  return to_response(Problem{.status = 403,
                             .code = "forbidden",
                             .detail = std::string(why),
                             .parameter = {},
                             .errors = {},
                             .job_id = {}});
}

}  // namespace jobmill::api
