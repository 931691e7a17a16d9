// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

namespace jobmill::app {

// "so", "scaledobjects", "ScaledObject" -> "ScaledObject"; "pods" -> "Pod". None: unknown.
std::optional<std::string_view> kind_of(std::string_view word);

// All words that kind_of knows, for messages: "deployments (deploy), …".
std::string_view known_kinds();

}  // namespace jobmill::app
