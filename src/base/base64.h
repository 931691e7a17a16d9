// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace jobmill {

// RFC 4648, section 4, with padding.
std::string base64_encode(std::string_view bytes);

// Line breaks are skipped, as the files that people encode have them. Nothing for any other
// character outside the alphabet, for missing padding and for stray bits at the end.
std::optional<std::string> base64_decode(std::string_view text);

// RFC 4648, section 5, as tokens have it: - and _ for + and /, no padding, no line breaks.
std::string base64url_encode(std::string_view bytes);
std::optional<std::string> base64url_decode(std::string_view text);

}  // namespace jobmill
