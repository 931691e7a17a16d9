// SPDX-License-Identifier: Apache-2.0
#include "base/schedule.h"

#include <algorithm>
#include <limits>

namespace jobmill {
namespace {

// Nanoseconds of what 64 bits of seconds and of microseconds can hold.
__extension__ using Wide = __int128;

Wide nanos(const IsoDuration& duration) {
  return Wide(duration.seconds) * 1'000'000'000 + duration.nanos;
}

Fault not_a_schedule(std::string_view text, const std::string& why) {
  return fail(Code::InvalidArgument, "schedule \"" + std::string(text) + "\": " + why);
}

struct Parts {
  std::string_view timing;
  std::optional<std::string_view> margin;  // between the brackets
};

std::optional<Parts> split_margin(std::string_view text) {
  const auto open = text.find('[');
  if (open == std::string_view::npos) return Parts{text, std::nullopt};
  const std::string_view timing = text.substr(0, open);
  const std::string_view rest = text.substr(open + 1);
  if (!timing.ends_with(' ') || rest.find(']') + 1 != rest.size()) return std::nullopt;
  return Parts{timing.substr(0, timing.find_last_not_of(' ') + 1), rest.substr(0, rest.size() - 1)};
}

Result<Schedule::Margin> parse_margin(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos)
    return fail(Code::InvalidArgument, "a margin is [before/after]");
  TRY(const IsoDuration before, parse_iso_duration(text.substr(0, slash)));
  TRY(const IsoDuration after, parse_iso_duration(text.substr(slash + 1)));
  if (before.negative() || after.negative())
    return fail(Code::InvalidArgument, "a margin is not negative");
  return Schedule::Margin{before, after};
}

bool looks_like_interval(std::string_view text) {
  const auto first = text.find_first_not_of("+-");
  return first != std::string_view::npos && (text[first] == 'P' || text[first] == 'p');
}

Result<std::variant<Cron, IsoDuration>> parse_timing(std::string_view text) {
  using Timing = std::variant<Cron, IsoDuration>;
  if (!looks_like_interval(text)) {
    TRY(Cron cron, Cron::parse(text));
    return Timing(std::move(cron));
  }
  TRY(const IsoDuration interval, parse_iso_duration(text));
  if (nanos(interval) <= 0) return fail(Code::InvalidArgument, "an interval is longer than zero");
  return Timing(interval);
}

}  // namespace

std::optional<TimePoint> next_of_interval(const IsoDuration& interval, TimePoint created,
                                          TimePoint after) {
  const Wide step = nanos(interval);
  const Wide start = Wide(created.time_since_epoch().count()) * 1000;
  const Wide passed = std::max<Wide>(0, Wide(after.time_since_epoch().count()) * 1000 - start);
  const Wide next = start + step * (passed / step + 1);
  // Up to the next microsecond: rounding down could give `after` again.
  const Wide micros = next / 1000 + (next % 1000 > 0 ? 1 : 0);
  if (micros > std::numeric_limits<Duration::rep>::max()) return std::nullopt;
  return TimePoint(Duration(static_cast<Duration::rep>(micros)));
}

Result<Schedule> Schedule::parse(std::string_view text) {
  const auto parts = split_margin(text);
  if (!parts) return not_a_schedule(text, "a margin stands at the end, as [before/after]");
  auto timing = parse_timing(parts->timing);
  if (!timing) return not_a_schedule(text, timing.error().message);

  Schedule schedule(*std::move(timing));
  schedule.canonical_ = parts->timing;
  if (parts->margin) {
    const auto margin = parse_margin(*parts->margin);
    if (!margin) return not_a_schedule(text, margin.error().message);
    schedule.margin_ = *margin;
    schedule.canonical_ +=
        " [" + jobmill::canonical(margin->before) + "/" + jobmill::canonical(margin->after) + "]";
  }
  return schedule;
}

std::optional<TimePoint> Schedule::next(TimePoint created, TimePoint after, const TimeZone& zone,
                                        DstPolicy policy) const {
  if (const Cron* cron = std::get_if<Cron>(&timing_)) return cron->next(after, zone, policy);
  return next_of_interval(std::get<IsoDuration>(timing_), created, after);
}

}  // namespace jobmill
