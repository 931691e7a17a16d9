// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job_store.h"
#include "jobs/retry_policy.h"
#include "store/sqlite/sqlite_file.h"

namespace jobmill::sqlite {

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

// Jobs in the control server's SQLite file. Everything that must survive is in the file; whether a
// worker lives is not: its beats stay in memory, and after a restart each registered worker has
// one lease from `now` on to say that it is still there, so running jobs outlive the server.
//
// Counters, and what is needed to see that there is nothing to do, are also kept in memory: an
// idle store runs no statement.
Result<std::unique_ptr<jobs::JobStoreOwner>> open_job_store(SqliteFile& file, TimePoint now,
                                                            JobStoreOptions options = {});

}  // namespace jobmill::sqlite
