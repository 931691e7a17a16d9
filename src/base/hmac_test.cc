// SPDX-License-Identifier: Apache-2.0
#include "base/hmac.h"

#include <doctest/doctest.h>

#include "base/base64.h"

namespace jobmill {
namespace {

TEST_CASE("hmac: the published vectors of HMAC-SHA-256 come out") {  // RFC 4231, 4.3 and 4.4
  CHECK(base64_encode(hmac_sha256(Secret("Jefe"), "what do ya want for nothing?")) ==
        "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
  CHECK(base64_encode(hmac_sha256(Secret(std::string(20, '\xaa')), std::string(50, '\xdd'))) ==
        "dz6pHjaADkaFTbjr0JGBpylZCYs++MEi2WNVFM7VZf4=");
}

TEST_CASE("hmac: an empty key and an empty text have a code of their own") {
  CHECK(hmac_sha256(Secret(), "").size() == 32);
  CHECK(hmac_sha256(Secret(), "") != hmac_sha256(Secret("k"), ""));
}

}  // namespace
}  // namespace jobmill
