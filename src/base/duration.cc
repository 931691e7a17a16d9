// SPDX-License-Identifier: Apache-2.0
#include "base/duration.h"

#include <array>
#include <charconv>
#include <chrono>
#include <limits>
#include <optional>
#include <span>

#include <fmt/core.h>

namespace jobmill {
namespace {

constexpr std::int32_t kNanos = 1'000'000'000;

bool digit(char c) { return c >= '0' && c <= '9'; }
char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

// What is left of a text while it is read from the left.
class Rest {
 public:
  explicit Rest(std::string_view text) : text_(text) {}

  bool done() const { return text_.empty(); }
  char peek() const { return text_.empty() ? '\0' : upper(text_.front()); }
  bool take(char c) {
    if (peek() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  template <class Predicate>
  std::string_view take_while(Predicate wanted) {
    std::size_t n = 0;
    while (n < text_.size() && wanted(text_[n])) ++n;
    const std::string_view taken = text_.substr(0, n);
    text_.remove_prefix(n);
    return taken;
  }
  std::string_view digits() { return take_while(digit); }

 private:
  std::string_view text_;
};

// --- ISO 8601 ------------------------------------------------------------------------------

// Adds up the parts with every overflow noticed: texts reach the ends of 64 bits.
struct Sum {
  std::int64_t seconds = 0;
  std::int32_t nanos = 0;  // with the sign of its part, so possibly negative
  bool overflow = false;

  void add(std::int64_t count, std::int64_t unit) {
    std::int64_t product = 0;
    overflow |= __builtin_mul_overflow(count, unit, &product);
    overflow |= __builtin_add_overflow(seconds, product, &seconds);
  }
};

struct Part {
  char designator;
  std::int64_t seconds;
};
constexpr std::array kDateParts{Part{'D', 86'400}};
constexpr std::array kTimeParts{Part{'H', 3'600}, Part{'M', 60}, Part{'S', 1}};

struct Number {
  std::int64_t whole = 0;
  std::optional<std::int32_t> nanos;  // present: there was a decimal sign
};

std::optional<std::int32_t> fraction(std::string_view digits, bool negative) {
  if (digits.size() > 9) return std::nullopt;
  std::int32_t value = 0;
  for (std::size_t i = 0; i < 9; ++i)
    value = value * 10 + (i < digits.size() ? digits[i] - '0' : 0);
  return negative ? -value : value;
}

std::optional<Number> number(Rest& rest) {
  const bool negative = rest.take('-');
  if (!negative) rest.take('+');
  const std::string text = (negative ? "-" : "") + std::string(rest.digits());
  Number result;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, result.whole);
  if (error != std::errc{} || stop != end) return std::nullopt;
  if (rest.take('.') || rest.take(',')) {
    result.nanos = fraction(rest.digits(), negative);
    if (!result.nanos) return std::nullopt;
  }
  return result;
}

// Reads parts in the order given, each at most once, until the text ends or T comes. Returns how
// many there were; nothing when something else is in the way.
std::optional<int> read_parts(Rest& rest, std::span<const Part> parts, Sum& sum) {
  int found = 0;
  while (!rest.done() && rest.peek() != 'T') {
    const auto value = number(rest);
    if (!value) return std::nullopt;
    while (!parts.empty() && parts.front().designator != rest.peek()) parts = parts.subspan(1);
    if (parts.empty() || (value->nanos && parts.front().designator != 'S')) return std::nullopt;
    rest.take(parts.front().designator);
    sum.add(value->whole, parts.front().seconds);
    sum.nanos = value->nanos.value_or(0);
    parts = parts.subspan(1);
    ++found;
  }
  return found;
}

std::optional<Sum> read_iso(Rest& rest) {
  Sum sum;
  if (!rest.take('P')) return std::nullopt;
  const auto date = read_parts(rest, kDateParts, sum);
  if (!date) return std::nullopt;
  if (!rest.take('T')) return *date > 0 ? std::optional(sum) : std::nullopt;
  const auto time = read_parts(rest, kTimeParts, sum);
  if (!time || *time == 0 || !rest.done()) return std::nullopt;
  return sum;
}

std::optional<IsoDuration> normalized(Sum sum) {
  IsoDuration result{sum.seconds, sum.nanos};
  if (result.nanos < 0) {
    sum.overflow |= __builtin_sub_overflow(result.seconds, 1, &result.seconds);
    result.nanos += kNanos;
  }
  if (sum.overflow) return std::nullopt;
  return result;
}

std::optional<IsoDuration> negated(const IsoDuration& d) {
  if (d.nanos > 0) return IsoDuration{~d.seconds, kNanos - d.nanos};  // ~s is -s - 1
  if (d.seconds == std::numeric_limits<std::int64_t>::min()) return std::nullopt;
  return IsoDuration{-d.seconds, 0};
}

// Thousandths or millionths: older parsers of such times know no other fractions.
std::string subseconds_text(std::int64_t micros) {
  if (micros == 0) return "";
  if (micros % 1000 == 0) return fmt::format(".{:03}", micros / 1000);
  return fmt::format(".{:06}", micros);
}

std::string fraction_text(std::int64_t value, int width) {
  if (value == 0) return "";
  std::string text = fmt::format(".{:0{}}", value, width);
  text.erase(text.find_last_not_of('0') + 1);
  return text;
}

// --- Go ------------------------------------------------------------------------------------

struct Unit {
  std::string_view name;
  std::uint64_t nanos;
};
constexpr std::array kGoUnits{
    Unit{"ns", 1},
    Unit{"us", 1'000},
    Unit{"\u00b5s", 1'000},
    Unit{"\u03bcs", 1'000},
    Unit{"ms", 1'000'000},
    Unit{"s", 1'000'000'000},
    Unit{"m", 60ull * 1'000'000'000},
    Unit{"h", 3'600ull * 1'000'000'000},
};

std::optional<std::uint64_t> go_unit(std::string_view name) {
  for (const Unit& unit : kGoUnits)
    if (unit.name == name) return unit.nanos;
  return std::nullopt;
}

constexpr std::uint64_t kGoLimit = std::uint64_t{1} << 63;

// The digits after the point times the unit. Digits that 63 bits cannot hold are ignored, and the
// product is one of doubles: as Go does, so that the last nanosecond agrees.
std::uint64_t go_fraction(std::string_view digits, std::uint64_t unit) {
  std::uint64_t value = 0;
  double scale = 1;
  for (const char c : digits) {
    if (value > (kGoLimit - 1) / 10) break;
    const std::uint64_t next = value * 10 + static_cast<std::uint64_t>(c - '0');
    if (next > kGoLimit) break;
    value = next;
    scale *= 10;
  }
  return static_cast<std::uint64_t>(static_cast<double>(value) *
                                    (static_cast<double>(unit) / scale));
}

// One "1.5h" in nanoseconds.
std::optional<std::uint64_t> go_part(Rest& rest) {
  const std::string_view whole = rest.digits();
  const std::string_view decimals = rest.take('.') ? rest.digits() : std::string_view();
  if (whole.empty() && decimals.empty()) return std::nullopt;
  const auto unit = go_unit(rest.take_while([](char c) { return c != '.' && !digit(c); }));
  if (!unit) return std::nullopt;
  std::uint64_t value = 0;
  if (!whole.empty()) {
    const auto [_, error] = std::from_chars(whole.data(), whole.data() + whole.size(), value);
    if (error != std::errc{} || value > kGoLimit / *unit) return std::nullopt;
  }
  value = value * *unit + go_fraction(decimals, *unit);
  return value > kGoLimit ? std::nullopt : std::optional(value);
}

std::optional<std::uint64_t> go_nanos(Rest& rest) {
  std::uint64_t total = 0;
  while (!rest.done()) {
    const auto part = go_part(rest);
    if (!part || *part > kGoLimit - total) return std::nullopt;
    total += *part;
  }
  return total;
}

// --- instants ------------------------------------------------------------------------------

std::optional<int> fixed_digits(Rest& rest, int count, int low, int high) {
  int value = 0;
  for (int i = 0; i < count; ++i) {
    if (!digit(rest.peek())) return std::nullopt;
    const char c = rest.peek();
    rest.take(c);
    value = value * 10 + (c - '0');
  }
  return value < low || value > high ? std::nullopt : std::optional(value);
}

std::optional<std::chrono::sys_days> read_date(Rest& rest) {
  const auto year = fixed_digits(rest, 4, 0, 9999);
  if (!year || !rest.take('-')) return std::nullopt;
  const auto month = fixed_digits(rest, 2, 1, 12);
  if (!month || !rest.take('-')) return std::nullopt;
  const auto day = fixed_digits(rest, 2, 1, 31);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  return date.ok() ? std::optional(std::chrono::sys_days(date)) : std::nullopt;
}

std::optional<Duration> read_time(Rest& rest) {
  const auto hour = fixed_digits(rest, 2, 0, 23);
  if (!hour || !rest.take(':')) return std::nullopt;
  const auto minute = fixed_digits(rest, 2, 0, 59);
  if (!minute || !rest.take(':')) return std::nullopt;
  const auto second = fixed_digits(rest, 2, 0, 60);
  if (!second) return std::nullopt;
  Duration time =
      std::chrono::hours(*hour) + std::chrono::minutes(*minute) + std::chrono::seconds(*second);
  if (rest.take('.')) {
    const std::string_view digits = rest.digits();
    if (digits.empty()) return std::nullopt;
    time += Duration(*fraction(digits.substr(0, 9), false) / 1000);
  }
  return time;
}

std::optional<std::chrono::minutes> read_offset(Rest& rest) {
  if (rest.take('Z')) return std::chrono::minutes(0);
  const bool negative = rest.take('-');
  if (!negative && !rest.take('+')) return std::nullopt;
  const auto hour = fixed_digits(rest, 2, 0, 23);
  if (!hour || !rest.take(':')) return std::nullopt;
  const auto minute = fixed_digits(rest, 2, 0, 59);
  if (!minute) return std::nullopt;
  const std::chrono::minutes offset = std::chrono::hours(*hour) + std::chrono::minutes(*minute);
  return negative ? -offset : offset;
}

std::optional<TimePoint> read_instant(Rest rest) {
  const auto date = read_date(rest);
  if (!date || (!rest.take('T') && !rest.take(' '))) return std::nullopt;
  const auto time = read_time(rest);
  if (!time) return std::nullopt;
  const auto offset = read_offset(rest);
  if (!offset || !rest.done()) return std::nullopt;
  return TimePoint(*date) + *time - *offset;
}

Fault no_duration(std::string_view text, std::string_view wish) {
  return fail(Code::InvalidArgument, fmt::format("not a duration: \"{}\" ({})", text, wish));
}

}  // namespace

Result<IsoDuration> parse_iso_duration(std::string_view text) {
  Rest rest(text);
  const bool negative = rest.take('-');
  if (!negative) rest.take('+');
  const auto sum = read_iso(rest);
  auto result = sum ? normalized(*sum) : std::nullopt;
  if (result && negative) result = negated(*result);
  if (!result) return no_duration(text, "ISO 8601 such as PT2M or P1DT12H");
  return *result;
}

std::string canonical(const IsoDuration& duration) {
  const bool negative = duration.negative();
  const bool borrowed = negative && duration.nanos > 0;
  const std::int64_t total = duration.seconds + (borrowed ? 1 : 0);  // towards zero
  const std::int64_t hours = total / 3600;
  const std::int64_t minutes = total % 3600 / 60;
  const std::int64_t seconds = total % 60;
  const std::int32_t nanos = borrowed ? kNanos - duration.nanos : duration.nanos;

  std::string text = "PT";
  if (hours != 0) text += fmt::format("{}H", hours);
  if (minutes != 0) text += fmt::format("{}M", minutes);
  if (seconds == 0 && nanos == 0 && text.size() > 2) return text;
  if (borrowed && seconds == 0) text += '-';
  return text + fmt::format("{}{}S", seconds, fraction_text(nanos, 9));
}

Duration to_duration(const IsoDuration& duration) {
  const bool borrowed = duration.negative() && duration.nanos > 0;
  const std::int64_t seconds = duration.seconds + (borrowed ? 1 : 0);
  const std::int64_t micros = (borrowed ? duration.nanos - kNanos : duration.nanos) / 1000;
  std::int64_t total = 0;
  if (__builtin_mul_overflow(seconds, std::int64_t{1'000'000}, &total) ||
      __builtin_add_overflow(total, micros, &total))
    return duration.negative() ? Duration::min() : Duration::max();
  return Duration(total);
}

Result<Duration> parse_go_duration(std::string_view text) {
  std::string_view number = text;
  const bool negative = number.starts_with('-');
  if (negative || number.starts_with('+')) number.remove_prefix(1);
  if (number == "0") return Duration(0);
  Rest rest(number);
  const auto nanos = number.empty() ? std::nullopt : go_nanos(rest);
  if (!nanos || (*nanos == kGoLimit && !negative))
    return no_duration(text, "such as 1.5s, 1m30s or 500ms");
  const auto micros = static_cast<std::int64_t>(*nanos / 1000);
  return Duration(negative ? -micros : micros);
}

Result<Duration> parse_duration(std::string_view text) {
  const bool iso = text.find_first_of("Pp") != std::string_view::npos;
  Duration result{};
  if (iso) {
    TRY(const IsoDuration exact, parse_iso_duration(text));
    result = to_duration(exact);
  } else {
    TRY(result, parse_go_duration(text));
  }
  if (result < Duration(0)) return no_duration(text, "must not be negative");
  return result;
}

std::string format_iso(Duration duration) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(duration);
  const auto nanos = std::chrono::nanoseconds(duration - seconds).count();
  return canonical({seconds.count(), static_cast<std::int32_t>(nanos)});
}

std::string to_text(Duration duration) {
  if (duration == Duration::min()) return "-" + to_text(Duration::max());
  if (duration < Duration(0)) return "-" + to_text(-duration);
  const std::int64_t micros = duration.count();
  if (micros == 0) return "0s";
  if (micros < 1000) return fmt::format("{}us", micros);
  if (micros < 1'000'000)
    return fmt::format("{}{}ms", micros / 1000, fraction_text(micros % 1000, 3));

  const std::int64_t seconds = micros / 1'000'000;
  std::string text;
  if (seconds >= 3600) text += fmt::format("{}h", seconds / 3600);
  if (seconds / 60 % 60 != 0) text += fmt::format("{}m", seconds / 60 % 60);
  if (micros % 60'000'000 != 0)
    text += fmt::format("{}{}s", seconds % 60, fraction_text(micros % 1'000'000, 6));
  return text;
}

std::string seconds_json(Duration duration) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(duration);
  if (whole == duration) return std::to_string(whole.count());
  return fmt::format("{}", std::chrono::duration<double>(duration).count());
}

std::string format_instant(TimePoint at) {
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(at - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count(),
                     subseconds_text(time.subseconds().count()));
}

Result<TimePoint> parse_instant(std::string_view text) {
  const auto at = read_instant(Rest(text));
  if (!at)
    return fail(
        Code::InvalidArgument,
        fmt::format("not an instant: \"{}\" (RFC 3339 such as 2025-01-31T08:00:00Z)", text));
  return *at;
}

}  // namespace jobmill
