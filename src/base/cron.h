// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/time_zone.h"

namespace jobmill {

// What becomes of a run whose wall time is skipped or repeated when clocks change.
enum class DstPolicy {
  // The default. When minute or hour starts with `*`, time runs on: both passes of a repeated hour
  // fire, and a skipped hour is no time at all. A fixed time in a gap fires at the first instant
  // after it, and in an overlap once, on the first pass.
  RealTime,
  // A fixed time in a gap moves forward by the length of the gap (02:30 becomes 03:30); all
  // schedules are silent in the second pass of a repeated hour.
  JavaShift,
  // A fixed time in a gap is skipped that day, and fires twice in an overlap.
  Robfig,
};

std::string_view to_string(DstPolicy policy);                // "real-time"
std::optional<DstPolicy> dst_policy(std::string_view text);  // real-time | java-shift

// A parsed cron expression. Immutable; safe to share between threads.
class Cron {
 public:
  // Five fields (minute hour day month weekday) or six (seconds first), or a macro such as
  // "@daily". docs/schedules.md describes the dialect. InvalidArgument for anything else, and for
  // dates that never come, such as the 30th of February.
  static Result<Cron> parse(std::string_view text);

  // The dialect of KEDA's cron trigger: five fields, no L, W, # or macros, weekday 0-6, and an
  // optional "TZ=zone " in front, which wins over the zone given to next(). A schedule that never
  // fires is accepted. The message begins with the class of the error, "range: " or "syntax: ".
  static Result<Cron> parse_robfig(std::string_view text);

  // The first run strictly later than `after`; none within 40 years: nothing.
  std::optional<TimePoint> next(TimePoint after, const TimeZone& zone,
                                DstPolicy policy = DstPolicy::RealTime) const;

 private:
  friend class CronParser;

  // A day of the month that depends on the month: L, L-3, 15W, LW, …
  struct SpecialDay {
    int day = 0;           // 0: the last day
    bool weekday = false;  // the weekday nearest to it
    int offset = 0;        // days added to what was found
  };
  // The n-th such weekday of the month; n = 0: the last one.
  struct SpecialWeekday {
    int weekday = 0;
    int n = 0;
  };

  Cron() = default;
  bool matches(std::chrono::year_month_day day) const;
  bool matches_day_of_month(std::chrono::year_month_day day) const;
  bool matches_weekday(std::chrono::year_month_day day) const;
  bool ever_matches() const;
  std::optional<std::chrono::local_days> day_from(std::chrono::local_days from,
                                                  std::chrono::local_days until) const;
  // The first matching wall time at or after `from`.
  std::optional<LocalSeconds> wall_from(LocalSeconds from, LocalSeconds until) const;
  std::optional<std::chrono::sys_seconds> next_elapsed(std::chrono::sys_seconds after,
                                                       const TimeZone& zone) const;
  std::optional<std::chrono::sys_seconds> next_fixed(std::chrono::sys_seconds after,
                                                     const TimeZone& zone, DstPolicy policy) const;

  std::uint64_t seconds_ = 1;
  std::uint64_t minutes_ = 0;
  std::uint32_t hours_ = 0;
  std::uint32_t days_ = 0;
  std::uint16_t months_ = 0;
  std::uint8_t weekdays_ = 0;
  std::vector<SpecialDay> special_days_;
  std::vector<SpecialWeekday> special_weekdays_;
  bool both_day_fields_ = true;   // a day field starts with `*`: both must match, else either
  bool elapsed_ = false;          // minute or hour starts with `*`
  std::optional<TimeZone> zone_;  // of a "TZ=" prefix
};

}  // namespace jobmill
