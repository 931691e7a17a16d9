// SPDX-License-Identifier: Apache-2.0
#include "base/schedule_text.h"

#include <doctest/doctest.h>

#include <array>
#include <utility>

namespace jobmill {

TEST_CASE("schedule text: what a schedule says, in words") {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 22> kCases{{
      {"*/5 * * * *", "every 5 minutes"},
      {"* * * * *", "every minute"},
      {"*/10 * * * * *", "every 10 seconds"},
      {"0 * * * *", "every hour at :00"},
      {"15 */2 * * *", "every 2 hours at :15"},
      {"@daily", "every day at 00:00"},
      {"0 2 * * *", "every day at 02:00"},
      {"30 2 * * 1-5", "at 02:30 on weekdays"},
      {"30 2 * * MON,WED", "at 02:30 on Monday and Wednesday"},
      {"0 9 * * 0,6", "at 09:00 on weekends"},
      {"0 8,12,18 * * *", "every day at 08:00, 12:00 and 18:00"},
      {"*/15 9-17 * * 1-5", "every 15 minutes from 09:00 to 17:59 on weekdays"},
      {"5 9-17 * * *", "every hour at :05 from 09:00 to 17:59"},
      {"0 0 1 * *", "at 00:00 on the 1st"},
      {"0 0 2,3,12,22 * *", "at 00:00 on the 2nd, 3rd, 12th and 22nd"},
      {"0 0 L * *", "at 00:00 on the last day of the month"},
      {"@yearly", "at 00:00 on the 1st in January"},
      {"PT5M", "every 5 minutes"},
      {"P1D", "every day"},
      {"PT24H", "every day"},
      {"PT1H30M", "every 90 minutes"},
      {"PT1S", "every second"},
  }};
  for (const auto& [schedule, words] : kCases) {
    CAPTURE(schedule);
    CHECK(schedule_text(schedule) == words);
  }
}

TEST_CASE("schedule text: what has no short words stays as it is") {
  for (const std::string_view schedule :
       {"7,19,23,41,59 3-21/5 * * *", "0 0 15W * *", "0 0 * * 5#3", "0 0 1 * 1", "PT0.5S",
        "0 16 * * * [PT1H/PT4H]", "no schedule", ""}) {
    CAPTURE(schedule);
    CHECK(schedule_text(schedule) == schedule);
  }
}

}  // namespace jobmill
