// SPDX-License-Identifier: Apache-2.0
#include "scalers/auth_block.h"

#include <chrono>

#include <doctest/doctest.h>

namespace jobmill::scalers {
namespace {

struct Decoded {
  AuthBlock auth;
  std::set<Flaw> flaws;
  std::string message;
};

Decoded decode(const std::string& modes, scale::TriggerSpec::Texts auth) {
  scale::TriggerSpec spec;
  spec.type = "demo";
  spec.metadata["authModes"] = modes;
  spec.auth = std::move(auth);
  Parameters parameters(spec, kAuthParameters);
  Decoded decoded{.auth = decode_auth(parameters), .flaws = parameters.flaws(), .message = {}};
  if (const Status status = parameters.status(); !status) decoded.message = status.error().message;
  return decoded;
}

http::ClientRequest authorized(const Decoded& decoded) {
  REQUIRE_MESSAGE(decoded.flaws.empty(), decoded.message);
  http::ClientRequest request;
  request.url = "http://h/api?b=2&a=1";
  authorize(decoded.auth, request);
  return request;
}

}  // namespace

TEST_CASE("auth block: every mode names what it lacks") {
  for (const auto& [mode, missing] : std::initializer_list<std::pair<const char*, const char*>>{
           {"apiKey", "authModes apiKey needs apiKey"},
           {"basic", "authModes basic needs username"},
           {"tls", "authModes tls needs cert and key"},
           {"bearer", "authModes bearer needs bearerToken"},
           {"custom", "authModes custom needs customAuthHeader and customAuthValue"},
           {"oauth", "authModes oauth needs oauthTokenURI and clientID"}}) {
    CAPTURE(mode);
    const Decoded decoded = decode(mode, {});
    CHECK(decoded.flaws == std::set{Flaw::AuthIncomplete});
    CHECK(decoded.message.ends_with(missing));
  }
}

TEST_CASE("auth block: only one mode may fill the Authorization header") {
  const Decoded decoded = decode("basic,bearer", {{"username", "u"}, {"token", "t"}});
  CHECK(decoded.flaws == std::set{Flaw::Enum});
}

TEST_CASE("auth block: modes combine") {
  const auto request =
      authorized(decode("tls, basic", {{"cert", "C"}, {"key", "K"}, {"username", "u"}}));
  CHECK(request.headers.get("Authorization") == "Basic dTo=");
  CHECK(request.tls_cert == "C");
  CHECK(request.tls_key == "K");
  CHECK(request.tls_ca.empty());
}

TEST_CASE("auth block: an API key in the query joins the others in the order of their names") {
  const auto request = authorized(
      decode("apiKey", {{"apiKey", "k&y"}, {"method", "query"}, {"keyParamName", "aa"}}));
  CHECK(request.url == "http://h/api?a=1&aa=k%26y&b=2");
  CHECK(request.headers.fields().empty());
}

TEST_CASE("auth block: the token request names the client once, in header or form") {
  const Decoded decoded = decode("oauth", {{"oauthTokenURI", "https://id/token"},
                                           {"clientID", "me"},
                                           {"clientSecret", "p w"},
                                           {"scopes", "a, b"},
                                           {"endpointParams", "audience=x"}});
  REQUIRE(decoded.auth.oauth);
  const auto header = token_request(*decoded.auth.oauth, false);
  CHECK(header.method == "POST");
  CHECK(header.url == "https://id/token");
  CHECK(header.headers.get("Authorization") == "Basic bWU6cCt3");
  CHECK(header.body == "grant_type=client_credentials&scope=a+b&audience=x");

  const auto form = token_request(*decoded.auth.oauth, true);
  CHECK_FALSE(form.headers.get("Authorization"));
  CHECK(form.body.ends_with("&audience=x&client_id=me&client_secret=p+w"));
}

TEST_CASE("auth block: a token answer must hold a token") {
  const auto token = parse_token(
      {.status = 200, .headers = {}, .body = R"({"access_token":"T","expires_in":3600})"});
  REQUIRE(token);
  CHECK(token->value == "T");
  CHECK(token->lifetime == std::chrono::hours(1));
  CHECK_FALSE(parse_token({.status = 200, .headers = {}, .body = "{}"}));
  CHECK_FALSE(parse_token({.status = 200, .headers = {}, .body = "<html>"}));
  CHECK_FALSE(parse_token({.status = 403, .headers = {}, .body = R"({"access_token":"T"})"}));
}

}  // namespace jobmill::scalers
