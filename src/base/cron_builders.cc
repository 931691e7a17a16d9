// SPDX-License-Identifier: Apache-2.0
#include "base/cron_builders.h"

#include <fmt/core.h>

namespace jobmill::cron {
namespace {

std::string day_of_month(const char* day, int hour, int minute) {
  return fmt::format("{} {} {} * *", minute, hour, day);
}

}  // namespace

std::string minutely() { return "* * * * *"; }
std::string hourly(int minute) { return fmt::format("{} * * * *", minute); }
std::string daily(int hour, int minute) { return fmt::format("{} {} * * *", minute, hour); }

std::string weekly(Weekday day, int hour, int minute) {
  return fmt::format("{} {} * * {}", minute, hour, static_cast<int>(day));
}

std::string monthly(int day, int hour, int minute) {
  return fmt::format("{} {} {} * *", minute, hour, day);
}

std::string yearly(Month month, int day, int hour, int minute) {
  return fmt::format("{} {} {} {} *", minute, hour, day, static_cast<int>(month));
}

std::string every_15_seconds() { return "*/15 * * * * *"; }
std::string every_30_seconds() { return "*/30 * * * * *"; }
std::string every_5_minutes() { return "*/5 * * * *"; }
std::string every_10_minutes() { return "*/10 * * * *"; }
std::string every_15_minutes() { return "*/15 * * * *"; }
std::string every_half_hour() { return "*/30 * * * *"; }

std::string first_day_of_the_month(int hour, int minute) { return day_of_month("1", hour, minute); }
std::string last_day_of_the_month(int hour, int minute) { return day_of_month("L", hour, minute); }

std::string first_business_day_of_the_month(int hour, int minute) {
  return day_of_month("1W", hour, minute);
}

std::string last_business_day_of_the_month(int hour, int minute) {
  return day_of_month("LW", hour, minute);
}

}  // namespace jobmill::cron
