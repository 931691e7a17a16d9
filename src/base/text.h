// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

// Letters of ASCII without regard to case, whatever the locale: protocols and names have no others.
namespace jobmill {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
std::string lower(std::string_view text);
bool same_letters(std::string_view a, std::string_view b);

}  // namespace jobmill
