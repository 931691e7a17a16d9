// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "base/clock.h"
#include "base/secret.h"
#include "broker/entity.h"

namespace jobmill::api {

// A new key of an authorization rule: 32 random bytes in base64, as long as those of the cloud.
Secret random_rule_key();

// Gives rules the keys and the time of creation that a client left out.
void complete_rules(std::vector<broker::AuthorizationRule>& rules, TimePoint now);

}  // namespace jobmill::api
