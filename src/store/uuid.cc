// SPDX-License-Identifier: Apache-2.0
#include "store/uuid.h"

#include <cassert>

namespace jobmill::store {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

unsigned digit(char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10); }

}  // namespace

UuidBytes uuid_bytes(std::string_view text) {
  UuidBytes bytes{};
  std::size_t at = 0;
  for (char& byte : bytes) {
    if (text[at] == '-') ++at;
    byte = static_cast<char>(digit(text[at]) << 4 | digit(text[at + 1]));
    at += 2;
  }
  return bytes;
}

std::string uuid_text(std::string_view bytes) {
  assert(bytes.size() == 16);
  std::string text(36, '-');
  std::size_t at = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) ++at;
    const auto byte = static_cast<unsigned char>(bytes[i]);
    text[at++] = kDigits[byte >> 4];
    text[at++] = kDigits[byte & 15];
  }
  return text;
}

}  // namespace jobmill::store
