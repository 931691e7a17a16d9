// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>

#include "base/cron_fields.h"
#include "base/time_zone.h"

namespace jobmill {

// The next run as robfig/cron 3.0.1, and so KEDA, computes it: by stepping a wall clock. Where
// clocks change by half an hour its steps miss runs; autoscaling that follows KEDA must miss the
// same ones. Looks five years ahead.
std::optional<std::chrono::sys_seconds> next_robfig(const CronFields& fields,
                                                    std::chrono::sys_seconds after,
                                                    const TimeZone& zone);

}  // namespace jobmill
