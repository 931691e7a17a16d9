// SPDX-License-Identifier: Apache-2.0
#include "api/identity.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "api/problem.h"
#include "base/secret.h"
#include "broker/address.h"

namespace jobmill::api {
namespace {

using broker::Right;
using broker::Rights;
using executions::Identity;

constexpr std::string_view kVersion = "2019-08-01";
constexpr std::string_view kServiceBus = "https://servicebus.azure.net";
constexpr Duration kLife = std::chrono::hours(1);

std::int64_t seconds(TimePoint at) {
  return std::chrono::floor<std::chrono::seconds>(at.time_since_epoch()).count();
}

// --- the endpoint -------------------------------------------------------------------------------

http::Response refuse(int status, std::string_view why) {
  Node body = Node::object();
  body.set("statusCode", Node::integer(status));
  body.set("message", Node::string(why));
  return json_response(status, to_json(body));
}

// Which identity is meant; each selector that is given must fit.
struct Selector {
  std::string_view parameter;
  std::string Identity::*member;
};
constexpr std::array kSelectors{Selector{"client_id", &Identity::client_id},
                                Selector{"mi_res_id", &Identity::id},
                                Selector{"principal_id", &Identity::principal_id}};

Result<Identity> select(const http::Request& request, const std::vector<Identity>& identities) {
  std::vector<Identity> fitting = identities;
  for (const Selector& selector : kSelectors) {
    const auto wanted = request.parameter(selector.parameter);
    if (!wanted || wanted->empty()) continue;
    std::erase_if(fitting, [&](const Identity& identity) {
      return !http::iequals(identity.*selector.member, *wanted);
    });
    if (fitting.empty())
      return fail(Code::InvalidArgument, "No identity of this job has the " +
                                             std::string(selector.parameter) + " '" +
                                             std::string(*wanted) + "'.");
  }
  if (fitting.empty()) return fail(Code::InvalidArgument, "This job has no identity.");
  if (fitting.size() > 1)
    return fail(Code::InvalidArgument,
                "This job has several identities: name one by client_id, mi_res_id or "
                "principal_id.");
  return fitting.front();
}

// --- role assignments ---------------------------------------------------------------------------

struct Role {
  std::string_view name;
  std::string_view id;
  std::uint8_t rights;
};
constexpr std::array kRoles{
    Role{"Azure Service Bus Data Sender", "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39",
         static_cast<std::uint8_t>(Right::Send)},
    Role{"Azure Service Bus Data Receiver", "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0",
         static_cast<std::uint8_t>(Right::Listen)},
    Role{"Azure Service Bus Data Owner", "090c5cfd-751d-490a-894a-3ce6f1109419",
         static_cast<std::uint8_t>(Right::Send) | static_cast<std::uint8_t>(Right::Listen) |
             static_cast<std::uint8_t>(Right::Manage)},
};

std::string_view text_of(const Node* object, std::string_view member) {
  const Node* node = object == nullptr ? nullptr : object->find(member);
  return node == nullptr ? std::string_view() : node->as_string().value_or("");
}

std::string_view after_last_slash(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

std::uint8_t rights_of(const Node& assignment) {
  const std::string_view name = text_of(&assignment, "roleDefinitionName");
  const std::string_view id = after_last_slash(text_of(&assignment, "roleDefinitionId"));
  for (const Role& role : kRoles)
    if (http::iequals(role.name, name) || http::iequals(role.id, id)) return role.rights;
  return 0;
}

// The parts of a resource id, in lower case.
std::vector<std::string> parts_of(std::string_view scope) {
  std::vector<std::string> parts;
  while (!scope.empty()) {
    const std::string_view part = scope.substr(0, scope.find('/'));
    scope.remove_prefix(std::min(scope.size(), part.size() + 1));
    if (!part.empty()) parts.push_back(broker::lower(part));
  }
  return parts;
}

bool is_namespace(const std::vector<std::string>& parts) {
  return parts.size() >= 8 && parts[4] == "providers" && parts[5] == "microsoft.servicebus" &&
         parts[6] == "namespaces";
}

// Names of entities are one space over all namespaces, so whoever has a role on a namespace, on its
// group or its subscription has it on all entities.
bool scope_covers(std::string_view scope, std::string_view entity) {
  const std::vector<std::string> parts = parts_of(scope);
  const auto is = [&](std::size_t at, std::string_view text) {
    return at < parts.size() && parts[at] == text;
  };
  if (parts.empty()) return scope == "/";
  if (!is(0, "subscriptions")) return false;
  if (parts.size() == 2) return true;
  if (!is(2, "resourcegroups")) return false;
  if (parts.size() == 4) return true;
  if (parts.size() == 8) return is_namespace(parts);
  return !entity.empty() && queue_of_scope(scope) == entity;
}

Rights rights_on(const executions::Resources& resources, std::string_view principal,
                 std::string_view entity) {
  Rights rights;
  for (const auto& assignment : resources.list(executions::kRoleAssignments)) {
    const Node* properties = assignment.document.find("properties");
    if (properties == nullptr) continue;
    if (!http::iequals(text_of(properties, "principalId"), principal)) continue;
    if (scope_covers(text_of(properties, "scope"), entity)) rights.bits |= rights_of(*properties);
  }
  return rights;
}

// --- tokens -------------------------------------------------------------------------------------

Fault denied(std::string why) { return fail(Code::PermissionDenied, std::move(why)); }

std::string_view without_slashes(std::string_view audience) {
  while (audience.ends_with('/')) audience.remove_suffix(1);
  return audience;
}

Result<std::int64_t> time_of(const Node& claims, std::string_view name) {
  const Node* node = claims.find(name);
  const auto at = node == nullptr ? std::nullopt : node->as_int();
  if (!at) return denied("the token has no '" + std::string(name) + "'");
  return *at;
}

}  // namespace

std::optional<std::string> queue_of_scope(std::string_view scope) {
  const std::vector<std::string> parts = parts_of(scope);
  if (parts.size() != 10 || !is_namespace(parts) || parts[8] != "queues") return std::nullopt;
  std::string queue = parts[9];
  std::replace(queue.begin(), queue.end(), '~', '/');  // as resource ids have it
  return queue;
}

// --- replicas -----------------------------------------------------------------------------------

void Identities::admit(std::string header, Bearer bearer) {
  bearers_[std::move(header)] = std::move(bearer);
}

void Identities::dismiss(std::string_view replica) {
  std::erase_if(bearers_, [&](const auto& one) { return one.second.replica == replica; });
}

void Identities::on_token(std::function<void(const std::string& replica)> listener) {
  on_token_ = std::move(listener);
}

// All are compared, whichever fits, so that time tells nothing.
const Identities::Bearer* Identities::find(std::string_view header) const {
  const Bearer* found = nullptr;
  for (const auto& [secret, bearer] : bearers_)
    if (equal_in_constant_time(secret, header)) found = &bearer;
  return found;
}

http::Response Identities::serve(const http::Request& request) const {
  if (request.method != "GET") return refuse(405, "Tokens are asked for with GET.");
  const auto header = request.headers.get("X-IDENTITY-HEADER");
  const Bearer* bearer = header ? find(*header) : nullptr;
  if (bearer == nullptr)
    return refuse(401, "The header X-IDENTITY-HEADER is not that of a replica which runs.");
  if (request.parameter("api-version") != kVersion)
    return refuse(400, "The parameter api-version must be " + std::string(kVersion) + ".");
  const auto resource = request.parameter("resource");
  if (!resource || resource->empty()) return refuse(400, "The parameter resource is missing.");
  const auto identity = select(request, bearer->identities);
  if (!identity) return refuse(400, identity.error().message);

  const TimePoint now = clock_.now();
  const std::int64_t expires = seconds(now + kLife);
  Node body = Node::object();
  body.set("access_token", Node::string(token(*bearer, *identity, *resource, now)));
  body.set("expires_on", Node::string(std::to_string(expires)));
  body.set("resource", Node::string(*resource));
  body.set("token_type", Node::string("Bearer"));
  body.set("client_id", Node::string(identity->client_id));
  if (on_token_) on_token_(bearer->replica);
  http::Response response = json_response(200, to_json(body));
  response.headers.set("Cache-Control", "no-store");
  return response;
}

std::string Identities::token(const Bearer& bearer, const Identity& identity,
                              std::string_view resource, TimePoint now) const {
  Node claims = Node::object();
  claims.set("iss", Node::string("jobmill"));
  claims.set("aud", Node::string(resource));
  claims.set("sub", Node::string(identity.principal_id));
  claims.set("oid", Node::string(identity.principal_id));
  claims.set("appid", Node::string(identity.client_id));
  claims.set("iat", Node::integer(seconds(now)));
  claims.set("nbf", Node::integer(seconds(now)));
  claims.set("exp", Node::integer(seconds(now + kLife)));
  claims.set("jobmill_execution", Node::string(bearer.execution));
  claims.set("jobmill_replica", Node::string(bearer.replica));
  return key_.sign(claims);
}

Rights Identities::rights(std::string_view principal, std::string_view entity) const {
  return rights_on(resources_, principal, entity);
}

Result<broker::Claim> Identities::verify(std::string_view jwt, std::string_view entity,
                                         TimePoint now) const {
  TRY(const Node claims, key_.verify(jwt));
  if (without_slashes(text_of(&claims, "aud")) != kServiceBus)
    return denied("the token is for '" + std::string(text_of(&claims, "aud")) + "', not for " +
                  std::string(kServiceBus));
  TRY(const std::int64_t expires, time_of(claims, "exp"));
  TRY(const std::int64_t begins, time_of(claims, "nbf"));
  if (expires <= seconds(now)) return denied("the token has expired");
  if (begins > seconds(now)) return denied("the token is not valid yet");

  const std::string_view principal = text_of(&claims, "oid");
  const Rights rights = rights_on(resources_, principal, entity);
  if (rights.bits == 0)
    return denied("the principal '" + std::string(principal) + "' has no role of Service Bus on '" +
                  std::string(entity) + "'");
  return broker::Claim{.path = std::string(entity),
                       .rights = rights,
                       .expires_at = TimePoint(std::chrono::seconds(expires)),
                       .principal = std::string(principal),
                       .holder = std::string(text_of(&claims, "jobmill_replica"))};
}

}  // namespace jobmill::api
