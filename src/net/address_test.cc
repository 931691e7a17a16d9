// SPDX-License-Identifier: Apache-2.0
#include "net/address.h"

#include <doctest/doctest.h>

using namespace jobmill;
using namespace jobmill::net;

TEST_CASE("address: host and port") {
  struct Case {
    const char* text;
    const char* host;
    int port;
  };
  for (const auto& [text, host, port] : {
           Case{"127.0.0.1:8000", "127.0.0.1", 8000},
           Case{":0", "127.0.0.1", 0},
           Case{"[::1]:80", "::1", 80},
           Case{"localhost:65535", "localhost", 65535},
       }) {
    CAPTURE(text);
    const auto address = parse_address(text);
    REQUIRE(address);
    CHECK(address->host == host);
    CHECK(address->port == port);
  }
}

TEST_CASE("address: what cannot be one is refused by name") {
  for (const char* text : {"", "8000", "127.0.0.1", "127.0.0.1:", "h:65536", "h:-1", "h:80x",
                           "::1:80", "[::1]", "[::1:80", "h: 80"}) {
    CAPTURE(text);
    const auto address = parse_address(text);
    REQUIRE_FALSE(address);
    CHECK(address.error().code == Code::InvalidArgument);
    CHECK(address.error().message.find(text) != std::string::npos);
  }
}

TEST_CASE("address: brackets are written where they are needed") {
  CHECK(format_address("127.0.0.1", 80) == "127.0.0.1:80");
  CHECK(format_address("::1", 80) == "[::1]:80");
}

TEST_CASE("address: loopback names and numbers") {
  for (const char* host : {"localhost", "LOCALHOST", "localhost.", "app.localhost", "127.0.0.1",
                           "127.9.9.9", "::1", "0:0:0:0:0:0:0:1"}) {
    CAPTURE(host);
    CHECK(is_loopback(host));
  }
  for (const char* host : {"", "localhost.example.com", "notlocalhost", "10.0.0.1", "0.0.0.0",
                           "127.0.0.1.example.com", "::", "::2"}) {
    CAPTURE(host);
    CHECK_FALSE(is_loopback(host));
  }
}
