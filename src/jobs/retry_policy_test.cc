// SPDX-License-Identifier: Apache-2.0
#include "jobs/retry_policy.h"

#include <limits>

#include <doctest/doctest.h>

namespace jobmill::jobs {

using namespace std::chrono_literals;

TEST_CASE("retry policy: delays stop growing at the cap and never overflow") {
  const RetryPolicy policy;
  CHECK(policy.delay(10) == 59049s);
  CHECK(policy.delay(11) == 24h);
  CHECK(policy.delay(64) == 24h);
  CHECK(policy.delay(std::numeric_limits<int>::max()) == 24h);
}

TEST_CASE("retry policy: another base changes the seed") {
  const RetryPolicy policy = RetryPolicy::powers_of(2);
  CHECK(policy.delay(1) == 2s);
  CHECK(policy.delay(5) == 32s);
  CHECK(RetryPolicy::powers_of(1).delay(1'000'000'000) == 1s);
}

TEST_CASE("retry policy: the handler's own delay obeys the limit of retries") {
  CHECK(decide_retry({}, {1, 3}, false, 5s).delay == Duration(5s));
  CHECK(decide_retry({}, {1, 3}, false, 5s).reason == "Retry 1 of 3");
  CHECK_FALSE(decide_retry({}, {4, 3}, false, 5s).delay);
  CHECK_FALSE(decide_retry({}, {1, 3}, true, 5s).delay);
}

TEST_CASE("retry policy: the first crash returns a job at once, later ones wait") {
  CHECK(crash_delay({}, 1, 4) == Duration::zero());
  CHECK(crash_delay({}, 2, 4) == Duration(3s));
  CHECK(crash_delay({}, 3, 4) == Duration(9s));
  CHECK_FALSE(crash_delay({}, 4, 4));
  CHECK_FALSE(crash_delay({}, 1, 1));
}

}  // namespace jobmill::jobs
