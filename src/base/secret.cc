// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"

#include <utility>

#include <openssl/crypto.h>

namespace jobmill {

Secret::Secret(Secret&& other) noexcept : text_(std::move(other.text_)) { other.wipe(); }

Secret& Secret::operator=(const Secret& other) {
  if (this != &other) *this = Secret(other);
  return *this;
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this == &other) return *this;
  wipe();
  text_ = std::move(other.text_);
  other.wipe();
  return *this;
}

bool Secret::equals(std::string_view other) const { return equal_in_constant_time(text_, other); }

// Short texts live inside the string object and stay there after a move, so the whole capacity is
// overwritten. Growing to the capacity never allocates.
void Secret::wipe() noexcept {
  text_.resize(text_.capacity());
  OPENSSL_cleanse(text_.data(), text_.size());
  text_.clear();
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace jobmill
