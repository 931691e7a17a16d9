// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/cron.h"
#include "base/result.h"
#include "base/time_zone.h"
#include "scale/scaler.h"
#include "scalers/parameters.h"

namespace jobmill::scalers {

struct ScalerContext;

// The trigger `cron`: a number of replicas between the runs of two schedules.
// docs/triggers/cron.md is its page.

// One of the two schedules, in the dialect of KEDA's cron trigger.
class CronEdge {
 public:
  // `wall` is what clocks showed, or would have shown had they not been put forward just then.
  struct Run {
    TimePoint at;
    TimePoint wall;
  };

  static Result<CronEdge> parse(std::string_view text);

  // The first run strictly after `now`. As KEDA has it, with one difference: a fixed time that is
  // skipped when clocks are put forward runs at the first instant after the gap.
  std::optional<Run> next(TimePoint now, const TimeZone& zone) const;

 private:
  CronEdge(Cron cron, std::optional<TimeZone> own_zone) : cron_(cron), own_zone_(own_zone) {}

  Cron cron_;
  std::optional<TimeZone> own_zone_;  // of a "TZ=" prefix; it wins
};

struct CronTrigger {
  scale::MetricSpec metric;
  std::string timezone;  // looked up at each read
  std::optional<CronEdge> start, end;
  std::int64_t desired_replicas = 0;
};

std::span<const Parameter> cron_parameters();
CronTrigger decode_cron(Parameters& parameters);
Result<CronTrigger> parse_cron(const scale::TriggerSpec& spec);

struct CronActivity {
  bool active = false;
  std::optional<TimePoint> next_start, next_end;
};

// Active from a start until the next end: when the next end comes no later than the next start.
// What never ends or never starts is never active.
Result<CronActivity> cron_activity(const CronTrigger& trigger, TimePoint now);

Result<std::unique_ptr<scale::Scaler>> make_cron(const scale::TriggerSpec& spec,
                                                 const ScalerContext& context);

}  // namespace jobmill::scalers
