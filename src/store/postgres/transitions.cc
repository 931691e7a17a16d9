// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/transitions.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/utf8.h"
#include "jobs/job_explorer.h"
#include "store/job_events.h"

namespace jobmill::postgres {
namespace {

using jobs::JobState;

Move to(JobRow row, JobState state, std::string event) {
  Move move{.row = std::move(row), .steps = {}};
  move.steps.push_back({state, std::move(event)});
  return move;
}

void run_again(Move& move, Duration delay, std::string_view reason, TimePoint now) {
  if (delay <= Duration::zero()) {
    move.steps.push_back({JobState::Enqueued, store::reason_event(reason)});
    return;
  }
  move.run_at = now + delay;
  move.steps.push_back({JobState::Scheduled, store::scheduled_event(*move.run_at, reason)});
}

// What is searched and grouped by is not the whole of it: an index has limits.
constexpr std::size_t kIndexedBytes = 500;
constexpr std::size_t kMessageBytes = 16u << 10;

// As the database can hold it: workers send what they have.
std::string storable(std::string_view text, std::size_t bytes) {
  std::string kept(store::shortened(text, bytes));
  std::ranges::replace(kept, '\0', ' ');
  if (is_utf8(kept)) return kept;
  std::ranges::replace_if(
      kept, [](char c) { return (c & 0x80) != 0; }, '?');
  return kept;
}

FailureNote note_of(std::string_view type, std::string_view stack, std::string_view message) {
  return {.fingerprint = jobs::fingerprint_of(type, stack, message),
          .type = storable(type, kIndexedBytes),
          .frame = storable(jobs::top_frame(stack), kIndexedBytes),
          .message = storable(message, kMessageBytes),
          .quarantined = type == store::kCrashLimitType};
}

// Begins anew, as if it had never failed.
JobRow afresh(JobRow row) {
  row.attempt = row.failures = row.crashes = 0;
  return row;
}

}  // namespace

Move succeed(JobRow row, std::string result, TimePoint now) {
  Move move = to(std::move(row), JobState::Succeeded, "");
  move.result = std::move(result);
  if (const auto& ttl = move.row.extra.result_ttl) move.until = now + *ttl;
  return move;
}

Move requeue(JobRow row, std::string_view reason) {
  return to(afresh(std::move(row)), JobState::Enqueued,
            store::reason_event(reason.empty() ? "requeued" : reason));
}

Move reschedule(JobRow row, TimePoint run_at, std::string_view reason, TimePoint now) {
  if (row.state == JobState::Failed) row = afresh(std::move(row));
  Move move{.row = std::move(row), .steps = {}};
  run_again(move, run_at - now, reason.empty() ? "rescheduled" : reason, now);
  return move;
}

Move remove(JobRow row, std::string_view reason) {
  return to(std::move(row), JobState::Deleted,
            store::reason_event(reason.empty() ? "deleted by request" : reason));
}

Move release(JobRow row, std::string_view reason) {
  row.attempt = row.failures;
  const std::string text =
      reason.empty() ? std::string("released") : "released: " + std::string(reason);
  return to(std::move(row), JobState::Enqueued, store::reason_event(text));
}

Move snooze(JobRow row, Duration after, TimePoint now) {
  row.attempt = row.failures;
  Move move{.row = std::move(row), .steps = {}};
  run_again(move, after, "snoozed", now);
  return move;
}

Move fail_attempt(JobRow row, const jobs::Failure& failure, const RetryContext& context,
                  TimePoint now) {
  const jobs::OwnRetry own{row.retries, row.extra.retry};
  const auto choice = jobs::choose_retry(context.rules, own, context.kind, failure.type);
  const bool never = choice.never || failure.retry == jobs::RetryRule::Never;
  if (!choice.never) row.max_attempts = choice.max_retries + 1;
  row.failures += 1;
  const auto after =
      failure.retry == jobs::RetryRule::After ? std::optional(failure.after) : std::nullopt;
  const jobs::RetryDecision retry = jobs::decide_retry(
      *choice.policy, {row.failures, choice.max_retries}, never, after, context.unit);
  std::string event = store::failed_event(failure, row.attempt, row.max_attempts, never);
  Move move = to(std::move(row), JobState::Failed, std::move(event));
  move.failure = note_of(failure.type, failure.stack, failure.message);
  if (retry.delay) run_again(move, *retry.delay, retry.reason, now);
  return move;
}

Move crash(JobRow row, const jobs::Crash& how, const RetryContext& context, TimePoint now) {
  row.crashes += 1;
  row.attempt = row.failures;
  const auto delay = jobs::crash_delay(context.rules.policy, row.crashes, row.max_crashes);
  if (!delay) {
    std::string event = store::crash_limit_event(how, row.crashes);
    Move move = to(std::move(row), JobState::Failed, std::move(event));
    move.crashed = true;
    move.failure = note_of(store::kCrashLimitType, {}, store::crash_text(how));
    return move;
  }
  const std::string reason = store::crash_reason(how, row.crashes, row.max_crashes);
  Move move{.row = std::move(row), .steps = {}, .crashed = true};
  run_again(move, *delay, reason, now);
  return move;
}

}  // namespace jobmill::postgres
