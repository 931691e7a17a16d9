// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace jobmill::sqlite {

// The fencing token of a claim as clients carry it: where the job is, and a number that no other
// claim has. It saves the look-up by id.
struct LockToken {
  std::int64_t seq = 0;
  std::int64_t token = 0;
};

std::string to_text(const LockToken& token);
std::optional<LockToken> lock_token(std::string_view text);

}  // namespace jobmill::sqlite
