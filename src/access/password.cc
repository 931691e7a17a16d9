// SPDX-License-Identifier: Apache-2.0
#include "access/password.h"

#include <argon2.h>
#include <crypt.h>

#include <algorithm>
#include <memory>
#include <string_view>

namespace jobmill::access {
namespace {

constexpr std::size_t kBcryptLength = 60;

bool is_bcrypt(std::string_view hash) {
  const bool known =
      hash.starts_with("$2b$") || hash.starts_with("$2y$") || hash.starts_with("$2a$");
  return known && hash.size() == kBcryptLength;
}

// The library computes the hash anew, with the salt and the cost of the old one.
bool bcrypt_matches(const std::string& hash, const std::string& given) {
  const auto work = std::make_unique<crypt_data>();  // 32 KiB; zeroed, as it has to be
  const char* made = crypt_r(given.c_str(), hash.c_str(), work.get());
  return made != nullptr && equal_in_constant_time(made, hash);
}

}  // namespace

Result<Password> Password::hashed(std::string hash) {
  if (is_bcrypt(hash)) return Password(Kind::Bcrypt, Secret(std::move(hash)));
  if (hash.starts_with("$argon2id$") && std::ranges::count(hash, '$') == 5)
    return Password(Kind::Argon2id, Secret(std::move(hash)));
  return fail(Code::InvalidArgument,
              "not a hash that is known; use bcrypt ($2b$…) or Argon2id ($argon2id$…)");
}

Password Password::plain(std::string text) { return {Kind::Plain, Secret(std::move(text))}; }

bool Password::matches(const std::string& given) const {
  switch (kind_) {
    case Kind::Plain:
      return text_.equals(given);
    case Kind::Bcrypt:
      return bcrypt_matches(text_.reveal(), given);
    case Kind::Argon2id:
      return argon2id_verify(text_.reveal().c_str(), given.data(), given.size()) == ARGON2_OK;
  }
  return false;
}

}  // namespace jobmill::access
