// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "base/duration.h"
#include "vectors.h"

namespace jobmill {
namespace {

using testing::member;
using testing::text;

TEST_CASE("duration: ISO texts are read and written as in the vectors") {
  for (const Node& vector : testing::vectors("jobs/iso8601_duration.json")) {
    CAPTURE(to_json(vector));
    const auto duration = parse_iso_duration(text(vector, "text"));
    REQUIRE(static_cast<bool>(duration) == testing::flag(vector, "valid"));
    if (!duration) continue;
    CHECK(duration->seconds == member(vector, "seconds").as_int());
    CHECK(duration->nanos == member(vector, "nanos").as_int());
    CHECK(canonical(*duration) == text(vector, "canonical"));
  }
}

}  // namespace
}  // namespace jobmill
