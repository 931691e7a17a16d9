// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/route.h"

namespace jobmill::api {

// "read", "produce", … of Scope bits, and back; 0: no such scope.
std::vector<std::string_view> scope_names(unsigned scopes);
unsigned scope_of(std::string_view name);

// What a page has to know of who it is for. `csrf` is empty without a session.
std::string session_json(const ApiContext& context, const Identity& identity,
                         std::string_view csrf);

}  // namespace jobmill::api
