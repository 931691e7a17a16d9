// SPDX-License-Identifier: Apache-2.0
#include "base/time_zone.h"

#include <doctest/doctest.h>

namespace jobmill {
namespace {

using namespace std::chrono;
using namespace std::chrono_literals;

TEST_CASE("time zone: an unknown name is refused with the name") {
  for (const auto* name : {"Mars/Base", "", "../UTC", "europe/brussels"}) {
    const auto zone = TimeZone::find(name);
    REQUIRE_FALSE(zone);
    CHECK(zone.error().code == Code::InvalidArgument);
    CHECK(zone.error().message.find(name) != std::string::npos);
  }
}

TEST_CASE("time zone: a period knows what its change of clocks skipped or repeats") {
  const auto zone = TimeZone::find("Europe/Brussels");
  REQUIRE(zone);
  const auto summer = zone->period(sys_days(2025y / 7 / 1));
  CHECK(summer.begin == sys_days(2025y / 3 / 30) + 1h);
  CHECK(summer.end == sys_days(2025y / 10 / 26) + 1h);
  CHECK(summer.offset == 2h);
  CHECK(summer.gap() == 1h);
  CHECK(zone->period(summer.end).overlap() == 1h);
}

TEST_CASE("time zone: UTC never changes its clocks") {
  CHECK(*TimeZone::find("UTC") == TimeZone());
  CHECK(TimeZone().name() == "UTC");
  const auto period = TimeZone().period(sys_days(2025y / 1 / 1));
  CHECK(period.offset == 0s);
  CHECK(period.gap() == 0s);
  CHECK(period.end > sys_days(9999y / 1 / 1));
}

TEST_CASE("time zone: the first and the last period end where arithmetic is still safe") {
  const auto zone = TimeZone::find("Asia/Tokyo");
  REQUIRE(zone);
  const auto last = zone->period(sys_days(2500y / 1 / 1));
  CHECK(last.end + hours(24 * 366 * 100) > last.end);
  const auto first = zone->period(sys_days(1000y / 1 / 1));
  CHECK(first.gap() == 0s);
}

}  // namespace
}  // namespace jobmill
