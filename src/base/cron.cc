// SPDX-License-Identifier: Apache-2.0
#include "base/cron.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>

#include "base/robfig.h"

namespace jobmill {
namespace {

using std::chrono::sys_seconds;

constexpr std::chrono::years kHorizon(40);
const TimePoint kFirst = std::chrono::sys_days(std::chrono::year(0) / 1 / 1);
const TimePoint kLast = std::chrono::sys_days(std::chrono::year(9999) / 12 / 31);

// The first instant in [from, until) at which a clock with this offset shows a matching time.
std::optional<sys_seconds> shown_in(const CronFields& fields, std::chrono::seconds offset,
                                    sys_seconds from, sys_seconds until) {
  if (from >= until) return std::nullopt;
  const auto wall = fields.wall_from(LocalSeconds(from.time_since_epoch() + offset),
                                     LocalSeconds(until.time_since_epoch() + offset));
  if (!wall) return std::nullopt;
  return sys_seconds(wall->time_since_epoch() - offset);
}

// What the gap at the start of the period adds: its wall times are read off a clock that nobody
// put forward.
std::optional<sys_seconds> made_up_for(const CronFields& fields, const TimeZone::Period& period,
                                       sys_seconds from, sys_seconds until, DstPolicy policy) {
  const sys_seconds gap_end = period.begin + period.gap();
  if (policy == DstPolicy::JavaShift)
    return shown_in(fields, period.offset_before, from, std::min(gap_end, until));
  if (from > period.begin) return std::nullopt;
  // However many runs the gap swallowed, they come as one.
  if (!shown_in(fields, period.offset_before, period.begin, gap_end)) return std::nullopt;
  return period.begin;
}

std::optional<sys_seconds> earlier(std::optional<sys_seconds> a, std::optional<sys_seconds> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

// The first run in [from, until), which lies inside the period.
std::optional<sys_seconds> next_in(const CronFields& fields, const TimeZone::Period& period,
                                   sys_seconds from, sys_seconds until, DstPolicy policy) {
  const bool elapsed = policy == DstPolicy::RealTime && fields.elapsed;
  if (elapsed) return shown_in(fields, period.offset, from, until);

  const sys_seconds second_pass_end = period.begin + period.overlap();
  const auto shown = shown_in(fields, period.offset, std::max(from, second_pass_end), until);
  if (period.gap() <= std::chrono::seconds(0)) return shown;
  return earlier(shown, made_up_for(fields, period, from, until, policy));
}

std::optional<sys_seconds> next_run(const CronFields& fields, sys_seconds after,
                                    const TimeZone& zone, DstPolicy policy) {
  const sys_seconds horizon = after + kHorizon;
  for (sys_seconds from = after + std::chrono::seconds(1); from < horizon;) {
    const TimeZone::Period period = zone.period(from);
    const sys_seconds until = std::min(period.end, horizon);
    if (const auto run = next_in(fields, period, from, until, policy)) return run;
    from = until;
  }
  return std::nullopt;
}

struct PolicyName {
  DstPolicy policy;
  std::string_view name;
};
constexpr std::array kPolicies{
    PolicyName{DstPolicy::RealTime, "real-time"},
    PolicyName{DstPolicy::JavaShift, "java-shift"},
    PolicyName{DstPolicy::Robfig, "robfig"},
};

// "TZ=Asia/Tokyo 0 9 * * *" or "CRON_TZ=…": the zone, and what follows it.
struct Prefixed {
  std::optional<TimeZone> zone;
  std::string_view rest;
};

Result<Prefixed> split_zone(std::string_view text) {
  if (!text.starts_with("TZ=") && !text.starts_with("CRON_TZ=")) return Prefixed{{}, text};
  const auto begin = text.find('=') + 1;
  const auto end = text.find(' ');
  if (end == std::string_view::npos)
    return fail(Code::InvalidArgument, "syntax: no schedule after " + std::string(text));
  const auto zone = TimeZone::find(text.substr(begin, end - begin));
  if (!zone) return fail(Code::InvalidArgument, "syntax: " + zone.error().message);
  return Prefixed{*zone, text.substr(end)};
}

}  // namespace

std::string_view to_string(DstPolicy policy) {
  return kPolicies[static_cast<std::size_t>(policy)].name;
}

std::optional<DstPolicy> dst_policy(std::string_view text) {
  for (const PolicyName& known : kPolicies)
    if (known.name == text && known.policy != DstPolicy::Robfig) return known.policy;
  return std::nullopt;
}

Result<Cron> Cron::parse(std::string_view text) {
  TRY(CronFields fields, parse_cron_fields(text));
  return Cron(std::move(fields));
}

Result<Cron> Cron::parse_robfig(std::string_view text) {
  TRY(const Prefixed prefixed, split_zone(text));
  TRY(CronFields fields, parse_robfig_fields(prefixed.rest));
  return Cron(std::move(fields), prefixed.zone);
}

std::optional<TimePoint> Cron::next(TimePoint after, const TimeZone& zone, DstPolicy policy) const {
  if (after < kFirst || after > kLast) return std::nullopt;
  const auto second = std::chrono::floor<std::chrono::seconds>(after);
  const TimeZone& in = zone_ ? *zone_ : zone;
  if (policy == DstPolicy::Robfig) return next_robfig(fields_, second, in);
  return next_run(fields_, second, in, policy);
}

}  // namespace jobmill
