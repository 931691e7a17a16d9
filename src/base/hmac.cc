// SPDX-License-Identifier: Apache-2.0
#include "base/hmac.h"

#include <array>
#include <cassert>

#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace jobmill {

std::string hmac_sha256(const Secret& key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  const std::string& bytes = key.reveal();
  [[maybe_unused]] const unsigned char* made =
      HMAC(EVP_sha256(), bytes.data(), static_cast<int>(bytes.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &size);
  assert(made != nullptr);  // fails only for digests that OpenSSL does not have
  return {reinterpret_cast<const char*>(digest.data()), size};
}

}  // namespace jobmill
