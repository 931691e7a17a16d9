// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace jobmill::jobs {

inline constexpr int kDefaultRetries = 10;
inline constexpr int kMostRetries = 1000;

// How long to wait before the n-th retry: either exactly the delays of a list, whose length is then
// the number of retries, or min(cap, base·factor^(n−1)) · (1 ± jitter), in integers up to the cap.
struct RetryPolicy {
  std::vector<Duration> delays{};
  Duration base = std::chrono::seconds(3);
  std::int64_t factor = 3;
  Duration cap = std::chrono::hours(24);
  double jitter = 0;  // 0..1: the share by which a delay may be shorter or longer

  // `unit` is a random number of [0, 1); the one in the middle means no jitter.
  Duration delay(int n, double unit = 0.5) const;

  // How many retries it means by itself; none: as many as the job or the server has.
  std::optional<int> retries() const;

  // 2 → 2, 4, 8 …
  static RetryPolicy powers_of(std::int64_t base) {
    return {.base = std::chrono::seconds(base), .factor = base};
  }

  bool operator==(const RetryPolicy&) const = default;
};

// InvalidArgument with the message "<field>: <reason>" when it makes no sense.
Status check(const RetryPolicy& policy);

// The server's word on failures of one kind, of one type of error, or of both. Empty: any.
struct RetryRuleFor {
  std::string kind{};
  std::string error{};  // the type, as the handler named it
  std::optional<RetryPolicy> policy{};
  bool never = false;

  bool operator==(const RetryRuleFor&) const = default;
};

// What decides about retries: what the job says of itself, then the first rule that matches, then
// the server's default.
struct RetryRules {
  std::vector<RetryRuleFor> list{};  // in this order
  RetryPolicy policy{};
  int retries = kDefaultRetries;
};

// What a job says of itself.
struct OwnRetry {
  std::optional<int> retries{};
  std::optional<RetryPolicy> policy{};
};

struct RetryChoice {
  const RetryPolicy* policy = nullptr;  // never null; of the rules or of the job
  int max_retries = kDefaultRetries;
  bool never = false;
};

// `error` empty: before there was any failure, so rules that name one do not match.
RetryChoice choose_retry(const RetryRules& rules, const OwnRetry& own, std::string_view kind,
                         std::string_view error = {});

// What becomes of a job after a failure.
struct RetryDecision {
  std::optional<Duration> delay;  // none: it stays FAILED until somebody acts on it
  std::string reason;             // "Retry 1 of 10"
};

struct FailureCount {
  int failures = 1;  // this one included
  int max_retries = 0;
};

// `after`: the handler itself named the delay; the limit holds all the same.
RetryDecision decide_retry(const RetryPolicy& policy, FailureCount count, bool do_not_retry,
                           std::optional<Duration> after = std::nullopt, double unit = 0.5);

// Crashes are counted apart and have a limit of their own. The first one returns the job at once,
// the n-th waits for the (n-1)-th delay of the policy. None: the limit is reached.
std::optional<Duration> crash_delay(const RetryPolicy& policy, int crashes, int max_crashes);

}  // namespace jobmill::jobs
