// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/secret.h"

namespace jobmill {

// RFC 2104 with SHA-256: 32 bytes. Compare them with equal_in_constant_time.
std::string hmac_sha256(const Secret& key, std::string_view text);

}  // namespace jobmill
