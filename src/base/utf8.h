// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace jobmill {

bool is_ascii(std::string_view text);

// The well-formed sequences of RFC 3629, section 4: no overlong forms, no surrogates, nothing
// beyond U+10FFFF.
bool is_utf8(std::string_view text);

}  // namespace jobmill
