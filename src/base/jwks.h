// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/document.h"
#include "base/result.h"

namespace jobmill {

// The public keys of somebody else who signs JSON Web Tokens (RFC 7517), and what they prove.
// Immutable; safe to share between threads.
class KeySet {
 public:
  // From {"keys": […]}. RSA keys of 2048 bits and more, and elliptic curve P-256; others are passed
  // over.
  static Result<KeySet> parse(std::string_view json);

  // The claims of a token that one of these keys signed with RS256 or ES256; nothing else is
  // accepted, also not "none". NotFound: no key has the token's id, so they may have been changed.
  // PermissionDenied says what else is wrong. Times and names are the caller's to judge.
  Result<Node> verify(std::string_view token) const;

 private:
  struct Key;
  explicit KeySet(std::vector<std::shared_ptr<const Key>> keys) : keys_(std::move(keys)) {}
  std::vector<std::shared_ptr<const Key>> keys_;
};

}  // namespace jobmill
