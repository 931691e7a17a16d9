// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job_store.h"
#include "store/postgres/connection.h"

// The table of workers.
namespace jobmill::postgres {

// What does not change while a worker lives.
struct WorkerInfo {
  std::int32_t number = 0;
  jobs::WorkerSpec spec;
};

Result<std::int32_t> add_worker(Connection& connection, std::string_view id,
                                const jobs::WorkerSpec& spec);
Result<std::optional<WorkerInfo>> worker_info(Connection& connection, std::string_view id);

// Locks the row until the transaction ends. Nothing: there is none, or it is gone.
struct LockedWorker {
  std::int32_t number = 0;
  std::int32_t occupied = 0;
  TimePoint last_beat{};
};
Result<std::optional<LockedWorker>> lock_worker(Connection& connection, std::string_view id);
Status worker_gone(Connection& connection, std::int32_t number);
Result<bool> set_worker_state(Connection& connection, std::string_view id, jobs::WorkerState state,
                              std::optional<TimePoint> drain_until);

// A sign of life, and what has become of the jobs that the worker says it runs.
struct BeatRow {
  bool known = false;
  std::int32_t number = 0;
  std::int32_t occupied = 0;
  jobs::WorkerState state = jobs::WorkerState::Run;
  std::optional<TimePoint> drain_until;
  TimePoint now{};
  struct Job {
    bool held = false;
    bool deleted = false;
    bool timed_out = false;
    int attempt = 0;
    std::optional<TimePoint> deadline{};
  };
  std::vector<Job> jobs;  // as they were asked for
};
Result<BeatRow> beat_worker(Connection& connection, std::string_view id,
                            std::span<const std::string> jobs,
                            std::span<const std::int64_t> tokens);

Result<std::vector<jobs::Worker>> live_workers(Connection& connection, Duration lease);
// Those whose last sign of life is older than their lease.
Result<std::vector<std::string>> lost_workers(Connection& connection, Duration lease);
Status forget_workers(Connection& connection, Duration keep);  // those that are gone for long

}  // namespace jobmill::postgres
