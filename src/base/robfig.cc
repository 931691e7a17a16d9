// SPDX-License-Identifier: Apache-2.0
#include "base/robfig.h"

#include "base/cron_fields.h"

namespace jobmill {
namespace {

using namespace std::chrono;

// What Go's time.Date makes of a wall time, also in gaps and overlaps.
sys_seconds go_date(const TimeZone& zone, local_seconds wall) {
  const sys_seconds as_utc(wall.time_since_epoch());
  const TimeZone::Period guess = zone.period(as_utc);
  if (guess.offset == seconds(0)) return as_utc;
  const sys_seconds at = as_utc - guess.offset;
  if (guess.begin <= at && at < guess.end) return at;
  return as_utc - zone.period(at).offset;
}

// A wall clock that is stepped until it shows a time that matches. The order of the steps, and
// what is reset when, are those of SpecSchedule.Next.
class Stepper {
 public:
  Stepper(const CronFields& fields, const TimeZone& zone, sys_seconds start)
      : fields_(fields), zone_(zone), at_(start) {}

  std::optional<sys_seconds> run() {
    const year limit = date().year() + years(5);
    while (date().year() <= limit)
      if (month() && day() && hour() && minute() && second()) return at_;
    return std::nullopt;
  }

 private:
  local_seconds wall() const {
    return local_seconds(at_.time_since_epoch() + zone_.period(at_).offset);
  }
  year_month_day date() const { return year_month_day(floor<days>(wall())); }
  hh_mm_ss<seconds> time() const { return hh_mm_ss(wall() - floor<days>(wall())); }

  static bool in(std::uint64_t set, std::int64_t n) { return (set >> n & 1) != 0; }

  // Each returns false when it came round to the start of its range, so that the larger units must
  // be looked at again.
  bool month() {
    while (!in(fields_.months, static_cast<unsigned>(date().month()))) {
      if (first_step()) at_ = go_date(zone_, local_days(date().year() / date().month() / 1));
      const seconds since_midnight = wall() - floor<days>(wall());
      at_ = go_date(zone_, local_days(date() + months(1)) + since_midnight);
      if (date().month() == January) return false;
    }
    return true;
  }

  bool day() {
    while (!day_matches()) {
      if (first_step()) at_ = go_date(zone_, floor<days>(wall()));
      const sys_seconds before = at_;
      at_ = go_date(zone_, wall() + days(1));
      back_to_midnight();
      // Where a whole day is missing (Apia 2011), the step leads back, and robfig/cron never ends.
      if (at_ <= before) at_ = zone_.period(before).end;
      if (date().day() == std::chrono::day(1)) return false;
    }
    return true;
  }

  bool day_matches() const {
    const year_month_day today = date();
    return in(fields_.days_of(today.year() / today.month()), static_cast<unsigned>(today.day()));
  }

  // Where midnight does not exist, the step to the next day lands an hour off.
  void back_to_midnight() {
    const hours hour = time().hours();
    at_ += hour > hours(12) ? hours(24) - hour : -hour;
  }

  bool hour() {
    while (!in(fields_.hours, time().hours().count())) {
      if (first_step()) at_ = go_date(zone_, floor<hours>(wall()));
      at_ += hours(1);
      if (time().hours() == hours(0)) return false;
    }
    return true;
  }

  bool minute() {
    while (!in(fields_.minutes, time().minutes().count())) {
      if (first_step()) at_ = floor<minutes>(at_);
      at_ += minutes(1);
      if (time().minutes() == minutes(0)) return false;
    }
    return true;
  }

  bool second() {
    while (!in(fields_.seconds, time().seconds().count())) {
      stepped_ = true;  // nothing smaller to reset
      at_ += seconds(1);
      if (time().seconds() == seconds(0)) return false;
    }
    return true;
  }

  // The smaller units are reset once, by the first step that is taken at all.
  bool first_step() { return !std::exchange(stepped_, true); }

  const CronFields& fields_;
  const TimeZone& zone_;
  sys_seconds at_;
  bool stepped_ = false;
};

}  // namespace

std::optional<sys_seconds> next_robfig(const CronFields& fields, sys_seconds after,
                                       const TimeZone& zone) {
  const bool never = fields.seconds == 0 || fields.minutes == 0 || fields.hours == 0;
  if (never) return std::nullopt;
  return Stepper(fields, zone, after + seconds(1)).run();
}

}  // namespace jobmill
