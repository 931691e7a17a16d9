// SPDX-License-Identifier: Apache-2.0
#include "http/message.h"

#include <doctest/doctest.h>

using namespace jobmill::http;

TEST_CASE("headers: names compare without case, the first one counts, set leaves one") {
  Headers headers;
  headers.add("Accept", "a");
  headers.add("X", "1");
  headers.add("accept", "b");
  CHECK(headers.get("ACCEPT") == "a");
  CHECK_FALSE(headers.get("Host"));
  headers.set("aCCept", "c");
  CHECK(headers.fields().size() == 2);
  CHECK(headers.get("Accept") == "c");
  headers.set("Host", "h");
  CHECK(headers.get("host") == "h");
}

TEST_CASE("target: path and query are decoded") {
  Request request{.method = "GET", .target = "/a%20b/c+d?x=1&y=%26%3D&plus=a+b&flag&=e&&x=2"};
  REQUIRE(parse_target(request));
  CHECK(request.path == "/a b/c+d");
  CHECK(request.parameter("x") == "1");
  CHECK(request.parameter("y") == "&=");
  CHECK(request.parameter("plus") == "a b");
  CHECK(request.parameter("flag") == "");
  CHECK(request.parameter("") == "e");
  CHECK_FALSE(request.parameter("z"));
  CHECK(request.query.size() == 6);
}

TEST_CASE("target: the absolute form and the server-wide form") {
  Request request{.method = "GET", .target = "http://host:80/p?q=1"};
  REQUIRE(parse_target(request));
  CHECK(request.path == "/p");
  CHECK(request.parameter("q") == "1");

  request.target = "HTTPS://host";
  REQUIRE(parse_target(request));
  CHECK(request.path == "/");
  CHECK(request.query.empty());

  request.target = "*";
  CHECK_FALSE(parse_target(request));
  request.method = "OPTIONS";
  CHECK(parse_target(request));
}

TEST_CASE("target: malformed ones are refused") {
  for (const char* target : {"/%", "/%4", "/%zz", "/?a=%", "/?%q=1", "host:80", "a/b"}) {
    CAPTURE(target);
    Request request{.method = "GET", .target = target};
    CHECK_FALSE(parse_target(request));
  }
}

TEST_CASE("url encoding: decoding gives back any bytes") {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  CHECK(url_decode(url_encode(all)) == all);
  CHECK(url_encode("a b/c~d%") == "a%20b%2Fc~d%25");
  CHECK(url_decode("a+b") == "a+b");
  CHECK(url_decode("a+b", true) == "a b");
}

TEST_CASE("basic authorization: user and password, with colons in the password") {
  CHECK(basic_authorization("user", "pass") == "Basic dXNlcjpwYXNz");
  CHECK(basic_authorization("Aladdin", "open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
  for (const auto& [user, password] : {std::pair{"u", ""}, {"", "p"}, {"user", "a:b:c"}}) {
    const auto parsed = parse_basic(basic_authorization(user, password));
    REQUIRE(parsed);
    CHECK(parsed->user == user);
    CHECK(parsed->password == password);
  }
  CHECK(parse_basic("basic  dXNlcjpwYXNz")->user == "user");
}

TEST_CASE("basic authorization: what is none is refused") {
  for (const char* text : {"", "Basic", "Basic ", "Bearer abc", "Basic dXNlcg==", "Basic !!!!",
                           "Basic dXNlcjpwYXN", "Basic dXNl=jpw", "Basic ===="}) {
    CAPTURE(text);
    CHECK_FALSE(parse_basic(text));
  }
}
