// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/jwt.h"
#include "base/result.h"
#include "broker/authorization.h"
#include "executions/resources.h"
#include "http/message.h"

namespace jobmill::api {

// The queue (lower case) that a role assignment is for alone; none: its scope is wider.
std::optional<std::string> queue_of_scope(std::string_view scope);

// Managed identities on this machine: tokens for the replicas of jobs that have an identity, at the
// endpoint of App Service's convention (IDENTITY_ENDPOINT, IDENTITY_HEADER), and what such a token
// lets its bearer do with Service Bus, by role assignments. Belongs to the loop thread.
class Identities {
 public:
  Identities(const executions::Resources& resources, const JwtKey& key, const Clock& clock)
      : resources_(resources), key_(key), clock_(clock) {}

  // A replica that runs. `header`: its secret, the value of IDENTITY_HEADER.
  struct Bearer {
    std::string replica;
    std::string execution;
    std::vector<executions::Identity> identities;  // those of its job
  };
  void admit(std::string header, Bearer bearer);
  void dismiss(std::string_view replica);  // it ended: its secret is worth nothing any more

  // Told of each token that a replica gets.
  void on_token(std::function<void(const std::string& replica)> listener);

  // GET ?api-version=2019-08-01&resource=…[&client_id=…|&mi_res_id=…|&principal_id=…]
  http::Response serve(const http::Request& request) const;

  // Rights on an entity (lower case; empty: the namespace) of a token's principal: the union of its
  // role assignments on the entity, its namespace, group and subscription. PermissionDenied says
  // what is wrong: signature, audience, time, no role. Claim::holder is the token's replica.
  // The rights of a principal there, as above.
  broker::Rights rights(std::string_view principal, std::string_view entity) const;
  Result<broker::Claim> verify(std::string_view jwt, std::string_view entity, TimePoint now) const;

 private:
  const Bearer* find(std::string_view header) const;
  std::string token(const Bearer& bearer, const executions::Identity& identity,
                    std::string_view resource, TimePoint now) const;

  const executions::Resources& resources_;
  const JwtKey& key_;
  const Clock& clock_;
  std::map<std::string, Bearer, std::less<>> bearers_;  // by header
  std::function<void(const std::string& replica)> on_token_;
};

}  // namespace jobmill::api
