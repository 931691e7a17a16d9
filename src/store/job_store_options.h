// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "jobs/retry_policy.h"

namespace jobmill::store {

// What both databases are told.
struct JobStoreOptions {
  Duration lease = std::chrono::seconds(30);         // of a worker, renewed by each beat
  Duration beat = std::chrono::seconds(10);          // how often a worker shall beat
  Duration keep_succeeded = std::chrono::hours(36);  // SUCCEEDED -> DELETED
  Duration keep_deleted = std::chrono::hours(72);    // DELETED -> gone
  jobs::RetryRules retry;
  Duration keep_keys = std::chrono::hours(24);     // of requests, after their first job has ended
  Duration stop_grace = std::chrono::seconds(25);  // for an attempt that was told its time is up
  std::vector<std::string> queues;                 // their strict order; others follow by name
  Duration min_recurring_period = std::chrono::seconds(1);
  int page = 1000;  // rows of one maintenance transaction
};

}  // namespace jobmill::store
