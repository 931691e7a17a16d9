// SPDX-License-Identifier: Apache-2.0
#include "base/time_or_ago.h"

#include <string>

#include "base/duration.h"

namespace jobmill {

Result<TimePoint> time_or_ago(std::string_view text, TimePoint now) {
  if (const auto at = parse_instant(text)) return *at;
  if (const auto ago = parse_duration(text)) return now - *ago;
  return fail(Code::InvalidArgument,
              "expected a time such as 2026-01-31T10:00:00Z, or how long ago (30m), not '" +
                  std::string(text) + "'");
}

}  // namespace jobmill
