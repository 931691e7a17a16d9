// SPDX-License-Identifier: Apache-2.0
#include "base/nearest.h"

#include <doctest/doctest.h>

namespace jobmill {
namespace {

TEST_CASE("nearest: what was probably meant, and nothing when all are far") {
  const std::vector<std::string_view> known{"LockDuration", "MaxDeliveryCount", "ForwardTo"};
  CHECK(nearest("LockDurration", known) == "LockDuration");
  CHECK(nearest("maxDeliveryCount", known) == "MaxDeliveryCount");
  CHECK(nearest("ForwardsTo", known) == "ForwardTo");
  CHECK(nearest("Colour", known).empty());
  CHECK(nearest("LockDuration", {}).empty());
}

}  // namespace
}  // namespace jobmill
