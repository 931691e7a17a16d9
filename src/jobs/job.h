// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "jobs/extra.h"

namespace jobmill::jobs {

// AWAITING and PROCESSED belong to features that come later (limiters, batches, external jobs);
// the matrix of requestable transitions knows them already.
enum class JobState {
  Awaiting,
  Scheduled,
  Enqueued,
  Processing,
  Processed,
  Succeeded,
  Failed,
  Deleted
};

std::string_view to_string(JobState state);                // "ENQUEUED"
std::optional<JobState> job_state(std::string_view text);  // any case

// Whether a user may ask for this change (API, dashboard, filters). What the engine itself may do
// (release, crash, retry) is not in this table.
bool transition_allowed(JobState from, JobState to);

inline constexpr std::string_view kDefaultQueue = "default";
inline constexpr int kDefaultMaxCrashes = 3;
inline constexpr int kMaxPriority = 9;
inline constexpr std::size_t kMaxLabels = 3;
inline constexpr std::size_t kMaxLabelBytes = 45;
inline constexpr std::size_t kMaxPayloadBytes = 1u << 20;
inline constexpr std::size_t kMaxKindBytes = 255;
inline constexpr std::size_t kMaxQueueBytes = 128;
inline constexpr std::size_t kMaxIdBytes = 255;
inline constexpr std::int64_t kMaxCount = 1'000'000;  // jobs of one insert
inline constexpr std::size_t kMaxResultBytes = 256u << 10;
inline constexpr std::size_t kMaxKeyBytes = 255;  // of an idempotency key

// How far an attempt has come, as its handler says.
struct Progress {
  std::int64_t done = 0;
  std::int64_t total = 0;
  std::int64_t failed = 0;

  int percent() const;  // 0..100; of nothing it is 100

  bool operator==(const Progress&) const = default;
};

// What a producer asks for.
struct JobSpec {
  std::string id;  // empty: a new UUIDv7; no UUID: its UUIDv5 in our namespace
  std::string kind;
  int v = 1;                // version of the arguments
  std::string args = "[]";  // JSON: an array, or an object for the named form
  std::string name;         // shown to people; {0}, {1} are arguments, {meta.key} metadata
  std::string queue{kDefaultQueue};
  int priority = 0;                 // 0..9, higher first within its queue
  std::optional<TimePoint> run_at;  // in the future: SCHEDULED, else ENQUEUED
  std::optional<Duration> delay;    // the same, measured by the store's clock; excludes run_at
  std::vector<std::string> labels;  // at most 3, distinct, 45 characters each
  std::optional<int> retries;       // none: the server's default
  Extra extra{};                    // policy of retries, limits of time, trace …
  int max_crashes = kDefaultMaxCrashes;
  std::string meta;        // JSON object, or empty
  std::string created_by;  // who asked, for people
  // That many jobs, {i} in name, labels and string arguments being the index from 0; excludes id.
  // None: one job, and {i} is text like any other.
  std::optional<std::int64_t> count;
};

// How often it may run, as far as that is known before its first failure.
int max_attempts_of(const RetryRules& rules, const JobSpec& spec);

// A job as the store keeps it.
struct Job {
  std::string id;  // UUID text
  std::string kind;
  int v = 1;
  std::string args;  // JSON
  std::string name;
  std::string queue;
  int priority = 0;
  JobState state = JobState::Enqueued;
  int version = 1;                  // grows by one with each event
  std::optional<TimePoint> run_at;  // SCHEDULED only
  std::vector<std::string> labels;
  std::optional<int> retries;
  int attempt = 0;   // runs since the last manual requeue, without crashes and
                     // releases; at most max_attempts
  int failures = 0;  // since the last manual requeue; feeds the back-off
  int crashes = 0;
  int max_attempts = kDefaultRetries + 1;
  int max_crashes = kDefaultMaxCrashes;
  Extra extra{};
  std::optional<Progress> progress{};   // of its latest attempt that told some
  std::optional<TimePoint> deadline{};  // PROCESSING with a timeout: when it will be cancelled
  std::string recurring_id;             // empty: not made by a recurring job
  std::string meta;
  std::string created_by;
  TimePoint created_at{};
  TimePoint updated_at{};
};

// One line of a job's history. `data` is a JSON object with the fields of its state (reason,
// scheduledAt, serverId, message …), as docs/jobs.md lists them.
struct JobEvent {
  JobState state = JobState::Enqueued;
  TimePoint at{};
  std::string data = "{}";
};

}  // namespace jobmill::jobs
