// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/clock.h"
#include "base/time_zone.h"

namespace jobmill {

// As the zone's clocks show it, with how far they are from UTC: "2025-03-30 03:00:00 +02:00".
std::string format_local(const TimeZone& zone, TimePoint at);

// "+02:00"
std::string format_offset(std::chrono::seconds offset);

}  // namespace jobmill
