// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace jobmill {
namespace {

struct Utf8Range {
  std::size_t follow = 0;   // bytes that follow the first one
  std::uint8_t low = 0x80;  // of the second byte: no overlong forms, no surrogates, <= 10FFFF
  std::uint8_t high = 0xBF;
};

std::optional<Utf8Range> utf8_range(std::uint8_t first) {
  if (first < 0x80) return Utf8Range{};
  if (first >= 0xC2 && first <= 0xDF) return Utf8Range{.follow = 1};
  if (first == 0xE0) return Utf8Range{.follow = 2, .low = 0xA0};
  if (first == 0xED) return Utf8Range{.follow = 2, .high = 0x9F};
  if (first >= 0xE1 && first <= 0xEF) return Utf8Range{.follow = 2};
  if (first == 0xF0) return Utf8Range{.follow = 3, .low = 0x90};
  if (first >= 0xF1 && first <= 0xF3) return Utf8Range{.follow = 3};
  if (first == 0xF4) return Utf8Range{.follow = 3, .high = 0x8F};
  return std::nullopt;
}

}  // namespace

bool is_ascii(std::string_view text) {
  std::uint8_t seen = 0;
  for (const char c : text) seen |= static_cast<std::uint8_t>(c);
  return seen < 0x80;
}

bool is_utf8(std::string_view text) {
  if (is_ascii(text)) return true;
  while (!text.empty()) {
    const auto range = utf8_range(static_cast<std::uint8_t>(text[0]));
    if (!range || text.size() <= range->follow) return false;
    for (std::size_t i = 1; i <= range->follow; ++i) {
      const auto byte = static_cast<std::uint8_t>(text[i]);
      if (byte < (i == 1 ? range->low : 0x80) || byte > (i == 1 ? range->high : 0xBF)) return false;
    }
    text.remove_prefix(range->follow + 1);
  }
  return true;
}

}  // namespace jobmill
