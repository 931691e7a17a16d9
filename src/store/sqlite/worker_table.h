// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "store/sqlite/job_memory.h"
#include "store/sqlite/sqlite.h"

namespace jobmill::sqlite {

// Registered workers, so that they outlive a restart of the server. Only inside a work of the
// commit queue.
class WorkerTable {
 public:
  WorkerTable(Database& db, JobMemory& memory) : db_(db), memory_(memory) {}

  // Reads the memory anew: workers that it did not know count as seen just now.
  Status load(TimePoint now);

  Status insert(const jobs::Worker& worker);
  Status set_state(std::string_view id, jobs::WorkerState state,
                   std::optional<TimePoint> drain_until);
  Status remove(std::string_view id);

 private:
  Database& db_;
  JobMemory& memory_;
};

}  // namespace jobmill::sqlite
