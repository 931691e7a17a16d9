// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace jobmill {

// An exact ISO 8601 duration: seconds + nanos / 1e9, with 0 <= nanos < 1e9, so -0.5 s is
// {-1, 500000000}. Finer and wider than Duration; what people wrote survives a round trip.
struct IsoDuration {
  std::int64_t seconds = 0;
  std::int32_t nanos = 0;

  bool negative() const { return seconds < 0; }
  bool operator==(const IsoDuration&) const = default;
};

// Days, hours, minutes and seconds ("P1DT2H", "PT20.345S"), any case, signs allowed before the
// whole and before each number, decimal point or comma in seconds only, nine digits at most.
// Weeks, months and years have no fixed length and are refused. The value may be negative: who
// cannot use that must look.
Result<IsoDuration> parse_iso_duration(std::string_view text);

// In hours, minutes and seconds: "P1DT24H" is "PT48H". A negative duration has the sign at each
// number: "PT-5H-57M".
std::string canonical(const IsoDuration& duration);

// Cuts what is finer than a microsecond (towards zero) and stops at the ends of Duration.
Duration to_duration(const IsoDuration& duration);

// As Go's time.ParseDuration reads it: "1.5s", "1m30s", "500ms", "-2h", "0". May be negative.
// Finer than a microsecond is cut.
Result<Duration> parse_go_duration(std::string_view text);

// What the command line and configuration files accept: ISO 8601, or "30s", "5m", "1h30m".
// Never negative.
Result<Duration> parse_duration(std::string_view text);

std::string format_iso(Duration duration);  // "PT2M", canonical
std::string to_text(Duration duration);     // for people: "1m30s", "250ms", "0s"

// Seconds as a JSON number, with a fraction only if there is one.
std::string seconds_json(Duration duration);

// RFC 3339 in UTC, with as many digits of the fraction as are needed, at most six:
// "2025-01-01T00:00:00.500Z".
std::string format_instant(TimePoint at);

// RFC 3339 with any offset. A fraction finer than a microsecond is cut, a leap second is the
// second after it.
Result<TimePoint> parse_instant(std::string_view text);

}  // namespace jobmill
