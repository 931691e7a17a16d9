// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "api/route.h"

namespace jobmill::api {

// Says in the words of a handler what a request changed; without it the audit log has the route and
// the path. `before` and `after` are JSON, or empty, and hold no secrets. To be called before the
// answer is sent; later it makes another entry.
void record(ApiContext& context, const Call& call, std::string_view action, std::string_view target,
            std::string_view before = {}, std::string_view after = {});

}  // namespace jobmill::api
