// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace jobmill {

// What people write for a time that was: an instant ("2026-01-31T10:00:00Z"), or how long ago it
// was, as parse_duration reads it ("10m").
Result<TimePoint> time_or_ago(std::string_view text, TimePoint now);

}  // namespace jobmill
