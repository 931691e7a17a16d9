// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>

namespace jobmill {

// The two digits of a byte, in small letters, and the place behind them. By a table: ids are
// written for every job.
inline char* put_hex(char* at, std::byte byte) {
  static constexpr auto kPairs = [] {
    constexpr char kDigits[] = "0123456789abcdef";
    std::array<char, 512> pairs{};
    for (std::size_t i = 0; i < 256; ++i) {
      pairs[2 * i] = kDigits[i >> 4];
      pairs[2 * i + 1] = kDigits[i & 15];
    }
    return pairs;
  }();
  const auto value = std::to_integer<std::size_t>(byte);
  at[0] = kPairs[2 * value];
  at[1] = kPairs[2 * value + 1];
  return at + 2;
}

inline std::string hex_text(std::span<const std::byte> bytes) {
  std::string text(2 * bytes.size(), '0');
  char* at = text.data();
  for (const std::byte byte : bytes) at = put_hex(at, byte);
  return text;
}

// As RFC 9562 writes it: "01234567-89ab-cdef-0123-456789abcdef".
inline std::string uuid_text(std::span<const std::byte, 16> bytes) {
  std::string text(36, '-');
  char* at = text.data();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) ++at;
    at = put_hex(at, bytes[i]);
  }
  return text;
}

}  // namespace jobmill
