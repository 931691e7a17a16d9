// SPDX-License-Identifier: Apache-2.0
#include "manifest/quantity.h"

#include <doctest/doctest.h>

#include <limits>
#include <string>

using jobmill::manifest::Quantity;

namespace {

std::string canonical(std::string_view text) {
  const auto quantity = Quantity::parse(text);
  REQUIRE_MESSAGE(quantity, std::string(text));
  return quantity->canonical();
}

}  // namespace

TEST_CASE("quantity: the largest suffix that leaves a whole number") {
  CHECK(canonical("1024Ki") == "1Mi");
  CHECK(canonical("1000M") == "1G");
  CHECK(canonical("1.5Gi") == "1536Mi");
  CHECK(canonical("1000") == "1k");
  CHECK(canonical("0.001") == "1m");
  CHECK(canonical("-1500m") == "-1500m");
  CHECK(canonical("1000m") == "1");
  CHECK(canonical("10000E") == "10000E");
  CHECK(canonical("1000e0") == "1e3");
  CHECK(canonical("0.0") == "0");
  CHECK(canonical("0Ki") == "0");
}

TEST_CASE("quantity: binary fractions are shown in decimals, the finest step is a billionth") {
  CHECK(canonical(".001Ki") == "1024m");
  CHECK(canonical(".000001Ki") == "1024u");
  CHECK(canonical(".000000001Ki") == "1024n");
  CHECK(canonical(".000000000001Ki") == "2n");
  CHECK(canonical("0.0000000001") == "1n");
}

TEST_CASE("quantity: rounded away from zero") {
  CHECK(Quantity::parse("1u")->milli() == 1);
  CHECK(Quantity::parse("-1u")->milli() == -1);
  CHECK(Quantity::parse("1001m")->whole() == 2);
  CHECK(Quantity::parse("64Mi")->whole() == 64 << 20);
}

TEST_CASE("quantity: numbers that are none count as nothing") {
  CHECK(Quantity::of(std::numeric_limits<double>::quiet_NaN()).canonical() == "0");
  CHECK(Quantity::of(std::numeric_limits<double>::infinity()).canonical() == "0");
  CHECK(Quantity::of(1e300).to_double() == doctest::Approx(1e300));
}

TEST_CASE("quantity: what is no quantity is refused by its text") {
  for (const char* text :
       {".", "-", "+", "1.2.3", "1e", "1e+", "1e+-3", "1Zi", "1 Mi", "1e99999"}) {
    CAPTURE(std::string(text));
    const auto quantity = Quantity::parse(text);
    REQUIRE_FALSE(quantity);
    CHECK(quantity.error().message.find(text) != std::string::npos);
  }
  CHECK_FALSE(Quantity::parse(std::string(1000, '1')));
}
