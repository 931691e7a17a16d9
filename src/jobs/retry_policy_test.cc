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

TEST_CASE("retry policy: base and factor may differ, and the cap comes before the jitter") {
  const RetryPolicy policy{.base = 500ms, .factor = 4, .cap = 10s};
  CHECK(policy.delay(1) == 500ms);
  CHECK(policy.delay(3) == 8s);
  CHECK(policy.delay(4) == 10s);
  const RetryPolicy shaken{.base = 1min, .factor = 1, .cap = 10s, .jitter = 0.5};
  CHECK(shaken.delay(1, 0) == 5s);
  CHECK(shaken.delay(1, 0.5) == 10s);
  CHECK(shaken.delay(1, 1) == 15s);
  CHECK(RetryPolicy{.base = 0s}.delay(9) == 0s);
}

TEST_CASE("retry policy: a list has exactly its delays") {
  const RetryPolicy policy{.delays = {5s, 7s}};
  CHECK(policy.retries() == 2);
  CHECK(policy.delay(1) == 5s);
  CHECK(policy.delay(2) == 7s);
  CHECK(policy.delay(3) == 7s);  // of crashes, which have a limit of their own
  CHECK_FALSE(RetryPolicy{}.retries());
}

TEST_CASE("retry policy: the job comes first, then the first rule that matches") {
  RetryRules rules;
  rules.retries = 4;
  rules.list = {{.kind = "mail", .error = "smtp.Refused", .never = true},
                {.error = "net.Timeout", .policy = RetryPolicy{.delays = {1s, 1s}}},
                {.kind = "mail", .policy = RetryPolicy::powers_of(2)},
                {.kind = "mail", .never = true}};

  const auto refused = choose_retry(rules, {}, "mail", "smtp.Refused");
  CHECK(refused.never);
  CHECK(refused.max_retries == 0);
  CHECK(choose_retry(rules, {}, "other", "net.Timeout").max_retries == 2);
  CHECK(choose_retry(rules, {}, "mail", "net.Timeout").max_retries == 2);
  const auto mail = choose_retry(rules, {}, "mail", "anything");
  CHECK_FALSE(mail.never);
  CHECK(mail.max_retries == 4);
  CHECK(mail.policy->delay(2) == 4s);
  CHECK(choose_retry(rules, {}, "mail").policy->delay(2) == 4s);  // before any failure

  const auto other = choose_retry(rules, {}, "other", "anything");
  CHECK(other.max_retries == 4);
  CHECK(other.policy->delay(2) == 9s);

  const OwnRetry own{.retries = {}, .policy = RetryPolicy{.delays = {5s}}};
  CHECK(choose_retry(rules, own, "mail", "smtp.Refused").max_retries == 1);
  CHECK_FALSE(choose_retry(rules, own, "mail", "smtp.Refused").never);
  const auto counted = choose_retry(rules, {.retries = 7, .policy = {}}, "mail", "smtp.Refused");
  CHECK(counted.max_retries == 7);
  CHECK_FALSE(counted.never);
  CHECK(counted.policy->delay(2) == 9s);
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
