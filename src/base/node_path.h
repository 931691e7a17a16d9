// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/document.h"

namespace jobmill {

// What stands at the end of a path of members; null: there is no such path.
const Node* find_at(const Node& root, std::initializer_list<std::string_view> path);

// The text of the scalar there; empty: there is none, or null.
std::string text_at(const Node& root, std::initializer_list<std::string_view> path);

}  // namespace jobmill
