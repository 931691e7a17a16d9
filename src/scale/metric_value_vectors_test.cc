// SPDX-License-Identifier: Apache-2.0
#include "scale/metric_value.h"

#include <cmath>

#include <doctest/doctest.h>

#include "vectors.h"

namespace jobmill::scale {

TEST_CASE("metric value: the vectors of printed quantities") {
  for (const Node& vector : testing::vectors("autoscaler/metric_quantity.json")) {
    CAPTURE(testing::text(vector, "id"));
    const Node& expect = testing::member(vector, "expect");
    const double value = testing::number(testing::member(vector, "in"), "value");
    CHECK(to_quantity(value) == testing::text(expect, "quantity"));

    const double thousandths = testing::number(expect, "float") * 1000;
    if (thousandths < 9e18) CHECK(to_milli(value) == std::llround(thousandths));
  }
}

}  // namespace jobmill::scale
