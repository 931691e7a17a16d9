// SPDX-License-Identifier: Apache-2.0
#include "base/local_time.h"

#include <doctest/doctest.h>

#include "base/duration.h"

namespace jobmill {

TEST_CASE("local time: what a zone's clocks show, before and after they are put forward") {
  const auto brussels = TimeZone::find("Europe/Brussels");
  REQUIRE(brussels);
  CHECK(format_local(*brussels, *parse_instant("2025-03-30T00:59:59Z")) ==
        "2025-03-30 01:59:59 +01:00");
  CHECK(format_local(*brussels, *parse_instant("2025-03-30T01:00:00Z")) ==
        "2025-03-30 03:00:00 +02:00");
  CHECK(format_local(TimeZone(), *parse_instant("2025-01-01T00:00:00Z")) ==
        "2025-01-01 00:00:00 +00:00");
}

TEST_CASE("local time: west of Greenwich, and by half an hour") {
  CHECK(format_offset(std::chrono::hours(-5)) == "-05:00");
  CHECK(format_offset(std::chrono::minutes(-210)) == "-03:30");
  CHECK(format_offset(std::chrono::minutes(345)) == "+05:45");
}

}  // namespace jobmill
