// SPDX-License-Identifier: Apache-2.0
#include "k8s/rate_limit.h"

#include <doctest/doctest.h>

using namespace std::chrono_literals;

namespace jobmill::k8s {

TEST_CASE("rate limit: a burst, then so many a second") {
  ManualClock clock;
  RateLimit limit(20, 3);
  for (int i = 0; i < 3; ++i) CHECK_FALSE(limit.take(clock.now()));
  CHECK(limit.take(clock.now()) == 50ms);
  clock.advance(50ms);
  CHECK_FALSE(limit.take(clock.now()));
  CHECK(limit.take(clock.now()) == 50ms);
  clock.advance(1h);
  for (int i = 0; i < 3; ++i) CHECK_FALSE(limit.take(clock.now()));
  CHECK(limit.take(clock.now()));
}

TEST_CASE("rate limit: a clock that goes back gives nothing and takes nothing") {
  ManualClock clock;
  RateLimit limit(1, 1);
  CHECK_FALSE(limit.take(clock.now()));
  clock.set(clock.now() - 1h);
  CHECK(limit.take(clock.now()) == 1s);
  clock.advance(1s);
  CHECK_FALSE(limit.take(clock.now()));
}

}  // namespace jobmill::k8s
