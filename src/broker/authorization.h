// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "broker/entity.h"

namespace jobmill::broker {

// What a token lets its bearer do.
struct Claim {
  std::string path{};  // lower case; the entity, and all below it by path; empty: the namespace
  Rights rights{};
  std::optional<TimePoint> expires_at{};
  std::string principal{};  // the rule's name, or the token's subject
  std::string holder{};     // the replica that our identity endpoint gave the token to
  bool covers(std::string_view entity_path) const;  // path-wise: "a" covers "a/b", not "ab"
};

// The rules that may have signed a token for this path: the entity's, then the namespace's.
using FindRules = std::function<std::span<const AuthorizationRule>(std::string_view path)>;

// "SharedAccessSignature sr=…&sig=…&se=…&skn=…", parameters in any order. The signature is over the
// text of sr as it was encoded; clients encode differently, so its upper- and lower-case forms
// count too. PermissionDenied says what is wrong: expired, unknown rule, wrong signature.
Result<Claim> verify_sas(std::string_view token, const FindRules& rules, TimePoint now);

// For connection strings, our own clients and tests. `resource` unencoded: "sb://localhost/queue1".
std::string make_sas(std::string_view resource, std::string_view rule, const Secret& key,
                     TimePoint expires_at);

// PLAIN: user = rule, password = key. The claim covers what the rule is made for.
Result<Claim> verify_plain(std::string_view rule, const Secret& key,
                           std::span<const AuthorizationRule> rules);

}  // namespace jobmill::broker
