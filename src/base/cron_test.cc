// SPDX-License-Identifier: Apache-2.0
#include "base/cron.h"

#include <algorithm>
#include <random>
#include <set>

#include <doctest/doctest.h>

#include "base/duration.h"

namespace jobmill {
namespace {

using namespace std::chrono_literals;

TimePoint at(std::string_view text) { return *parse_instant(text); }

std::string next(std::string_view expression, std::string_view after, std::string_view zone = "UTC",
                 DstPolicy policy = DstPolicy::RealTime) {
  const auto cron = Cron::parse(expression);
  if (!cron) return cron.error().message;
  const auto run = cron->next(at(after), *TimeZone::find(zone), policy);
  return run ? format_instant(*run) : "never";
}

std::string next_robfig(std::string_view expression, std::string_view after,
                        std::string_view zone) {
  const auto cron = Cron::parse_robfig(expression);
  if (!cron) return cron.error().message;
  const auto run = cron->next(at(after), *TimeZone::find(zone), DstPolicy::Robfig);
  return run ? format_instant(*run) : "never";
}

TEST_CASE("cron: days that depend on the month") {
  struct Case {
    std::string_view expression;
    std::string_view after;
    std::string_view next;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"0 0 L 2 *", "2028-02-01T00:00:00Z", "2028-02-29T00:00:00Z"},
           {"0 0 L-3 * *", "2025-04-01T00:00:00Z", "2025-04-27T00:00:00Z"},
           {"0 0 L-30 * *", "2025-01-31T00:00:00Z", "2025-03-01T00:00:00Z"},
           {"0 0 1W * *", "2025-01-31T00:00:00Z", "2025-02-03T00:00:00Z"},  // the 1st is a Saturday
           {"0 0 15W * *", "2025-02-01T00:00:00Z", "2025-02-14T00:00:00Z"},  // a Saturday
           {"0 0 31W * *", "2025-08-01T00:00:00Z", "2025-08-29T00:00:00Z"},  // Sunday, the last
           {"0 0 31W * *", "2025-09-01T00:00:00Z", "2025-10-31T00:00:00Z"},  // September has 30
           {"0 0 WL * *", "2025-08-01T00:00:00Z", "2025-08-29T00:00:00Z"},
           {"0 0 LW-3 * *", "2025-08-01T00:00:00Z", "2025-08-26T00:00:00Z"},
           {"0 0 1W+2 * *", "2025-02-01T00:00:00Z", "2025-02-05T00:00:00Z"},
           {"0 0 L,15 * *", "2025-02-15T00:00:00Z", "2025-02-28T00:00:00Z"},
           {"0 0 * * 5#5", "2025-01-31T00:00:00Z", "2025-05-30T00:00:00Z"},
           {"0 0 ? * sunL", "2025-02-01T00:00:00Z", "2025-02-23T00:00:00Z"},
           {"0 0 * * 7#1,FRIDAYL", "2025-02-03T00:00:00Z", "2025-02-28T00:00:00Z"}}) {
    CAPTURE(c.expression);
    CHECK(next(c.expression, c.after) == c.next);
  }
}

TEST_CASE("cron: two restricted day fields are alternatives, unless one starts with a star") {
  CHECK(next("0 0 13 * fri", "2025-06-01T00:00:00Z") == "2025-06-06T00:00:00Z");
  CHECK(next("0 0 */2 * mon", "2025-06-03T00:00:00Z") == "2025-06-09T00:00:00Z");
  CHECK(next("0 0 31 2 1", "2025-02-04T00:00:00Z") == "2025-02-10T00:00:00Z");
}

TEST_CASE("cron: a leap day can be eight years away") {
  CHECK(next("0 0 29 2 *", "2096-03-01T00:00:00Z") == "2104-02-29T00:00:00Z");
}

TEST_CASE("cron: the rarest date, a leap day on one weekday across 2100, is found") {
  CHECK(next("0 0 29 2 */7", "2088-02-29T00:00:00Z") == "2128-02-29T00:00:00Z");
  CHECK(next("0 0 * 2 mon#5", "2072-02-29T00:00:00Z") == "2112-02-29T00:00:00Z");
}

TEST_CASE("cron: after the year 9999 nothing runs") {
  CHECK(next("* * * * *", "9999-12-31T23:59:59Z") == "never");
}

TEST_CASE("cron: steps run from a start to the end of the range") {
  CHECK(next("50/7 * * * *", "2025-01-01T00:57:00Z") == "2025-01-01T01:50:00Z");
  CHECK(next("*/61 * * * *", "2025-01-01T00:00:00Z") == "2025-01-01T01:00:00Z");
  CHECK(next("0 0 * * 5-7", "2025-01-03T00:00:00Z") == "2025-01-04T00:00:00Z");
  CHECK(next("0 0 * * 0-7", "2025-01-03T00:00:00Z") == "2025-01-04T00:00:00Z");
}

TEST_CASE("cron: what the dialect refuses, beyond the vectors") {
  for (const auto* text :
       {"@every 1h",         "@Daily",       "* * ? * ?",     "?/2 * * * *",
        "* ? * * *",         "0 0 ?,1 * *",  "0 0 W1 * *",    "0 0 L+1 * *",
        "0 0 1W-1 * *",      "0 0 L/2 * *",  "0 0 LW/2 * *",  "0 0 32W * *",
        "0 0 L-31 * *",      "0 0 * * L",    "0 0 * * 1#",    "0 0 * * 1#1#1",
        "0 0 * * 1-5#1",     "0 0 * * 1-5L", "0 0 * * 8L",    "0 0 1 * 1#1",
        "0 0 31 4,6,9,11 *", "*-5 * * * *",  "*/ * * * *",    "/5 * * * *",
        "5/0 * * * *",       "1- * * * *",   "* * * janua *", "* * * * wednesdays",
        "* * * * sat-sun",   "5 * * * *\n"}) {
    CAPTURE(text);
    const auto cron = Cron::parse(text);
    REQUIRE_FALSE(cron);
    CHECK(cron.error().code == Code::InvalidArgument);
    CHECK(cron.error().message.find(text) != std::string::npos);
  }
}

TEST_CASE("cron: an error names the field and what is wrong with it") {
  CHECK(next("61 * * * *", "2025-01-01T00:00:00Z") ==
        "cron expression \"61 * * * *\": minute \"61\": not in 0-59");
}

TEST_CASE("cron: in a gap, real time fires once at its end, and java-shift moves the run") {
  const auto* zone = "Europe/Brussels";  // 2025-03-30 has no 02:00-03:00
  CHECK(next("* 30 2 * * *", "2025-03-30T00:30:00Z", zone) == "2025-03-30T01:00:00Z");
  CHECK(next("* 30 2 * * *", "2025-03-30T01:00:00Z", zone) == "2025-03-31T00:30:00Z");
  CHECK(next("30 2 * * *", "2025-03-30T01:10:00Z", zone, DstPolicy::JavaShift) ==
        "2025-03-30T01:30:00Z");
  CHECK(next("*/30 2 * * *", "2025-03-30T00:30:00Z", zone) == "2025-03-31T00:00:00Z");
}

TEST_CASE("cron: a whole day that is missing") {
  const auto* zone = "Pacific/Apia";  // no 2011-12-30
  CHECK(next("0 12 30 12 *", "2011-12-30T00:00:00Z", zone) == "2011-12-30T10:00:00Z");
  CHECK(next("0 12 * * *", "2011-12-30T10:00:00Z", zone) == "2011-12-30T22:00:00Z");
  CHECK(next("0 12 30 12 *", "2011-12-30T00:00:00Z", zone, DstPolicy::JavaShift) ==
        "2011-12-30T22:00:00Z");
  CHECK(next("0 * * * *", "2011-12-30T09:00:00Z", zone) == "2011-12-30T10:00:00Z");
}

TEST_CASE("cron: in the second pass of a repeated hour, a fixed time has had its run") {
  const auto* zone = "Europe/Brussels";  // 2025-10-26 has 02:00-03:00 twice
  CHECK(next("30 2 * * *", "2025-10-26T01:10:00Z", zone) == "2025-10-27T01:30:00Z");
  CHECK(next("0 3 * * *", "2025-10-26T01:10:00Z", zone) == "2025-10-26T02:00:00Z");
  CHECK(next("*/30 * * * *", "2025-10-26T01:10:00Z", zone) == "2025-10-26T01:30:00Z");
}

TEST_CASE("cron: the trigger's dialect has no days that depend on the month, and odd numbers") {
  for (const auto* text :
       {"0 0 L * *", "0 0 15W * *", "0 0 * * 1#1", "@daily", "0 0 0 * * *", "1--2 * * * *",
        "1/2/3 * * * *", "-5 * * * *", "TZ=UTC", "H * * * *", "TZ=Mars/Base 0 0 * * *"}) {
    CAPTURE(text);
    CHECK(Cron::parse_robfig(text).error().message.starts_with("syntax: "));
  }
  for (const auto* text : {"60 * * * *", "*/0 * * * *", "5-1 * * * *", "0 0 * * 7", "0 0 0 * *"}) {
    CAPTURE(text);
    CHECK(Cron::parse_robfig(text).error().message.starts_with("range: "));
  }
  for (const auto* text : {"1,,2 * * * *", "+5 * * * *", "*-7 * * * *", "? ? ? ? ?"}) {
    CAPTURE(text);
    CHECK(Cron::parse_robfig(text));
  }
}

TEST_CASE("cron: in the trigger's dialect a stepped star restricts its day field") {
  CHECK(next_robfig("0 0 */2 * mon", "2025-06-03T00:00:00Z", "UTC") == "2025-06-05T00:00:00Z");
}

TEST_CASE("cron: a zone in front of the trigger's schedule wins") {
  CHECK(next_robfig("TZ=Asia/Tokyo 0 9 * * *", "2025-01-01T12:00:00Z", "UTC") ==
        "2025-01-02T00:00:00Z");
  CHECK(next_robfig("CRON_TZ=UTC 0 9 * * *", "2025-01-01T12:00:00Z", "Asia/Tokyo") ==
        "2025-01-02T09:00:00Z");
}

TEST_CASE("cron: a trigger's schedule that never fires is quickly known not to") {
  for (const auto* text : {"0 0 30 2 *", ", * * * *", "* , * * *", "* * , * ,", "* * * , *"})
    CHECK(next_robfig(text, "2025-01-01T00:00:00Z", "Europe/Brussels") == "never");
}

TEST_CASE("cron: the trigger's stepping gets past a day that is missing") {
  CHECK(next_robfig("0 0 * * sun", "2011-12-29T23:00:00Z", "Pacific/Apia") ==
        "2011-12-31T10:00:00Z");
}

TEST_CASE("cron: policies have names, and the trigger's cannot be asked for") {
  CHECK(dst_policy("java-shift") == DstPolicy::JavaShift);
  CHECK(dst_policy(to_string(DstPolicy::RealTime)) == DstPolicy::RealTime);
  CHECK_FALSE(dst_policy("robfig"));
}

// --- against a second, slow implementation --------------------------------------------------

// Every instant of the days around, second by second would be too slow: minutes do, since the
// expressions below have second 0.
std::set<TimePoint> runs_by_brute_force(const CronFields& fields, const TimeZone& zone,
                                        TimePoint from, TimePoint until, DstPolicy policy) {
  using namespace std::chrono;
  std::set<TimePoint> runs;
  const auto matches = [&](local_seconds wall) {
    return fields.wall_from(wall, wall + 1s) == wall;
  };
  const auto wall_of = [](sys_seconds instant, seconds offset) {
    return local_seconds(instant.time_since_epoch() + offset);
  };
  std::optional<seconds> offset_before;
  std::set<local_seconds> seen;
  for (auto t = floor<seconds>(from); t < until; t += 1min) {
    const seconds offset = zone.period(t).offset;
    const bool elapsed = policy == DstPolicy::RealTime && fields.elapsed;
    if (offset_before && offset > *offset_before && !elapsed) {
      for (auto w = wall_of(t, *offset_before); w < wall_of(t, offset); w += 1min) {
        if (!matches(w)) continue;
        const bool shifted = policy == DstPolicy::JavaShift;
        runs.insert(shifted ? sys_seconds(w.time_since_epoch() - *offset_before) : t);
      }
    }
    offset_before = offset;
    const bool first_pass = seen.insert(wall_of(t, offset)).second;
    if (matches(wall_of(t, offset)) && (first_pass || elapsed)) runs.insert(t);
  }
  return runs;
}

TEST_CASE("cron: around changes of clocks, next() finds what a slow search finds") {
  struct Change {
    const char* zone;
    const char* from;  // two days before the change
  };
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto pick = [&](std::initializer_list<const char*> choices) {
    return std::string(*(choices.begin() + random() % choices.size()));
  };
  for (const Change& change :
       std::initializer_list<Change>{{"Europe/Brussels", "2025-03-28T00:00:00Z"},
                                     {"Europe/Brussels", "2025-10-24T00:00:00Z"},
                                     {"America/New_York", "2025-11-01T00:00:00Z"},
                                     {"Australia/Lord_Howe", "2025-10-03T00:00:00Z"},
                                     {"Australia/Lord_Howe", "2025-04-04T00:00:00Z"},
                                     {"Africa/Cairo", "2025-04-23T00:00:00Z"},
                                     {"Africa/Cairo", "2025-10-29T00:00:00Z"},
                                     {"America/Santiago", "2025-09-05T00:00:00Z"},
                                     {"America/Santiago", "2025-04-04T00:00:00Z"},
                                     {"Pacific/Apia", "2011-12-28T00:00:00Z"}}) {
    for (int round = 0; round < 5; ++round) {
      const std::string expression = pick({"*", "*/20", "30", "0", "15,45", "20-59/13"}) + " " +
                                     pick({"*", "0", "1-3", "2", "*/2", "0-23", "23"}) + " * * " +
                                     pick({"*", "1-5", "sat,sun"});
      CAPTURE(change.zone);
      CAPTURE(expression);
      const auto cron = Cron::parse(expression);
      REQUIRE(cron);
      const auto fields = *parse_cron_fields(expression);
      const auto zone = *TimeZone::find(change.zone);
      const TimePoint from = at(change.from);
      const TimePoint until = from + 7 * 24h;
      for (const DstPolicy policy : {DstPolicy::RealTime, DstPolicy::JavaShift}) {
        const auto runs = runs_by_brute_force(fields, zone, from, until, policy);
        for (TimePoint after = from + 12h; after < from + 96h; after += 17min + 30s) {
          const auto expected = runs.upper_bound(after);
          if (expected == runs.end()) break;
          CAPTURE(format_instant(after));
          CHECK(cron->next(after, zone, policy) == *expected);
        }
      }
    }
  }
}

}  // namespace
}  // namespace jobmill
