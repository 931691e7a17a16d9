// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "manifest/quantity.h"
#include "vectors.h"

using jobmill::Node;
using jobmill::manifest::Quantity;
namespace testing = jobmill::testing;

TEST_CASE("quantity: texts as Kubernetes reads and prints them") {
  for (const Node& vector : testing::vectors("autoscaler/quantity.json")) {
    const Node& expect = testing::member(vector, "expect");
    const std::string text = testing::text(testing::member(vector, "in"), "text");
    CAPTURE(text);
    const auto quantity = Quantity::parse(text);
    REQUIRE(static_cast<bool>(quantity) == testing::flag(expect, "ok"));
    if (!quantity) continue;
    CHECK(quantity->canonical() == testing::text(expect, "canonical"));
    CHECK(quantity->milli() == testing::member(expect, "milli").as_int());
    const double want = testing::number(expect, "float");
    CHECK(std::abs(quantity->to_double() - want) <= 1e-9 * std::abs(want));
  }
}
