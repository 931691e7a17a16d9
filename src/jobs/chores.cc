// SPDX-License-Identifier: Apache-2.0
#include "jobs/chores.h"

#include <algorithm>
#include <array>

namespace jobmill::jobs {
namespace {

struct Chore {
  std::string_view name;
  Result<std::int64_t> (JobStoreOwner::*run)(TimePoint);
};

// In this order: a recurring run that may not start must be gone before due jobs are enqueued, and
// what lost workers held, or what took too long, may be due at once.
constexpr std::array kChores{
    Chore{"plan recurring jobs", &JobStoreOwner::plan_recurring},
    Chore{"rescue", &JobStoreOwner::rescue},
    Chore{"time limits", &JobStoreOwner::time_out},
    Chore{"enqueue due jobs", &JobStoreOwner::promote_due},
    Chore{"retention", &JobStoreOwner::expire},
};

constexpr Duration kRetryAfter = std::chrono::seconds(1);

}  // namespace

std::optional<TimePoint> Chores::run(JobStoreOwner& store, TimePoint now) {
  bool failed = false;
  const auto check = [&](std::string_view chore, const auto& result) {
    if (result) return;
    failed = true;
    if (complaint_) complaint_(chore, result.error());
  };
  for (const Chore& chore : kChores) check(chore.name, (store.*chore.run)(now));

  const auto next = store.next_chore(now);
  check("look ahead", next);
  if (failed) return now + kRetryAfter;  // also when the failed one is still due, or it would spin
  return *next;
}

}  // namespace jobmill::jobs
