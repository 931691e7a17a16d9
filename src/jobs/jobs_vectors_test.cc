// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "base/duration.h"
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

TEST_CASE("vectors: a list of delays") {
  int found = 0;
  for (const Node& vector : testing::vectors("jobs/retry_backoff.json", "policies")) {
    if (!has(vector, "config")) continue;
    CAPTURE(text(vector, "id"));
    ++found;
    RetryPolicy policy;
    for (const Node& delay : member(vector, "delays_s").items)
      policy.delays.push_back(std::chrono::seconds(delay.as_int().value()));
    std::string written;
    for (const Duration delay : policy.delays)
      written += (written.empty() ? "" : ",") + seconds_json(delay);
    CHECK(written == text(vector, "config"));

    const OwnRetry own{.retries = {}, .policy = policy};
    const RetryChoice choice = choose_retry({}, own, "any");
    CHECK(choice.max_retries == number(vector, "max_retries"));
    for (int n = 1; n <= choice.max_retries; ++n) {
      const auto decision = decide_retry(*choice.policy, {n, choice.max_retries}, false);
      CHECK(decision.delay == policy.delays[static_cast<std::size_t>(n - 1)]);
    }
    const FailureCount after_all{choice.max_retries + 1, choice.max_retries};
    CHECK_FALSE(decide_retry(*choice.policy, after_all, false).delay);
  }
  CHECK(found == 1);
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
