// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

namespace jobmill {

// Of `known`, the name that `name` was probably meant to be; empty: none is near.
std::string_view nearest(std::string_view name, const std::vector<std::string_view>& known);

}  // namespace jobmill
