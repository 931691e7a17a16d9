// SPDX-License-Identifier: Apache-2.0
#include "api/schedule_preview.h"

#include <doctest/doctest.h>

#include "base/document.h"
#include "base/duration.h"
#include "vectors.h"

namespace jobmill::api {
namespace {

TimePoint at(std::string_view text) { return *parse_instant(text); }

}  // namespace

TEST_CASE("schedule preview: runs in UTC and in the zone, with a note where clocks change") {
  const auto answer = preview({.schedule = "30 2 * * *",
                               .zone = "Europe/Brussels",
                               .from = at("2025-10-25T00:00:00Z"),
                               .count = 3});
  REQUIRE(answer);
  const auto shown = parse_json(*answer);
  REQUIRE(shown);
  CHECK(testing::text(*shown, "human") == "every day at 02:30");
  const auto& runs = testing::member(*shown, "next").items;
  REQUIRE(runs.size() == 3);
  CHECK(testing::text(runs[0], "utc") == "2025-10-25T00:30:00Z");
  CHECK(testing::text(runs[0], "local") == "2025-10-25 02:30:00 +02:00");
  CHECK_FALSE(testing::has(runs[0], "note"));
  CHECK(testing::text(runs[2], "local") == "2025-10-27 02:30:00 +01:00");
  CHECK(testing::text(runs[2], "note") == "clocks have gone back: +02:00 is now +01:00");
}

TEST_CASE("schedule preview: an interval is counted from its anchor") {
  const auto answer = preview({.schedule = "PT1H",
                               .created = at("2025-01-01T00:10:00Z"),
                               .from = at("2025-01-01T05:00:00Z"),
                               .count = 1});
  REQUIRE(answer);
  CHECK(*answer == R"({"canonical":"PT1H","human":"every hour","next":[{"utc":)"
                   R"("2025-01-01T05:10:00Z","local":"2025-01-01 05:10:00 +00:00"}]})");
}

TEST_CASE("schedule preview: what is wrong is named") {
  CHECK(preview({.schedule = "nonsense"}).error().message.starts_with("schedule: "));
  CHECK(preview({.schedule = "PT1H", .zone = "Mars"}).error().message.starts_with("zone: "));
  CHECK(preview({.schedule = "PT1H", .dst = "never"}).error().message.starts_with("dst: "));
}

}  // namespace jobmill::api
