// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace jobmill::broker {

// The authorization rule that every namespace has.
inline constexpr std::string_view kRootRule = "RootManageSharedAccessKey";

}  // namespace jobmill::broker
