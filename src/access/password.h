// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace jobmill::access {

// What a user's password is compared with: a hash, bcrypt ("$2b$12$…") or Argon2id
// ("$argon2id$v=19$…"), or the password itself.
class Password {
 public:
  // InvalidArgument: not a hash of these kinds.
  static Result<Password> hashed(std::string hash);
  static Password plain(std::string text);

  // A hash takes tens of milliseconds, by intent: never compare on the loop thread then.
  bool is_slow() const { return kind_ != Kind::Plain; }
  bool matches(const std::string& given) const;

  bool operator==(const Password& other) const {
    return kind_ == other.kind_ && text_.equals(other.text_.reveal());
  }

 private:
  enum class Kind { Plain, Bcrypt, Argon2id };
  Password(Kind kind, Secret text) : kind_(kind), text_(std::move(text)) {}

  Kind kind_;
  Secret text_;
};

}  // namespace jobmill::access
