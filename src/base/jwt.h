// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/document.h"
#include "base/result.h"

namespace jobmill {

// Signs JSON Web Tokens (RFC 7519) and verifies its own: ES256, elliptic curve P-256 with SHA-256.
// Immutable; safe to share between threads.
class JwtKey {
 public:
  // From a PEM file of mode 0600, made when there is none.
  static Result<JwtKey> open(const std::string& path);
  static JwtKey random();  // for tests

  // Header, claims and signature, each base64url without padding, joined by dots.
  std::string sign(const Node& claims) const;

  // The claims of a token that this key signed with ES256; nothing else is accepted, also not
  // "none". PermissionDenied says what is wrong. Times are the caller's to judge.
  Result<Node> verify(std::string_view token) const;

 private:
  struct Impl;
  explicit JwtKey(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace jobmill
