// SPDX-License-Identifier: Apache-2.0
#include "api/rule_keys.h"

#include <array>
#include <string_view>

#include "base/base64.h"
#include "base/random.h"

namespace jobmill::api {

Secret random_rule_key() {
  std::array<std::byte, 32> bytes{};
  fill_random(bytes);
  return Secret(
      base64_encode(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())));
}

void complete_rules(std::vector<broker::AuthorizationRule>& rules, TimePoint now) {
  for (broker::AuthorizationRule& rule : rules) {
    if (rule.primary_key.empty()) rule.primary_key = random_rule_key();
    if (rule.secondary_key.empty()) rule.secondary_key = random_rule_key();
    if (rule.created_at == TimePoint()) rule.created_at = rule.updated_at = now;
  }
}

}  // namespace jobmill::api
