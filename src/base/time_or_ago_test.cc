// SPDX-License-Identifier: Apache-2.0
#include "base/time_or_ago.h"

#include <doctest/doctest.h>

#include "base/duration.h"

namespace jobmill {
namespace {

TEST_CASE("a time is an instant, or how long ago it was") {
  const TimePoint now = *parse_instant("2026-01-31T10:00:00Z");
  CHECK(*time_or_ago("2026-01-31T09:00:00Z", now) == now - std::chrono::hours(1));
  CHECK(*time_or_ago("10m", now) == now - std::chrono::minutes(10));
  CHECK(*time_or_ago("PT1H", now) == now - std::chrono::hours(1));
  CHECK(*time_or_ago("0s", now) == now);
  for (const char* wrong : {"", "yesterday", "-5m", "2026-01-31"}) {
    CAPTURE(wrong);
    const auto read = time_or_ago(wrong, now);
    REQUIRE_FALSE(read);
    CHECK(read.error().message.find("how long ago") != std::string::npos);
  }
}

}  // namespace
}  // namespace jobmill
