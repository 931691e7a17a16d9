// SPDX-License-Identifier: Apache-2.0
#include "base/cron_fields.h"

#include <bit>

namespace jobmill {
namespace {

using namespace std::chrono;

constexpr std::uint64_t bit(int n) { return std::uint64_t{1} << n; }

// The lowest member that is at least `from`.
std::optional<int> first_from(std::uint64_t set, int from) {
  if (from > 63) return std::nullopt;
  const std::uint64_t rest = set >> from << from;
  return rest == 0 ? std::nullopt : std::optional(std::countr_zero(rest));
}

int first(std::uint64_t set) { return std::countr_zero(set); }

int day_count(year_month month) {
  return static_cast<int>(static_cast<unsigned>((month / last).day()));
}

// Sunday is 0.
int weekday_of(year_month month, int n) {
  const auto date = month / day(static_cast<unsigned>(n));
  return static_cast<int>(weekday(local_days(date)).c_encoding());
}

// Never leaves the month: a Saturday the 1st gives Monday the 3rd, a Sunday the last gives Friday.
int nearest_weekday(year_month month, int n) {
  switch (weekday_of(month, n)) {
    case 6:
      return n == 1 ? 3 : n - 1;
    case 0:
      return n == day_count(month) ? n - 2 : n + 1;
    default:
      return n;
  }
}

// 0 when this month has no such day.
int find_day(year_month month, const CronFields::SpecialDay& special) {
  const int count = day_count(month);
  int found = special.day == 0 ? count : special.day;
  if (found > count) return 0;
  if (special.nearest_weekday) found = nearest_weekday(month, found);
  found += special.offset;
  return found >= 1 && found <= count ? found : 0;
}

int find_day(year_month month, const CronFields::SpecialWeekday& special) {
  const int count = day_count(month);
  const int first_one = 1 + (special.weekday - weekday_of(month, 1) + 7) % 7;
  const int last_one = first_one + (count - first_one) / 7 * 7;
  const int found = special.n == 0 ? last_one : first_one + 7 * (special.n - 1);
  return found <= count ? found : 0;
}

template <class Specials>
std::uint64_t days_of_specials(year_month month, const Specials& specials) {
  std::uint64_t days = 0;
  for (const auto& special : specials) days |= bit(find_day(month, special));
  return days;
}

std::uint64_t days_of_weekdays(year_month month, std::uint64_t weekdays) {
  const int shift = weekday_of(month, 1);
  std::uint64_t days = 0;
  for (int n = 1; n <= 31; ++n)
    if ((weekdays & bit((shift + n - 1) % 7)) != 0) days |= bit(n);
  return days;
}

seconds time_of(int hour, int minute, int second) {
  return hours(hour) + minutes(minute) + seconds(second);
}

// The first matching time of day at or after `from`.
std::optional<seconds> time_from(const CronFields& fields, seconds from) {
  const hh_mm_ss at(from);
  const int hour = static_cast<int>(at.hours().count());
  const int minute = static_cast<int>(at.minutes().count());
  const int second = static_cast<int>(at.seconds().count());

  const bool this_hour = (fields.hours & bit(hour)) != 0;
  if (this_hour && (fields.minutes & bit(minute)) != 0)
    if (const auto s = first_from(fields.seconds, second)) return time_of(hour, minute, *s);
  if (this_hour)
    if (const auto m = first_from(fields.minutes, minute + 1))
      return time_of(hour, *m, first(fields.seconds));
  if (const auto h = first_from(fields.hours, hour + 1))
    return time_of(*h, first(fields.minutes), first(fields.seconds));
  return std::nullopt;
}

// The first matching day at or after `from` and before `until`.
std::optional<local_days> day_from(const CronFields& fields, local_days from, local_days until) {
  const year_month_day start(from);
  int day_number = static_cast<int>(static_cast<unsigned>(start.day()));
  for (year_month month = start.year() / start.month(); local_days(month / 1) < until;
       month += months(1), day_number = 1) {
    if ((fields.months & bit(static_cast<int>(static_cast<unsigned>(month.month())))) == 0)
      continue;
    if (const auto found = first_from(fields.days_of(month), day_number))
      return local_days(month / day(static_cast<unsigned>(*found)));
  }
  return std::nullopt;
}

}  // namespace

std::uint64_t CronFields::days_of(year_month month) const {
  const std::uint64_t by_day = days | days_of_specials(month, special_days);
  const std::uint64_t by_weekday =
      days_of_weekdays(month, weekdays) | days_of_specials(month, special_weekdays);
  // Bit 0 is what specials without a day in this month set.
  const std::uint64_t existing = (bit(day_count(month) + 1) - 1) & ~bit(0);
  return (both_days ? by_day & by_weekday : by_day | by_weekday) & existing;
}

std::optional<local_seconds> CronFields::wall_from(local_seconds from, local_seconds until) const {
  const local_days today = floor<std::chrono::days>(from);
  const local_days end = ceil<std::chrono::days>(until);
  auto day = day_from(*this, today, end);
  auto time = std::optional(time_of(first(hours), first(minutes), first(seconds)));
  if (day == today) {
    const auto later = time_from(*this, from - today);
    if (later)
      time = later;
    else
      day = day_from(*this, today + std::chrono::days(1), end);
  }
  if (!day || *day + *time >= until) return std::nullopt;
  return *day + *time;
}

}  // namespace jobmill
