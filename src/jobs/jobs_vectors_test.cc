// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <string_view>

#include <doctest/doctest.h>

#include "jobs/job.h"
#include "jobs/retry_policy.h"
#include "vectors.h"

namespace jobmill::jobs {

using testing::flag;
using testing::has;
using testing::member;
using testing::number;
using testing::text;

TEST_CASE("vectors: requestable transitions") {
  for (const Node& vector : testing::vectors("jobs/state_transitions.json")) {
    CAPTURE(text(vector, "id"));
    const auto from = job_state(text(vector, "from"));
    const auto to = job_state(text(vector, "to"));
    REQUIRE(from);
    REQUIRE(to);
    CHECK(transition_allowed(*from, *to) == flag(vector, "legal"));
  }
}

TEST_CASE("vectors: delays between retries") {
  constexpr std::array<std::string_view, 4> kOurs{"jobmill-default", "jobrunr-default",
                                                  "jobrunr-retries-2", "jobrunr-retries-0"};
  int found = 0;
  for (const Node& vector : testing::vectors("jobs/retry_backoff.json", "policies")) {
    const auto id = text(vector, "id");
    if (std::find(kOurs.begin(), kOurs.end(), id) == kOurs.end()) continue;
    CAPTURE(id);
    ++found;
    const auto& delays = member(vector, "delays_s").items;
    const int max_retries = static_cast<int>(delays.size());
    std::int64_t sum = 0;
    for (int n = 1; n <= max_retries; ++n) {
      const auto decision = decide_retry({}, {n, max_retries}, false);
      const auto seconds = delays[static_cast<std::size_t>(n - 1)].as_int().value();
      REQUIRE(decision.delay);
      CHECK(*decision.delay == std::chrono::seconds(seconds));
      sum += seconds;
    }
    CHECK_FALSE(decide_retry({}, {max_retries + 1, max_retries}, false).delay);
    if (has(vector, "max_retries")) CHECK(number(vector, "max_retries") == max_retries);
    if (has(vector, "sum_s")) CHECK(number(vector, "sum_s") == static_cast<double>(sum));
  }
  CHECK(found == kOurs.size());
}

TEST_CASE("vectors: what becomes of a job after a failure") {
  for (const Node& vector : testing::vectors("jobs/retry_backoff.json", "decisions")) {
    CAPTURE(text(vector, "id"));
    const std::string_view limit =
        has(vector, "per_job_override") ? "per_job_override" : "max_retries";
    const FailureCount count{static_cast<int>(number(vector, "failures")),
                             static_cast<int>(number(vector, limit))};
    const auto decision = decide_retry({}, count, flag(vector, "do_not_retry"));
    CHECK(text(vector, "result") == (decision.delay ? "SCHEDULED" : "FAILED"));
    if (!has(vector, "delay_s")) continue;
    REQUIRE(decision.delay);
    CHECK(std::chrono::duration<double>(*decision.delay).count() == number(vector, "delay_s"));
  }
}

}  // namespace jobmill::jobs
