// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace jobmill {

// What a cron expression says, before clocks and zones come in: sets of values as bit masks (bit n
// stands for value n), and the days that depend on the month.
struct CronFields {
  // "L" (day 0, the last one), "L-3" (offset -3), "15W", "LW", "15W+2".
  struct SpecialDay {
    int day = 0;
    bool nearest_weekday = false;
    int offset = 0;  // in calendar days, from the day that was found

    bool operator==(const SpecialDay&) const = default;
  };
  // "5#3", "5L" (n 0, the last one). Sunday is 0.
  struct SpecialWeekday {
    int weekday = 0;
    int n = 0;

    bool operator==(const SpecialWeekday&) const = default;
  };

  std::uint64_t seconds = 1;
  std::uint64_t minutes = 0;
  std::uint64_t hours = 0;
  std::uint64_t days = 0;
  std::uint64_t months = 0;
  std::uint64_t weekdays = 0;
  std::vector<SpecialDay> special_days;
  std::vector<SpecialWeekday> special_weekdays;
  bool both_days = false;  // day and weekday must match, else either
  bool elapsed = false;    // minute or hour starts with `*`: see DstPolicy::RealTime

  // The days of this month that match, as bits 1-31; whether the month does is not asked.
  std::uint64_t days_of(std::chrono::year_month month) const;

  // The first matching wall time at or after `from` and before `until`.
  std::optional<std::chrono::local_seconds> wall_from(std::chrono::local_seconds from,
                                                      std::chrono::local_seconds until) const;
};

// Our dialect, and that of KEDA's cron trigger (without a TZ prefix): see Cron::parse and
// Cron::parse_robfig.
Result<CronFields> parse_cron_fields(std::string_view text);
Result<CronFields> parse_robfig_fields(std::string_view text);

}  // namespace jobmill
