// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/route.h"
#include "base/secret.h"
#include "http/message.h"

namespace jobmill::api {

struct User {
  std::string name;
  Secret password;
  unsigned scopes = 0;
};

// Scopes of a role: viewer reads; operator also produces and operates; admin does everything.
unsigned scopes_of_role(std::string_view role);

// Says who asks. Users by Basic authentication, local replicas by the token that the server gave
// them (it ends with the replica), workers by the token of their registration. Without users,
// everyone is an admin: the server refuses to listen beyond loopback then.
// Safe from any thread.
class Authenticator {
 public:
  explicit Authenticator(std::string worker_key) : worker_key_(std::move(worker_key)) {}

  void set_users(std::vector<User> users);

  std::string mint_replica_token(const std::string& replica);  // scopes work and produce
  void revoke_replica(const std::string& replica);

  // None: credentials are wrong, or missing where they are needed.
  std::optional<Identity> identify(const http::Request& request) const;

 private:
  std::optional<Identity> by_password(std::string_view authorization) const;
  std::optional<Identity> by_token(std::string_view token) const;

  const std::string worker_key_;
  mutable std::mutex mutex_;  // guards the two below
  std::vector<User> users_;
  std::unordered_map<std::string, std::string> replica_tokens_;  // token -> replica
};

// 401 with WWW-Authenticate, 403: the answer to who may not.
http::Response unauthenticated();
http::Response forbidden(std::string_view why);

}  // namespace jobmill::api
