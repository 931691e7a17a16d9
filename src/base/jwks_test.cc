// SPDX-License-Identifier: Apache-2.0
#include "base/jwks.h"

#include <doctest/doctest.h>

#include "base/base64.h"

namespace jobmill {
namespace {

// Two keys that were made for this test and thrown away, and a token of each, made with openssl.
constexpr char kKeys[] =
    R"({"keys":[{"kty":"RSA","kid":"r","use":"sig","n":"xPD2bZU_NBeBGAtGRKpbLbGTwzaEoi-)"
    R"(nmZYVpWUcgLaZHpUiMINqHc1x1s2BtPABF8NhpRxynu7FY2vbTliJkulwI-wyBShJ2wgFg2Ya49eKpSu)"
    R"(xc4XZppCgv29e5HMvwAfprNCa70bw1NuWQ41pyFo0Ke8FBHafRjbiP0QzwPgayQTeveqCEYAj1rP360y)"
    R"(1r1zF7_G5R99ViqmxbER9gwTU822HxR_bj2ravvfD9AoT88H9GHKrdHYDgIa6YdZvFIVGdzKok8n9TKt)"
    R"(9rKHMHDP9ZszWyykrdym6XJISC1PtpMH8029NqpKg_LmjcJks2fManHs26yPGdROCmt3iiQ","e":"AQ)"
    R"(AB"},{"kty":"EC","kid":"e","crv":"P-256","x":"KJBD7V8xUABeiV_X2yncJc8_pY7NFsnKrI)"
    R"(WojuvkBGg","y":"SqWF5qKLFHxAGqVVylO3F6diOWSuUuUHm5hgXEdWaRA"}]})";
constexpr char kRsaToken[] =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InIifQ.eyJzdWIiOiJhbm4ifQ.bcG3m9h6_ZAvZGJY_bUWbRqgW6We3D"
    "PfzgiQRxvqxQZWs8KNNmAOdKk6_v3dT2zAdeEZfLWrvyO9MlgC96_XEXz6kFng4wXCHxppSgg-RcayZEAyJB"
    "sbIyIkknx52vNP0NErzfq5d7DPnGVRCbIzvDUHjvfGFmNwqG26b0M9kvf8FAA3m2w8JnFNWXkcONmN9Cltci"
    "ak_Ryrz-13S5TMhIQ96hQ4ubTbKEsR5KAPPiuy4fkxXyGNYD8gNe28PPOM7t_TYYYx1jPOnJ-rdh237ZjjQ7"
    "nfQx_TWgzS1a13Xt3K3zsljQkLGJELWBSzgMZ-CASj2Sva59SxQlAGsdWTGA";
constexpr char kEcToken[] =
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImUifQ.eyJzdWIiOiJhbm4ifQ.14ZBxilp0jXsfhyVotExrM5bVl0u5G"
    "IZshMRA6HXb3-PgJzS5xdZvDd4FBKgsDZTtqFEul6pGjegLQExWriBdA";

KeySet keys() {
  auto parsed = KeySet::parse(kKeys);
  REQUIRE(parsed);
  return *std::move(parsed);
}

// The token with another header, signed as it was.
std::string with_header(std::string_view token, std::string_view header) {
  return base64url_encode(header) + std::string(token.substr(token.find('.')));
}

Code refusal(const KeySet& set, std::string_view token) {
  const auto claims = set.verify(token);
  REQUIRE_FALSE(claims);
  return claims.error().code;
}

}  // namespace

TEST_CASE("jwks: tokens that one of the keys signed say what they claim") {
  for (const char* token : {kRsaToken, kEcToken}) {
    const auto claims = keys().verify(token);
    REQUIRE_MESSAGE(claims, (claims ? "" : claims.error().message));
    CHECK(claims->find("sub")->text == "ann");
  }
}

TEST_CASE("jwks: a token that was changed, or signed by nobody, is refused") {
  const KeySet set = keys();
  std::string changed = kRsaToken;
  changed[changed.find('.') + 3] ^= 1;
  CHECK(refusal(set, changed) == Code::PermissionDenied);
  CHECK(refusal(set, with_header(kRsaToken, R"({"alg":"none","kid":"r"})")) ==
        Code::PermissionDenied);
  CHECK(refusal(set, with_header(kRsaToken, R"({"alg":"HS256","kid":"r"})")) ==
        Code::PermissionDenied);
  const std::string_view rsa = kRsaToken;
  CHECK(refusal(set, rsa.substr(0, rsa.rfind('.') + 1)) == Code::PermissionDenied);
  for (const char* bad : {"", ".", "..", "a.b.c", "no token"})
    CHECK(refusal(set, bad) == Code::PermissionDenied);
}

TEST_CASE("jwks: a token cannot choose which kind of key it is checked with") {
  CHECK(refusal(keys(), with_header(kRsaToken, R"({"alg":"RS256","kid":"e"})")) == Code::NotFound);
  CHECK(refusal(keys(), with_header(kEcToken, R"({"alg":"ES256","kid":"new"})")) == Code::NotFound);
}

TEST_CASE("jwks: keys of other kinds, or too weak, are passed over") {
  const auto weak = KeySet::parse(
      R"({"keys":[{"kty":"RSA","kid":"r","n":"AQAB","e":"AQAB"},{"kty":"oct","k":"AA"},{"a":1}]})");
  REQUIRE(weak);
  CHECK(refusal(*weak, kRsaToken) == Code::NotFound);
  CHECK_FALSE(KeySet::parse("[]"));
  CHECK_FALSE(KeySet::parse("{"));
}

}  // namespace jobmill
