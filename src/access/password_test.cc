// SPDX-License-Identifier: Apache-2.0
#include "access/password.h"

#include <doctest/doctest.h>

namespace jobmill::access {

TEST_CASE("password: hashes that other programs made are understood") {
  // The first as htpasswd and Python make them, the second as the argon2 command does.
  const auto bcrypt =
      Password::hashed("$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
  REQUIRE(bcrypt);
  CHECK(bcrypt->is_slow());
  CHECK(bcrypt->matches("U*U"));
  CHECK_FALSE(bcrypt->matches("U*V"));
  const auto argon = Password::hashed(
      "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4");
  REQUIRE(argon);
  CHECK(argon->matches("password"));
  CHECK_FALSE(argon->matches("Password"));
}

TEST_CASE("password: plain text is compared as it is") {
  const auto plain = Password::plain("s3cret");
  CHECK_FALSE(plain.is_slow());
  CHECK(plain.matches("s3cret"));
  CHECK_FALSE(plain.matches("s3cre"));
  CHECK_FALSE(plain.matches(""));
}

TEST_CASE("password: what is no hash of these kinds is refused when it is read") {
  for (const char* bad : {"", "secret", "$1$salt$hash", "$2b$05$short", "$argon2i$v=19$m=1$a$b"})
    CHECK_FALSE(Password::hashed(bad));
}

}  // namespace jobmill::access
