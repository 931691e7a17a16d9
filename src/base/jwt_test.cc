// SPDX-License-Identifier: Apache-2.0
#include "base/jwt.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "temporary_folder.h"

namespace jobmill {
namespace {

Node claims() {
  Node node = Node::object();
  node.set("sub", Node::string("somebody"));
  node.set("exp", Node::integer(1'800'000'000));
  return node;
}

std::vector<std::string> parts_of(const std::string& token) {
  const auto first = token.find('.');
  const auto last = token.rfind('.');
  return {token.substr(0, first), token.substr(first + 1, last - first - 1),
          token.substr(last + 1)};
}

bool refused(const JwtKey& key, const std::string& token) {
  const auto verified = key.verify(token);
  return !verified && verified.error().code == Code::PermissionDenied;
}

}  // namespace

TEST_CASE("jwt: the key that signed a token gives its claims back") {
  const JwtKey key = JwtKey::random();
  const std::string token = key.sign(claims());
  const auto verified = key.verify(token);
  REQUIRE(verified);
  CHECK(to_json(*verified) == to_json(claims()));

  const auto parts = parts_of(token);
  CHECK(base64url_decode(parts[0]) == R"({"alg":"ES256","typ":"JWT"})");
  CHECK(base64url_decode(parts[1]) == to_json(claims()));
  CHECK(base64url_decode(parts[2])->size() == 64);  // r and s, not DER
}

// Signatures of RFC 7515, A.3: what others signed is read as it should be.
TEST_CASE("jwt: a token of RFC 7515 verifies with its key") {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/rfc.key";
  const std::string kind = "PRIVATE KEY-----\n";
  const std::string pem = "-----BEGIN " + kind +
                          "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIff\n"
                          "H1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp\n"
                          "7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\n"
                          "-----END " +
                          kind;
  FILE* file = ::fopen(path.c_str(), "w");
  REQUIRE(file != nullptr);
  CHECK(::fputs(pem.c_str(), file) >= 0);
  ::fclose(file);
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  const auto key = JwtKey::open(path);
  REQUIRE(key);
  const auto verified = key->verify(
      "eyJhbGciOiJFUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cn"
      "VlfQ."
      "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
  REQUIRE(verified);
  CHECK(verified->find("iss")->as_string() == "joe");
}

TEST_CASE("jwt: whatever is changed in a token, it is refused") {
  const JwtKey key = JwtKey::random();
  const std::string token = key.sign(claims());
  for (std::size_t at = 0; at < token.size(); ++at) {
    std::string changed = token;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    CAPTURE(at);
    CHECK(refused(key, changed));
  }
  CHECK(refused(key, token.substr(0, token.size() - 2)));
  CHECK(refused(key, token + "AA"));
  CHECK(refused(JwtKey::random(), token));
}

TEST_CASE("jwt: no other algorithm is taken, least of all none") {
  const JwtKey key = JwtKey::random();
  const auto parts = parts_of(key.sign(claims()));
  for (const char* header : {R"({"alg":"none"})", R"({"alg":"HS256"})", R"({"alg":"es256"})",
                             R"({"typ":"JWT"})", R"({"alg":256})", "[]", "{"}) {
    CAPTURE(header);
    const std::string head = base64url_encode(header) + "." + parts[1] + ".";
    CHECK(refused(key, head));
    CHECK(refused(key, head + parts[2]));
  }
}

TEST_CASE("jwt: what is no token is refused") {
  const JwtKey key = JwtKey::random();
  const auto parts = parts_of(key.sign(claims()));
  for (const std::string& text :
       {std::string(), std::string("."), std::string(".."), parts[0], parts[0] + "." + parts[1],
        parts[0] + "." + parts[1] + ".", parts[0] + ".." + parts[2],
        parts[0] + "." + parts[1] + "." + base64url_encode(std::string(64, '\0')),
        std::string(100'000, '.')})
    CHECK(refused(key, text));
}

TEST_CASE("jwt: the key is made once, for its owner alone, and stays") {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/identity.key";
  const auto made = JwtKey::open(path);
  REQUIRE(made);
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  const auto again = JwtKey::open(path);
  REQUIRE(again);
  CHECK(again->verify(made->sign(claims())));

  REQUIRE(::chmod(path.c_str(), 0644) == 0);
  CHECK(JwtKey::open(path).error().code == Code::PermissionDenied);
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  REQUIRE(::truncate(path.c_str(), 20) == 0);
  CHECK(JwtKey::open(path).error().message.find(path) != std::string::npos);
}

}  // namespace jobmill
