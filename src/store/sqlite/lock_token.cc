// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/lock_token.h"

#include <array>
#include <charconv>

namespace jobmill::sqlite {
namespace {

std::optional<std::int64_t> hex(std::string_view text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value, 16);
  if (error != std::errc() || at != end || value < 0) return std::nullopt;
  return value;
}

}  // namespace

std::string to_text(const LockToken& token) {
  std::array<char, 40> text;
  char* at = std::to_chars(text.begin(), text.end(), token.seq, 16).ptr;
  *at++ = '-';
  at = std::to_chars(at, text.end(), token.token, 16).ptr;
  return {text.data(), at};
}

std::optional<LockToken> lock_token(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto seq = hex(text.substr(0, dash));
  const auto token = hex(text.substr(dash + 1));
  if (!seq || !token) return std::nullopt;
  return LockToken{*seq, *token};
}

}  // namespace jobmill::sqlite
