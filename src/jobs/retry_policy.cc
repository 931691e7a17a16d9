// SPDX-License-Identifier: Apache-2.0
#include "jobs/retry_policy.h"

#include <algorithm>
#include <cmath>

#include <fmt/core.h>

namespace jobmill::jobs {
namespace {

Fault wrong(std::string_view field, std::string_view reason) {
  return fail(Code::InvalidArgument, fmt::format("{}: {}", field, reason));
}

bool matches(const RetryRuleFor& rule, std::string_view kind, std::string_view error) {
  return (rule.kind.empty() || rule.kind == kind) && (rule.error.empty() || rule.error == error);
}

// base·factor^(n−1), or the cap as soon as it would pass it or overflow.
Duration grown(const RetryPolicy& policy, int n) {
  const std::int64_t factor = std::max<std::int64_t>(policy.factor, 1);
  std::int64_t micros = policy.base.count();
  if (factor == 1 || micros <= 0) n = 1;  // no power differs
  for (int i = 1; i < n; ++i) {
    if (micros > policy.cap.count() / factor) return policy.cap;
    micros *= factor;
  }
  return std::min(policy.cap, Duration(micros));
}

}  // namespace

Duration RetryPolicy::delay(int n, double unit) const {
  Duration delay{};
  if (delays.empty()) {
    delay = grown(*this, n);
  } else {
    const auto last = delays.size() - 1;
    delay = delays[std::min(static_cast<std::size_t>(std::max(n, 1) - 1), last)];
  }
  if (jitter == 0) return delay;
  const double share = 1 + jitter * (2 * unit - 1);
  return Duration(std::llround(static_cast<double>(delay.count()) * share));
}

std::optional<int> RetryPolicy::retries() const {
  return delays.empty() ? std::nullopt : std::optional(static_cast<int>(delays.size()));
}

Status check(const RetryPolicy& policy) {
  const auto negative = [](Duration delay) { return delay < Duration::zero(); };
  if (policy.delays.size() > kMostRetries) return wrong("delays", "more than 1000");
  if (std::ranges::any_of(policy.delays, negative)) return wrong("delays", "must not be negative");
  if (negative(policy.base)) return wrong("base", "must not be negative");
  if (policy.factor < 1) return wrong("factor", "must be 1 or more");
  if (negative(policy.cap)) return wrong("cap", "must not be negative");
  if (!(policy.jitter >= 0 && policy.jitter <= 1)) return wrong("jitter", "must be 0 to 1");
  return {};
}

RetryChoice choose_retry(const RetryRules& rules, const OwnRetry& own, std::string_view kind,
                         std::string_view error) {
  const int usual = own.retries.value_or(rules.retries);
  if (own.policy) return {&*own.policy, own.policy->retries().value_or(usual)};
  if (own.retries) return {&rules.policy, usual};
  for (const RetryRuleFor& rule : rules.list) {
    if (!matches(rule, kind, error)) continue;
    const RetryPolicy& policy = rule.policy ? *rule.policy : rules.policy;
    return {&policy, rule.never ? 0 : policy.retries().value_or(usual), rule.never};
  }
  return {&rules.policy, rules.policy.retries().value_or(usual)};
}

RetryDecision decide_retry(const RetryPolicy& policy, FailureCount count, bool do_not_retry,
                           std::optional<Duration> after, double unit) {
  if (do_not_retry || count.failures > count.max_retries) return {};
  return {.delay = after ? *after : policy.delay(count.failures, unit),
          .reason = fmt::format("Retry {} of {}", count.failures, count.max_retries)};
}

std::optional<Duration> crash_delay(const RetryPolicy& policy, int crashes, int max_crashes) {
  if (crashes >= max_crashes) return std::nullopt;
  return crashes <= 1 ? Duration::zero() : policy.delay(crashes - 1);
}

}  // namespace jobmill::jobs
