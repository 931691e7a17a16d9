// SPDX-License-Identifier: Apache-2.0
#include "scale/metric_value.h"

#include <limits>

#include <doctest/doctest.h>

namespace jobmill::scale {

TEST_CASE("metric value: what is no usable number counts as nothing") {
  using Limits = std::numeric_limits<double>;
  for (const double value : {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity(), -4.5}) {
    CHECK(to_milli(value) == 0);
    CHECK(to_quantity(value) == "0");
  }
}

TEST_CASE("metric value: thousandths stop at the largest number they can hold") {
  CHECK(to_milli(1e300) == std::numeric_limits<std::int64_t>::max());
  CHECK(to_milli(9e15) == 9'000'000'000'000'000'000);
}

TEST_CASE("metric value: the suffix grows only while the number stays whole") {
  CHECK(to_quantity(300'000) == "300k");
  CHECK(to_quantity(1e22) == "10000E");
  CHECK(to_quantity(1000.5) == "1000.500");
}

}  // namespace jobmill::scale
