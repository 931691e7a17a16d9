// SPDX-License-Identifier: Apache-2.0
#include "api/service_bus_access.h"

#include <string>
#include <vector>

#include <fmt/core.h>

#include "api/queue_text.h"

namespace jobmill::api {

// A token may be for a path below its entity, such as "orders/messages/head".
std::string_view ServiceBusAccess::entity_of(std::string_view path) const {
  const std::string_view whole = path;
  while (!broker_.queue(path)) {
    const auto slash = path.rfind('/');
    if (slash == std::string_view::npos) return whole;
    path = path.substr(0, slash);
  }
  return path;
}

Result<broker::Claim> ServiceBusAccess::claim(std::string_view token, std::string_view path) const {
  if (token.starts_with("SharedAccessSignature ")) {
    std::vector<broker::AuthorizationRule> found;
    const broker::FindRules rules = [&](std::string_view of) {
      found = broker_.rules(entity_of(of));
      return std::span<const broker::AuthorizationRule>(found);
    };
    return broker::verify_sas(token, rules, clock_.now());
  }
  if (http::iequals(token.substr(0, 7), "bearer ")) token.remove_prefix(7);
  if (!verify_jwt_)
    return fail(Code::PermissionDenied, "tokens of this kind are not accepted here");
  return verify_jwt_(token, entity_of(path), clock_.now());
}

Status ServiceBusAccess::allow(const http::Request& request, std::string_view path,
                               broker::Right right) const {
  if (anonymous_) return {};
  const auto authorization = request.headers.get("Authorization");
  if (!authorization) return fail(Code::PermissionDenied, "no Authorization header");
  TRY(const broker::Claim shown, claim(*authorization, path));
  if (!shown.covers(path))
    return fail(Code::PermissionDenied, fmt::format("the token is not for '{}'", path));
  if (!shown.rights.has(right))
    return fail(Code::PermissionDenied,
                fmt::format("the token lacks the right {}", right_text(right)));
  return {};
}

}  // namespace jobmill::api
