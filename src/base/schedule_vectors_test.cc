// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "base/schedule.h"
#include "vectors.h"

namespace jobmill {
namespace {

using testing::text;

TimePoint instant(const Node& vector, std::string_view key) {
  const auto at = parse_instant(text(vector, key));
  REQUIRE(at);
  return *at;
}

std::string kind_of(const Result<Schedule>& schedule) {
  if (!schedule) return "error";
  return schedule->kind() == Schedule::Kind::Cron ? "cron" : "interval";
}

TEST_CASE("schedule: texts are recognized as in the vectors") {
  for (const Node& vector : testing::vectors("jobs/schedule_expression.json")) {
    CAPTURE(to_json(vector));
    const auto schedule = Schedule::parse(text(vector, "text"));
    REQUIRE(kind_of(schedule) == text(vector, "kind"));
    if (!schedule) continue;
    CHECK(schedule->canonical() == text(vector, "canonical"));
    CHECK(schedule->margin().has_value() == testing::flag(vector, "margin"));
  }
}

TEST_CASE("schedule: an interval runs when the vectors say") {
  for (const Node& vector : testing::vectors("jobs/interval_next.json")) {
    CAPTURE(to_json(vector));
    const auto schedule = Schedule::parse(text(vector, "interval"));
    REQUIRE(schedule);
    const auto next =
        schedule->next(instant(vector, "created"), instant(vector, "after"), TimeZone());
    REQUIRE(next);
    CHECK(format_instant(*next) == format_instant(instant(vector, "next")));
  }
}

}  // namespace
}  // namespace jobmill
