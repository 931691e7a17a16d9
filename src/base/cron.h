// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/cron_fields.h"
#include "base/result.h"
#include "base/time_zone.h"

namespace jobmill {

// What becomes of a run whose wall time is skipped or repeated when clocks change.
enum class DstPolicy {
  // The default. When minute or hour starts with `*`, time runs on: both passes of a repeated hour
  // fire, and a skipped hour is no time at all. A fixed time in a gap fires at the first instant
  // after it, and in an overlap once, on the first pass.
  RealTime,
  // A time in a gap moves forward by the length of the gap (02:30 becomes 03:30); all schedules
  // are silent in the second pass of a repeated hour.
  JavaShift,
  // A fixed time in a gap is skipped that day, and fires twice in an overlap. For KEDA's cron
  // trigger only.
  Robfig,
};

std::string_view to_string(DstPolicy policy);                // "real-time"
std::optional<DstPolicy> dst_policy(std::string_view text);  // real-time | java-shift

// A parsed cron expression. Immutable; safe to share between threads.
class Cron {
 public:
  // Five fields (minute hour day month weekday) or six (seconds first), or a macro such as
  // "@daily". docs/schedules.md describes the dialect. InvalidArgument for anything else, and for
  // dates that never come, such as the 30th of February.
  static Result<Cron> parse(std::string_view text);

  // The dialect of KEDA's cron trigger: five fields, no L, W, # or macros, weekday 0-6, and an
  // optional "TZ=zone " in front, which wins over the zone given to next(). A schedule that never
  // fires is accepted. The message begins with the class of the error, "range: " or "syntax: ".
  static Result<Cron> parse_robfig(std::string_view text);

  // The first run strictly later than `after`; none within 40 years (Robfig: 5): nothing.
  std::optional<TimePoint> next(TimePoint after, const TimeZone& zone,
                                DstPolicy policy = DstPolicy::RealTime) const;

 private:
  explicit Cron(CronFields fields, std::optional<TimeZone> zone = std::nullopt)
      : fields_(std::move(fields)), zone_(zone) {}

  CronFields fields_;
  std::optional<TimeZone> zone_;  // of a "TZ=" prefix
};

}  // namespace jobmill
