// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace jobmill {

// A UUIDv7 (RFC 9562) in lower case. Later calls of one process give greater texts, also when the
// clock stands still or goes back. Safe from any thread.
std::string new_id(TimePoint now);

// The UUIDv5 of a text in jobmill's fixed namespace: the same text gives the same id everywhere.
std::string name_id(std::string_view text);

bool is_uuid(std::string_view text);  // 8-4-4-4-12 hexadecimal digits, any case

// What a user's id becomes: a UUID in lower case as it is, any other text its name_id.
std::string canonical_id(std::string_view text);

// Unguessable text of A-Z a-z 0-9 - _ made of that many random bytes.
std::string random_token(std::size_t bytes);

// Lower-case letters and digits as Kubernetes appends them to names: no vowels, no 0, 1 or 3, so
// that no words appear and none are misread.
std::string random_suffix(std::size_t length);

}  // namespace jobmill
