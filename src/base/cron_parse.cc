// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <string>

#include <fmt/core.h>

#include "base/cron_fields.h"

namespace jobmill {
namespace {

constexpr std::array<std::string_view, 12> kMonths{"january",   "february", "march",    "april",
                                                   "may",       "june",     "july",     "august",
                                                   "september", "october",  "november", "december"};
constexpr std::array<std::string_view, 7> kWeekdays{"sunday",   "monday", "tuesday", "wednesday",
                                                    "thursday", "friday", "saturday"};

struct FieldSpec {
  std::string_view name;
  int low;
  int high;
  std::span<const std::string_view> names{};  // names[0] stands for `low`
};

constexpr FieldSpec kSecond{"second", 0, 59};
constexpr FieldSpec kMinute{"minute", 0, 59};
constexpr FieldSpec kHour{"hour", 0, 23};
constexpr FieldSpec kDay{"day of month", 1, 31};
constexpr FieldSpec kMonth{"month", 1, 12, kMonths};
constexpr FieldSpec kWeekday{"weekday", 0, 7, kWeekdays};
constexpr FieldSpec kRobfigWeekday{"weekday", 0, 6, kWeekdays};

struct Macro {
  std::string_view name;
  std::string_view fields;
};
constexpr std::array kMacros{
    Macro{"@yearly", "0 0 1 1 *"}, Macro{"@annually", "0 0 1 1 *"}, Macro{"@monthly", "0 0 1 * *"},
    Macro{"@weekly", "0 0 * * 0"}, Macro{"@daily", "0 0 * * *"},    Macro{"@midnight", "0 0 * * *"},
    Macro{"@hourly", "0 * * * *"},
};

std::uint64_t range_bits(int low, int high, int step) {
  std::uint64_t bits = 0;
  for (int n = low; n <= high; n += step) bits |= std::uint64_t{1} << n;
  return bits;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find_first_of(separators);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> without_empty(std::vector<std::string_view> parts) {
  std::erase(parts, std::string_view());
  return parts;
}

// Text before and after the first `c`, which must be there at most once.
struct Halves {
  std::string_view head;
  std::optional<std::string_view> tail;
};

Halves halves(std::string_view text, char c) {
  const auto at = text.find(c);
  if (at == std::string_view::npos) return {text, std::nullopt};
  return {text.substr(0, at), text.substr(at + 1)};
}

// ASCII digits only. What no field can hold is as good as 1000.
std::optional<int> digits(std::string_view text) {
  if (text.empty()) return std::nullopt;
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = std::min(value * 10 + (c - '0'), 1000);
  }
  return value;
}

std::optional<int> by_name(const FieldSpec& spec, std::string_view name) {
  if (name.size() < 3) return std::nullopt;
  for (std::size_t i = 0; i < spec.names.size(); ++i)
    if (name == spec.names[i] || name == spec.names[i].substr(0, 3))
      return spec.low + static_cast<int>(i);
  return std::nullopt;
}

Fault wrong(const FieldSpec& spec, std::string_view element, std::string_view why) {
  return fail(Code::InvalidArgument, fmt::format("{} \"{}\": {}", spec.name, element, why));
}

// --- our dialect ---------------------------------------------------------------------------

Result<int> value_of(const FieldSpec& spec, std::string_view text) {
  if (const auto named = by_name(spec, text)) return *named;
  const auto value = digits(text);
  if (!value) return wrong(spec, text, "not a value");
  if (*value < spec.low || *value > spec.high)
    return wrong(spec, text, fmt::format("not in {}-{}", spec.low, spec.high));
  return *value;
}

Result<int> step_of(const FieldSpec& spec, std::string_view text) {
  const auto step = digits(text);
  if (!step || *step == 0) return wrong(spec, text, "a step is a number of at least 1");
  return *step;
}

// `*`, `a`, `a-b`, each with `/n` or without.
Result<std::uint64_t> plain_bits(const FieldSpec& spec, std::string_view element) {
  const auto [range, step_text] = halves(element, '/');
  int step = 1;
  if (step_text) {
    TRY(step, step_of(spec, *step_text));
  }
  if (range == "*") return range_bits(spec.low, spec.high, step);
  const auto [from, to] = halves(range, '-');
  TRY(const int low, value_of(spec, from));
  if (!to) return range_bits(low, step_text ? spec.high : low, step);
  TRY(const int high, value_of(spec, *to));
  if (low > high) return wrong(spec, element, "the range ends before it begins");
  return range_bits(low, high, step);
}

// "3" of "L-3"; 0 when there is none.
Result<int> offset_of(std::string_view element, std::optional<std::string_view> text) {
  if (!text) return 0;
  const auto offset = digits(*text);
  if (!offset) return wrong(kDay, element, "the offset is not a number");
  return *offset;
}

Result<CronFields::SpecialDay> last_day(std::string_view element) {
  const auto [what, offset_text] = halves(element, '-');
  if (what != "l" && what != "lw" && what != "wl") return wrong(kDay, element, "not a value");
  TRY(const int offset, offset_of(element, offset_text));
  return CronFields::SpecialDay{0, what != "l", -offset};
}

Result<CronFields::SpecialDay> near_day(std::string_view element) {
  const auto [what, offset_text] = halves(element, '+');
  if (!what.ends_with('w')) return wrong(kDay, element, "not a value");
  TRY(const int day, value_of(kDay, what.substr(0, what.size() - 1)));
  TRY(const int offset, offset_of(element, offset_text));
  return CronFields::SpecialDay{day, true, offset};
}

Status add_day(CronFields& fields, std::string_view element) {
  if (element.find('l') != std::string_view::npos) {
    TRY(const auto special, last_day(element));
    fields.special_days.push_back(special);
  } else if (element.find('w') != std::string_view::npos) {
    TRY(const auto special, near_day(element));
    fields.special_days.push_back(special);
  } else {
    TRY(const std::uint64_t bits, plain_bits(kDay, element));
    fields.days |= bits;
  }
  return {};
}

Result<CronFields::SpecialWeekday> nth_weekday(std::string_view element) {
  const auto [name, n_text] = halves(element, '#');
  TRY(const int weekday, value_of(kWeekday, name));
  const int n = digits(*n_text).value_or(0);
  if (n < 1 || n > 5) return wrong(kWeekday, element, "# counts from 1 to 5");
  return CronFields::SpecialWeekday{weekday % 7, n};
}

Result<CronFields::SpecialWeekday> last_weekday(std::string_view element) {
  TRY(const int weekday, value_of(kWeekday, element.substr(0, element.size() - 1)));
  return CronFields::SpecialWeekday{weekday % 7, 0};
}

Status add_weekday(CronFields& fields, std::string_view element) {
  if (element.find('#') != std::string_view::npos) {
    TRY(const auto special, nth_weekday(element));
    fields.special_weekdays.push_back(special);
  } else if (element.ends_with('l')) {
    TRY(const auto special, last_weekday(element));
    fields.special_weekdays.push_back(special);
  } else {
    TRY(const std::uint64_t bits, plain_bits(kWeekday, element));
    fields.weekdays |= (bits | bits >> 7) & 0x7f;  // 7 is Sunday too
  }
  return {};
}

Status read_plain(const FieldSpec& spec, std::string_view field, std::uint64_t& into) {
  into = 0;
  for (const std::string_view element : split(field, ",")) {
    TRY(const std::uint64_t bits, plain_bits(spec, element));
    into |= bits;
  }
  return {};
}

// The rule looks at the first character only, so `*/2` counts as a star.
bool star(std::string_view field) { return field.starts_with('*') || field == "?"; }

Status read_days(CronFields& fields, std::string_view days, std::string_view weekdays) {
  if (days == "?" && weekdays == "?") return wrong(kDay, days, "? can be in one day field only");
  fields.both_days = star(days) || star(weekdays);
  for (const std::string_view element : split(days == "?" ? "*" : days, ","))
    TRY_VOID(add_day(fields, element));
  for (const std::string_view element : split(weekdays == "?" ? "*" : weekdays, ","))
    TRY_VOID(add_weekday(fields, element));
  if (!fields.special_weekdays.empty() && !star(days))
    return wrong(kWeekday, weekdays, "L and # need a day of month that starts with * or ?");
  return {};
}

// The calendar repeats after 400 years, so what has not come by then never comes.
bool ever_fires(const CronFields& fields) {
  using std::chrono::local_days;
  using std::chrono::year;
  return fields.wall_from(local_days(year(2000) / 1 / 1), local_days(year(2400) / 1 / 1))
      .has_value();
}

Result<CronFields> read_fields(std::string_view text) {
  auto parts = without_empty(split(text, " \t"));
  if (parts.size() != 5 && parts.size() != 6)
    return fail(Code::InvalidArgument,
                fmt::format("{} fields instead of 5 (or 6 with seconds)", parts.size()));
  CronFields fields;
  if (parts.size() == 6) {
    TRY_VOID(read_plain(kSecond, parts.front(), fields.seconds));
    parts.erase(parts.begin());
  }
  TRY_VOID(read_plain(kMinute, parts[0], fields.minutes));
  TRY_VOID(read_plain(kHour, parts[1], fields.hours));
  TRY_VOID(read_plain(kMonth, parts[3], fields.months));
  TRY_VOID(read_days(fields, parts[2], parts[4]));
  fields.elapsed = parts[0].starts_with('*') || parts[1].starts_with('*');
  if (!ever_fires(fields)) return fail(Code::InvalidArgument, "this date never comes");
  return fields;
}

std::string_view expand_macro(std::string_view text) {
  const auto macro =
      std::find_if(kMacros.begin(), kMacros.end(), [&](const Macro& m) { return m.name == text; });
  return macro == kMacros.end() ? text : macro->fields;
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// --- the dialect of KEDA's trigger ------------------------------------------------------------
// It follows robfig/cron 3.0.1 to the letter, also where that is odd: empty list elements are
// skipped, "+5" is a number, and "*-7" is "*".

Fault robfig_error(std::string_view kind, const FieldSpec& spec, std::string_view element) {
  return fail(Code::InvalidArgument, fmt::format("{}: {} \"{}\"", kind, spec.name, element));
}

std::optional<int> robfig_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || stop != text.data() + text.size() || value < 0)
    return std::nullopt;
  return static_cast<int>(std::min<std::int64_t>(value, 1000));
}

std::optional<int> robfig_value(const FieldSpec& spec, std::string_view text) {
  const auto named = text.size() == 3 ? by_name(spec, text) : std::nullopt;
  return named ? named : robfig_number(text);
}

struct RobfigBits {
  std::uint64_t bits = 0;
  bool star = false;
};

Result<RobfigBits> robfig_element(const FieldSpec& spec, std::string_view element) {
  const auto step_parts = split(element, "/");
  const auto range = split(step_parts[0], "-");
  const bool star = range[0] == "*" || range[0] == "?";
  if (step_parts.size() > 2 || (!star && range.size() > 2))
    return robfig_error("syntax", spec, element);

  const auto low = star ? spec.low : robfig_value(spec, range[0]);
  const auto step = step_parts.size() == 2 ? robfig_number(step_parts[1]) : 1;
  auto high = star ? spec.high : robfig_value(spec, range.back());
  if (!low || !high || !step) return robfig_error("syntax", spec, element);
  if (step_parts.size() == 2 && range.size() == 1) high = spec.high;  // "5/15" runs to the end
  if (*low < spec.low || *high > spec.high || *low > *high || *step == 0)
    return robfig_error("range", spec, element);
  return RobfigBits{range_bits(*low, *high, *step), star && *step == 1};
}

Result<RobfigBits> robfig_field(const FieldSpec& spec, std::string_view field) {
  RobfigBits all;
  for (const std::string_view element : without_empty(split(field, ","))) {
    TRY(const RobfigBits one, robfig_element(spec, element));
    all.bits |= one.bits;
    all.star |= one.star;
  }
  return all;
}

}  // namespace

Result<CronFields> parse_cron_fields(std::string_view text) {
  const std::string wanted = lower(expand_macro(trimmed(text)));
  auto fields = read_fields(wanted);
  if (!fields)
    return fail(Code::InvalidArgument,
                fmt::format("cron expression \"{}\": {}", text, fields.error().message));
  return fields;
}

Result<CronFields> parse_robfig_fields(std::string_view text) {
  const std::string wanted = lower(text);
  const auto parts = without_empty(split(wanted, " \t\n\v\f\r"));
  if (parts.size() != 5)
    return fail(Code::InvalidArgument,
                fmt::format("syntax: {} fields instead of 5 in \"{}\"", parts.size(), text));
  TRY(const RobfigBits minute, robfig_field(kMinute, parts[0]));
  TRY(const RobfigBits hour, robfig_field(kHour, parts[1]));
  TRY(const RobfigBits day, robfig_field(kDay, parts[2]));
  TRY(const RobfigBits month, robfig_field(kMonth, parts[3]));
  TRY(const RobfigBits weekday, robfig_field(kRobfigWeekday, parts[4]));
  CronFields fields;
  fields.minutes = minute.bits;
  fields.hours = hour.bits;
  fields.days = day.bits;
  fields.months = month.bits;
  fields.weekdays = weekday.bits;
  fields.both_days = day.star || weekday.star;
  fields.elapsed = parts[0].starts_with('*') || parts[1].starts_with('*');
  return fields;
}

}  // namespace jobmill
