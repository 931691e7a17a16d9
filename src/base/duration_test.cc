// SPDX-License-Identifier: Apache-2.0
#include "base/duration.h"

#include <chrono>

#include <doctest/doctest.h>

namespace jobmill {
namespace {

using namespace std::chrono_literals;

TEST_CASE("duration: what 64-bit microseconds cannot hold stops at their ends") {
  CHECK(to_duration({9'223'372'036'854'775'807, 0}) == Duration::max());
  CHECK(to_duration({-9'223'372'036'854'775'807, 0}) == Duration::min());
  CHECK(to_duration({1, 500'000'000}) == 1500ms);
}

TEST_CASE("duration: finer than a microsecond is cut towards zero") {
  CHECK(to_duration({0, 999}) == 0us);
  CHECK(to_duration({0, 1'999}) == 1us);
  CHECK(to_duration({-1, 999'999'999}) == 0us);
  CHECK(to_duration({-1, 999'998'001}) == -1us);
}

TEST_CASE("duration: an overflow on the way is noticed, also when the sum would fit") {
  CHECK_FALSE(parse_iso_duration("PT2562047788015216H-2562047788015216H"));
  CHECK_FALSE(parse_iso_duration("-PT-9223372036854775808S"));
  CHECK(parse_iso_duration("PT-9223372036854775808S"));
}

TEST_CASE("duration: Go's texts") {
  struct Case {
    std::string_view text;
    Duration value;
  };
  for (const Case& c : std::initializer_list<Case>{{"0", 0us},
                                                   {"+0", 0us},
                                                   {"1.5s", 1500ms},
                                                   {"1m30s", 90s},
                                                   {"500ms", 500ms},
                                                   {"-2h", -2h},
                                                   {".5s", 500ms},
                                                   {"1.s", 1s},
                                                   {"3us", 3us},
                                                   {"3\u00b5s", 3us},
                                                   {"3\u03bcs", 3us},
                                                   {"1999ns", 1us},
                                                   {"1h1h", 2h},
                                                   {"30s1m", 90s},
                                                   {"0.3333333333333333333h", 1200s}}) {
    CAPTURE(c.text);
    const auto parsed = parse_go_duration(c.text);
    REQUIRE(parsed);
    CHECK(*parsed == c.value);
  }
}

TEST_CASE("duration: what Go refuses") {
  for (const auto* text :
       {"", "+", "-", "1.5", "30", "1d", "s", ".s", "-.s", "1 s", " 1s", "1S", "1e3s", "--1s",
        "3000000h", "9223372036854775808ns", "99999999999999999999s"}) {
    CAPTURE(text);
    const auto parsed = parse_go_duration(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Code::InvalidArgument);
  }
  CHECK(parse_go_duration("-9223372036854775808ns"));
}

TEST_CASE("duration: configuration takes both forms and nothing negative") {
  CHECK(*parse_duration("PT2M") == 2min);
  CHECK(*parse_duration("1h30m") == 90min);
  for (const auto* text : {"-1s", "PT-1S", "-PT1S", "2", "banana", ""})
    CHECK_FALSE(parse_duration(text));
}

TEST_CASE("duration: a refusal shows the text") {
  CHECK(parse_duration("banana").error().message.find("\"banana\"") != std::string::npos);
  CHECK(parse_iso_duration("P1W").error().message.find("\"P1W\"") != std::string::npos);
}

TEST_CASE("duration: written for machines and for people") {
  CHECK(format_iso(2min) == "PT2M");
  CHECK(format_iso(0s) == "PT0S");
  CHECK(format_iso(-500ms) == "PT-0.5S");
  CHECK(format_iso(1us) == "PT0.000001S");
  CHECK(to_text(90s) == "1m30s");
  CHECK(to_text(250ms) == "250ms");
  CHECK(to_text(1500us) == "1.5ms");
  CHECK(to_text(7us) == "7us");
  CHECK(to_text(0s) == "0s");
  CHECK(to_text(25h) == "25h");
  CHECK(to_text(1h + 250ms) == "1h0.25s");
  CHECK(to_text(-90s) == "-1m30s");
  CHECK(to_text(Duration::min()) == to_text(-Duration::max()));
}

TEST_CASE("instant: read with any offset, written in UTC with the digits it needs") {
  struct Case {
    std::string_view text;
    std::string_view utc;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"2025-01-31T08:00:00Z", "2025-01-31T08:00:00Z"},
           {"2025-01-31t08:00:00z", "2025-01-31T08:00:00Z"},
           {"2025-01-31 08:00:00+05:30", "2025-01-31T02:30:00Z"},
           {"2025-01-31T20:00:00-05:00", "2025-02-01T01:00:00Z"},
           {"2025-01-01T00:00:00.5Z", "2025-01-01T00:00:00.500Z"},
           {"2025-01-01T00:00:00.1234569999999Z", "2025-01-01T00:00:00.123456Z"},
           {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"},
           {"1969-12-31T23:59:59.2500009Z", "1969-12-31T23:59:59.250Z"},
           {"2025-01-01T00:00:00.00010Z", "2025-01-01T00:00:00.000100Z"},
           {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"}}) {
    CAPTURE(c.text);
    const auto at = parse_instant(c.text);
    REQUIRE(at);
    CHECK(format_instant(*at) == c.utc);
  }
}

TEST_CASE("instant: half a date, a date that does not exist and missing offsets are refused") {
  for (const auto* text :
       {"", "2025-01-31", "2025-01-31T08:00:00", "2025-02-29T00:00:00Z", "2025-13-01T00:00:00Z",
        "2025-01-31T24:00:00Z", "2025-01-31T08:60:00Z", "2025-01-31T08:00:61Z",
        "2025-01-31T08:00:00.Z", "2025-01-31T08:00:00+0530", "2025-01-31T08:00:00+24:00",
        "2025-1-31T08:00:00Z", "2025-01-31T08:00:00Z ", "20250131T080000Z"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_instant(text));
  }
}

}  // namespace
}  // namespace jobmill
