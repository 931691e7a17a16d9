// SPDX-License-Identifier: Apache-2.0
#include "executions/start_backoff.h"

#include <algorithm>

namespace jobmill::executions {
namespace {

Duration delay_after(const Backoff& backoff, int failures) {
  Duration delay = backoff.first;
  for (int i = 1; i < failures && delay < backoff.longest; ++i) delay *= 2;
  return std::min(delay, backoff.longest);
}

// What it was for and did not deal with: never taken, or given back.
std::int64_t left_behind(const Execution& execution) {
  const auto dealt_with = std::ranges::count_if(execution.messages, [](const TakenMessage& one) {
    return one.outcome == "completed" || one.outcome == "dead-lettered" ||
           one.outcome == "deferred" || one.outcome == "deleted";
  });
  return std::max<std::int64_t>(0, execution.reserves - dealt_with);
}

}  // namespace

void StartBackoff::ended(const Execution& execution, std::int64_t ready, TimePoint now) {
  if (execution.semantics != Semantics::Bound) return;
  const auto key = std::pair(execution.job, execution.rule);
  if (execution.status == ExecutionStatus::Succeeded) {
    if (const auto it = rules_.find(key); it != rules_.end()) it->second.failures = 0;
    return;
  }
  const std::int64_t messages = std::min(left_behind(execution), ready);
  if (execution.status != ExecutionStatus::Failed || messages == 0) return;
  Rule& rule = rules_[key];
  const Duration delay = delay_after(execution.started.options.backoff, ++rule.failures);
  if (delay > Duration::zero()) rule.holds.push_back({now + delay, messages});
}

void StartBackoff::forget(const JobKey& key) {
  std::erase_if(rules_, [&](const auto& entry) { return entry.first.first == key; });
}

std::int64_t StartBackoff::held(const JobKey& key, int rule, TimePoint now) const {
  const auto it = rules_.find({key, rule});
  if (it == rules_.end()) return 0;
  std::int64_t messages = 0;
  for (const Hold& hold : it->second.holds)
    if (hold.until > now) messages += hold.messages;
  return messages;
}

std::optional<std::pair<TimePoint, JobKey>> StartBackoff::next() const {
  std::optional<std::pair<TimePoint, JobKey>> soonest;
  for (const auto& [key, rule] : rules_)
    for (const Hold& hold : rule.holds)
      if (!soonest || hold.until < soonest->first) soonest = {hold.until, key.first};
  return soonest;
}

void StartBackoff::expire(TimePoint now) {
  for (auto& [key, rule] : rules_)
    std::erase_if(rule.holds, [now](const Hold& hold) { return hold.until <= now; });
  std::erase_if(rules_, [](const auto& entry) {
    return entry.second.failures == 0 && entry.second.holds.empty();
  });
}

}  // namespace jobmill::executions
