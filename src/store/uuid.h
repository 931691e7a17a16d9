// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace jobmill::store {

// A job's id as the table holds it.
using UuidBytes = std::array<char, 16>;

UuidBytes uuid_bytes(std::string_view text);    // of a canonical UUID
std::string uuid_text(std::string_view bytes);  // of 16 bytes

}  // namespace jobmill::store
