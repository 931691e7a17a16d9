// SPDX-License-Identifier: Apache-2.0
#include "base/schedule_text.h"

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/cron_fields.h"
#include "base/duration.h"
#include "base/schedule.h"

namespace jobmill {
namespace {

constexpr std::array kWeekdays{"Sunday",   "Monday", "Tuesday", "Wednesday",
                               "Thursday", "Friday", "Saturday"};
constexpr std::array kMonths{"January", "February", "March",     "April",   "May",      "June",
                             "July",    "August",   "September", "October", "November", "December"};

constexpr std::uint64_t bits(int low, int high) {
  return ((std::uint64_t{2} << high) - 1) & ~((std::uint64_t{1} << low) - 1);
}
constexpr std::uint64_t kAllMinutes = bits(0, 59);
constexpr std::uint64_t kAllHours = bits(0, 23);
constexpr std::uint64_t kAllDays = bits(1, 31);
constexpr std::uint64_t kAllMonths = bits(1, 12);
constexpr std::uint64_t kAllWeekdays = bits(0, 6);
constexpr std::uint64_t kWorkdays = bits(1, 5);
constexpr std::uint64_t kWeekend = 1 | std::uint64_t{1} << 6;

std::vector<int> values(std::uint64_t set) {
  std::vector<int> list;
  for (int n = 0; set >> n != 0; ++n)
    if ((set >> n & 1) != 0) list.push_back(n);
  return list;
}

// "a", "a and b", "a, b and c"
std::string joined(const std::vector<std::string>& words) {
  if (words.size() < 2) return words.empty() ? "" : words.front();
  const auto last = words.end() - 1;
  return fmt::format("{} and {}", fmt::join(words.begin(), last, ", "), *last);
}

std::string every(std::int64_t n, std::string_view unit) {
  return n == 1 ? fmt::format("every {}", unit) : fmt::format("every {} {}s", n, unit);
}

// n of "every n", when the set is 0, n, 2n … up to its end, and n divides that.
std::optional<int> step_of(std::uint64_t set, int size) {
  for (int step = 1; step <= size / 2; ++step) {
    std::uint64_t all = 0;
    for (int n = 0; n < size; n += step) all |= std::uint64_t{1} << n;
    if (size % step == 0 && all == set) return step;
  }
  return std::nullopt;
}

bool single(std::uint64_t set) { return std::popcount(set) == 1; }

// --- the time of the day ------------------------------------------------------------------------

std::optional<std::string> clock_times(const CronFields& fields) {
  constexpr int kMost = 4;
  if (std::popcount(fields.hours) * std::popcount(fields.minutes) > kMost) return std::nullopt;
  std::vector<std::string> times;
  for (const int hour : values(fields.hours))
    for (const int minute : values(fields.minutes))
      times.push_back(fmt::format("{:02}:{:02}", hour, minute));
  return "at " + joined(times);
}

std::optional<std::string> within_hour(std::uint64_t minutes) {
  if (const auto step = step_of(minutes, 60)) return every(*step, "minute");
  if (!single(minutes)) return std::nullopt;
  return fmt::format("at :{:02}", values(minutes).front());
}

std::optional<std::string> hours_text(const CronFields& fields) {
  const auto minutes = within_hour(fields.minutes);
  if (!minutes) return std::nullopt;
  const bool one = single(fields.minutes);
  if (fields.hours == kAllHours) return one ? "every hour " + *minutes : *minutes;
  if (const auto step = step_of(fields.hours, 24); step && one)
    return fmt::format("{} {}", every(*step, "hour"), *minutes);
  const auto hours = values(fields.hours);
  if (hours.back() - hours.front() + 1 != std::ssize(hours)) return std::nullopt;
  return fmt::format("{}{} from {:02}:00 to {:02}:59", one ? "every hour " : "", *minutes,
                     hours.front(), hours.back());
}

std::optional<std::string> time_text(const CronFields& fields) {
  if (fields.seconds != 1) {
    const auto step = step_of(fields.seconds, 60);
    if (!step || fields.minutes != kAllMinutes || fields.hours != kAllHours) return std::nullopt;
    return every(*step, "second");
  }
  if (auto times = clock_times(fields)) return times;
  return hours_text(fields);
}

// --- the day ------------------------------------------------------------------------------------

std::string ordinal(int day) {
  const bool teens = day / 10 == 1;
  const std::string_view ending = teens || day % 10 > 3 || day % 10 == 0 ? "th"
                                  : day % 10 == 1                        ? "st"
                                  : day % 10 == 2                        ? "nd"
                                                                         : "rd";
  return fmt::format("{}{}", day, ending);
}

std::string weekdays_text(std::uint64_t set) {
  if (set == kWorkdays) return "on weekdays";
  if (set == kWeekend) return "on weekends";
  std::vector<std::string> names;
  for (const int day : values(set)) names.emplace_back(kWeekdays[static_cast<std::size_t>(day)]);
  return "on " + joined(names);
}

std::string days_text(std::uint64_t set) {
  std::vector<std::string> days;
  for (const int day : values(set)) days.push_back(ordinal(day));
  return "on the " + joined(days);
}

// "L" alone, the only special day that has short words.
bool last_day_only(const CronFields& fields) {
  return fields.days == 0 && fields.special_weekdays.empty() &&
         fields.special_days == std::vector<CronFields::SpecialDay>{{}};
}

std::optional<std::string> day_text(const CronFields& fields) {
  if (last_day_only(fields)) return "on the last day of the month";
  if (!fields.special_days.empty() || !fields.special_weekdays.empty()) return std::nullopt;
  const bool any_day = fields.days == kAllDays;
  const bool any_weekday = (fields.weekdays & kAllWeekdays) == kAllWeekdays;
  if (any_day && any_weekday) return "";
  if (any_day) return weekdays_text(fields.weekdays);
  if (any_weekday) return days_text(fields.days);
  return std::nullopt;
}

std::string months_text(std::uint64_t set) {
  if (set == kAllMonths) return "";
  std::vector<std::string> names;
  for (const int month : values(set))
    names.emplace_back(kMonths[static_cast<std::size_t>(month) - 1]);
  return "in " + joined(names);
}

std::optional<std::string> cron_text(std::string_view text) {
  const auto fields = parse_cron_fields(text);
  if (!fields) return std::nullopt;
  const auto time = time_text(*fields);
  const auto day = day_text(*fields);
  if (!time || !day) return std::nullopt;
  std::string words = *time;
  for (const std::string& part : {*day, months_text(fields->months)})
    if (!part.empty()) words += " " + part;
  if (words == *time && words.starts_with("at ")) words = "every day " + words;
  return words;
}

// --- intervals ----------------------------------------------------------------------------------

std::optional<std::string> interval_text(std::string_view text) {
  const auto interval = parse_iso_duration(text);
  if (!interval || interval->nanos != 0 || interval->seconds <= 0) return std::nullopt;
  constexpr std::array<std::pair<std::int64_t, std::string_view>, 4> kUnits{
      {{86'400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}}};
  for (const auto& [seconds, unit] : kUnits)
    if (interval->seconds % seconds == 0) return every(interval->seconds / seconds, unit);
  return std::nullopt;
}

}  // namespace

std::string schedule_text(std::string_view schedule) {
  const auto parsed = Schedule::parse(schedule);
  if (!parsed || parsed->margin()) return std::string(schedule);
  const auto words =
      parsed->kind() == Schedule::Kind::Cron ? cron_text(schedule) : interval_text(schedule);
  return words.value_or(std::string(schedule));
}

}  // namespace jobmill
