// SPDX-License-Identifier: Apache-2.0
#include "amqp/frame.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace jobmill;
using namespace jobmill::amqp;
using namespace std::string_view_literals;

TEST_CASE("frame: protocol headers") {
  for (const Protocol protocol : {Protocol::Amqp, Protocol::Sasl}) {
    CHECK(read_protocol_header(protocol_header(protocol)) == protocol);
  }
  CHECK_FALSE(read_protocol_header("AMQP\x02\x01\x00\x00"sv));  // TLS
  CHECK_FALSE(read_protocol_header("AMQP\x00\x00\x09\x01"sv));  // AMQP 0-9-1
  CHECK_FALSE(read_protocol_header("GET / HT"sv));
}

TEST_CASE("frame: written and read") {
  std::string out = "before";
  const std::size_t at = begin_frame(out, Protocol::Sasl, 0x1234);
  out += "body";
  CHECK(end_frame(out, at) == 12);
  const std::string_view bytes = std::string_view(out).substr(6);
  const auto frame = read_frame(bytes, 512);
  REQUIRE(frame);
  REQUIRE(*frame);
  CHECK((*frame)->type == Protocol::Sasl);
  CHECK((*frame)->channel == 0x1234);
  CHECK((*frame)->body == "body");
  CHECK((*frame)->size == 12);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto part = read_frame(bytes.substr(0, size), 512);
    REQUIRE(part);
    CHECK_FALSE(*part);
  }
}

TEST_CASE("frame: the extended header is skipped") {
  const auto frame = read_frame("\x00\x00\x00\x0e\x03\x00\x00\x01xxxxhi"sv, 512);
  REQUIRE(frame);
  REQUIRE(*frame);
  CHECK((*frame)->body == "hi");
}

TEST_CASE("frame: heads that cannot be are refused before the rest has come") {
  for (const std::string_view head : {
           "\x00\x00\x02\x01\x02\x00\x00\x00"sv,  // 513 bytes
           "\xff\xff\xff\xff\x02\x00\x00\x00"sv,
           "\x00\x00\x00\x07\x02\x00\x00\x00"sv,  // shorter than its head
           "\x00\x00\x00\x08\x01\x00\x00\x00"sv,  // the body begins in the head
           "\x00\x00\x00\x08\x03\x00\x00\x00"sv,  // the body begins behind the end
           "\x00\x00\x00\x08\x02\x02\x00\x00"sv,  // a type that is none
       }) {
    CHECK_FALSE(read_frame(head, 512));
  }
}
