// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/clock.h"
#include "base/cron.h"
#include "base/duration.h"
#include "base/result.h"
#include "base/time_zone.h"

namespace jobmill {

// created + interval * n, the first one strictly later than `after` (and never `created` itself).
// `interval` must be positive. Nothing when that lies beyond what TimePoint can hold.
std::optional<TimePoint> next_of_interval(const IsoDuration& interval, TimePoint created,
                                          TimePoint after);

// When a recurring job runs: a cron expression, or an ISO 8601 interval counted from the job's
// creation; either may carry a margin, "0 16 * * * [PT1H/PT4H]".
class Schedule {
 public:
  enum class Kind { Cron, Interval };

  // How much earlier and later than planned a run may be.
  struct Margin {
    IsoDuration before;
    IsoDuration after;
  };

  static Result<Schedule> parse(std::string_view text);

  Kind kind() const { return timing_.index() == 0 ? Kind::Cron : Kind::Interval; }
  // As it was written, the margin in hours, minutes and seconds.
  const std::string& canonical() const { return canonical_; }
  const std::optional<Margin>& margin() const { return margin_; }

  // The first run strictly later than `after`. `created` anchors an interval; the zone and the
  // policy matter to a cron expression only.
  std::optional<TimePoint> next(TimePoint created, TimePoint after, const TimeZone& zone,
                                DstPolicy policy = DstPolicy::RealTime) const;

 private:
  explicit Schedule(std::variant<Cron, IsoDuration> timing) : timing_(std::move(timing)) {}

  std::variant<Cron, IsoDuration> timing_;
  std::optional<Margin> margin_;
  std::string canonical_;
};

}  // namespace jobmill
