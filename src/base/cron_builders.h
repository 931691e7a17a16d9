// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

// Cron expressions by name, for programs: client.recur("report", cron::daily(3, 17), …).
// Arguments out of range give an expression that Cron::parse refuses.
namespace jobmill::cron {

enum class Weekday { Sun, Mon, Tue, Wed, Thu, Fri, Sat };
enum class Month { Jan = 1, Feb, Mar, Apr, May, Jun, Jul, Aug, Sep, Oct, Nov, Dec };

std::string minutely();
std::string hourly(int minute = 0);
std::string daily(int hour = 0, int minute = 0);
std::string weekly(Weekday day = Weekday::Mon, int hour = 0, int minute = 0);
std::string monthly(int day = 1, int hour = 0, int minute = 0);
std::string yearly(Month month = Month::Jan, int day = 1, int hour = 0, int minute = 0);

std::string every_15_seconds();
std::string every_30_seconds();
std::string every_5_minutes();
std::string every_10_minutes();
std::string every_15_minutes();
std::string every_half_hour();

std::string first_day_of_the_month(int hour = 0, int minute = 0);
std::string last_day_of_the_month(int hour = 0, int minute = 0);
std::string first_business_day_of_the_month(int hour = 0, int minute = 0);
std::string last_business_day_of_the_month(int hour = 0, int minute = 0);

}  // namespace jobmill::cron
