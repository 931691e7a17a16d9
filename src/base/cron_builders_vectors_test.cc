// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cctype>
#include <functional>
#include <map>

#include <doctest/doctest.h>

#include "base/cron.h"
#include "base/cron_builders.h"
#include "vectors.h"

namespace jobmill {
namespace {

constexpr std::array<std::string_view, 7> kDays{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};
constexpr std::array<std::string_view, 12> kMonths{"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                                   "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};

template <std::size_t N>
int index_of(const std::array<std::string_view, N>& names, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  REQUIRE(found != names.end());
  return static_cast<int>(found - names.begin());
}

// The arguments of one vector, read from the left with the builder's own defaults.
struct Args {
  const std::vector<Node>& items;

  int number(std::size_t i, int otherwise) const {
    return i < items.size() ? static_cast<int>(items[i].as_int().value()) : otherwise;
  }
  cron::Weekday day() const {
    if (items.empty()) return cron::Weekday::Mon;
    return static_cast<cron::Weekday>(index_of(kDays, items[0].as_string().value()));
  }
  cron::Month month() const {
    if (items.empty()) return cron::Month::Jan;
    return static_cast<cron::Month>(index_of(kMonths, items[0].as_string().value()) + 1);
  }
};

using Builder = std::function<std::string(const Args&)>;

Builder at_time(std::string (*build)(int, int)) {
  return [build](const Args& a) { return build(a.number(0, 0), a.number(1, 0)); };
}
Builder fixed(std::string (*build)()) {
  return [build](const Args&) { return build(); };
}

const std::map<std::string, Builder>& builders() {
  static const std::map<std::string, Builder> table{
      {"minutely", fixed(cron::minutely)},
      {"hourly", [](const Args& a) { return cron::hourly(a.number(0, 0)); }},
      {"daily", at_time(cron::daily)},
      {"weekly",
       [](const Args& a) { return cron::weekly(a.day(), a.number(1, 0), a.number(2, 0)); }},
      {"monthly",
       [](const Args& a) { return cron::monthly(a.number(0, 1), a.number(1, 0), a.number(2, 0)); }},
      {"yearly",
       [](const Args& a) {
         return cron::yearly(a.month(), a.number(1, 1), a.number(2, 0), a.number(3, 0));
       }},
      {"every15seconds", fixed(cron::every_15_seconds)},
      {"every30seconds", fixed(cron::every_30_seconds)},
      {"every5minutes", fixed(cron::every_5_minutes)},
      {"every10minutes", fixed(cron::every_10_minutes)},
      {"every15minutes", fixed(cron::every_15_minutes)},
      {"everyHalfHour", fixed(cron::every_half_hour)},
      {"firstDayOfTheMonth", at_time(cron::first_day_of_the_month)},
      {"lastDayOfTheMonth", at_time(cron::last_day_of_the_month)},
      {"firstBusinessDayOfTheMonth", at_time(cron::first_business_day_of_the_month)},
      {"lastBusinessDayOfTheMonth", at_time(cron::last_business_day_of_the_month)},
  };
  return table;
}

TEST_CASE("cron builders: they write the expressions of the vectors") {
  for (const Node& vector : testing::vectors("jobs/cron_builders.json")) {
    CAPTURE(to_json(vector));
    const auto builder = builders().find(testing::text(vector, "builder"));
    REQUIRE(builder != builders().end());
    const std::string expression = builder->second({testing::member(vector, "args").items});
    CHECK(expression == testing::text(vector, "expr"));
    CHECK(Cron::parse(expression));
  }
}

}  // namespace
}  // namespace jobmill
