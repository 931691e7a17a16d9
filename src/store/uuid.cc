// SPDX-License-Identifier: Apache-2.0
#include "store/uuid.h"

#include <cassert>
#include <span>

#include "base/hex.h"

namespace jobmill::store {
namespace {

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
  return jobmill::uuid_text(std::as_bytes(std::span(bytes)).first<16>());
}

}  // namespace jobmill::store
