// SPDX-License-Identifier: Apache-2.0
#include "base/schedule.h"

#include <doctest/doctest.h>

namespace jobmill {
namespace {

using namespace std::chrono_literals;

TEST_CASE("schedule: intervals of nothing and backwards are refused") {
  for (const auto* text : {"PT0S", "PT-1M", "-P1D", "+", "", " ", "P1D [PT0S/PT-1S]",
                           "P1D[PT0S/PT1S]", "P1D [PT0S/ PT1S]", "P1D [PT0S/PT1S] x",
                           "P1D [PT0S/PT1S/PT2S]", "P1D []", "[PT1H/PT1H]", "P1D PT1H/PT1H]"}) {
    CAPTURE(text);
    const auto schedule = Schedule::parse(text);
    REQUIRE_FALSE(schedule);
    CHECK(schedule.error().code == Code::InvalidArgument);
  }
}

TEST_CASE("schedule: the zone plays a part in cron only") {
  const auto brussels = *TimeZone::find("Europe/Brussels");
  const TimePoint day = *parse_instant("2025-07-01T00:00:00Z");
  CHECK(*Schedule::parse("0 9 * * *")->next(day, day, brussels) == day + 7h);
  CHECK(*Schedule::parse("P1D")->next(day, day, brussels) == day + 24h);
}

TEST_CASE("schedule: an interval finer than the clock still moves on") {
  const TimePoint start = *parse_instant("2025-01-01T00:00:00Z");
  const auto schedule = Schedule::parse("PT0.0000005S");
  REQUIRE(schedule);
  CHECK(*schedule->next(start, start, TimeZone()) == start + 1us);
  CHECK(*schedule->next(start, start + 1us, TimeZone()) == start + 2us);
}

TEST_CASE("schedule: what an interval has below a microsecond adds up") {
  const TimePoint start = *parse_instant("2025-01-01T00:00:00Z");
  const auto schedule = Schedule::parse("PT1.000000001S");
  REQUIRE(schedule);
  CHECK(*schedule->next(start, start + 1000s, TimeZone()) == start + 1000s + 1us);
}

TEST_CASE("schedule: a run beyond the end of time is none") {
  const TimePoint start = *parse_instant("2025-01-01T00:00:00Z");
  CHECK_FALSE(Schedule::parse("PT9223372036854775807S")->next(start, start, TimeZone()));
}

}  // namespace
}  // namespace jobmill
