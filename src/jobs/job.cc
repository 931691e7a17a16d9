// SPDX-License-Identifier: Apache-2.0
#include "jobs/job.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace jobmill::jobs {
namespace {

constexpr std::array<std::string_view, 8> kNames{"AWAITING",  "SCHEDULED", "ENQUEUED", "PROCESSING",
                                                 "PROCESSED", "SUCCEEDED", "FAILED",   "DELETED"};

using enum JobState;

struct Allowed {
  JobState from;
  std::array<JobState, 6> to;
  std::size_t size;
};

// Nothing can be asked of a PROCESSED job but to end; it waits for what happens outside.
constexpr std::array kAllowed{
    Allowed{Awaiting, {Awaiting, Scheduled, Enqueued, Deleted}, 4},
    Allowed{Scheduled, {Awaiting, Scheduled, Enqueued, Failed, Succeeded, Deleted}, 6},
    Allowed{Enqueued, {Awaiting, Scheduled, Processing, Failed, Succeeded, Deleted}, 6},
    Allowed{Processing, {Failed, Succeeded, Deleted}, 3},
    Allowed{Processed, {Failed, Succeeded, Deleted}, 3},
    Allowed{Failed, {Scheduled, Enqueued, Deleted}, 3},
    Allowed{Succeeded, {Scheduled, Enqueued, Deleted}, 3},
    Allowed{Deleted, {Scheduled, Enqueued}, 2},
};

bool same_letters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::toupper(static_cast<unsigned char>(x)) ==
           std::toupper(static_cast<unsigned char>(y));
  });
}

}  // namespace

std::string_view to_string(JobState state) { return kNames[static_cast<std::size_t>(state)]; }

std::optional<JobState> job_state(std::string_view text) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (same_letters(text, kNames[i])) return static_cast<JobState>(i);
  }
  return std::nullopt;
}

bool transition_allowed(JobState from, JobState to) {
  const Allowed& row = kAllowed[static_cast<std::size_t>(from)];
  return std::find(row.to.begin(), row.to.begin() + static_cast<std::ptrdiff_t>(row.size), to) !=
         row.to.begin() + static_cast<std::ptrdiff_t>(row.size);
}

int max_attempts_of(const RetryRules& rules, const JobSpec& spec) {
  return choose_retry(rules, {spec.retries, spec.extra.retry}, spec.kind).max_retries + 1;
}

int Progress::percent() const {
  if (total <= 0) return 100;
  return static_cast<int>(100.0 * static_cast<double>(std::clamp<std::int64_t>(done, 0, total)) /
                          static_cast<double>(total));
}

}  // namespace jobmill::jobs
