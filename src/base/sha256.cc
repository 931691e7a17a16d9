// SPDX-License-Identifier: Apache-2.0
#include "base/sha256.h"

#include <array>
#include <cassert>
#include <span>

#include <openssl/evp.h>

#include "base/hex.h"

namespace jobmill {

std::string sha256(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  [[maybe_unused]] const int made =
      EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  assert(made == 1);  // fails only for digests that OpenSSL does not have
  return {reinterpret_cast<const char*>(digest.data()), size};
}

std::string sha256_hex(std::string_view bytes) {
  const std::string digest = sha256(bytes);
  return hex_text(std::as_bytes(std::span(digest)));
}

}  // namespace jobmill
