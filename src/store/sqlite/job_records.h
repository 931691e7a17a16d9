// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job_store.h"
#include "store/sqlite/job_memory.h"
#include "store/sqlite/sqlite.h"

namespace jobmill::sqlite {

// What jobs leave beside their rows: progress, lines, results, and the keys of the requests that
// made them. Only inside a work of the commit queue.
class JobRecords {
 public:
  JobRecords(Database& db, JobMemory& memory) : db_(db), memory_(memory) {}

  Status load();  // when the first result and the first key are due; into the memory

  // An attempt of a job.
  struct Attempt {
    std::int64_t seq = 0;
    int attempt = 0;
  };
  Status put_progress(const Attempt& of, const jobs::Progress& progress);
  Status append(const Attempt& of, std::span<const jobs::LogLine> lines, TimePoint now);
  // attempt 0: the one that wrote last.
  Result<jobs::JobLog> log(const Attempt& of, std::int64_t after);

  Status put_result(std::int64_t seq, std::string_view json, std::optional<TimePoint> expires);
  Result<std::optional<std::string>> result(std::int64_t seq);
  Result<std::int64_t> expire_results(TimePoint now);

  struct Key {
    std::string payload;
    std::string answer;
  };
  Result<std::optional<Key>> key(std::string_view key);
  Status put_key(std::string_view key, const Key& value, std::optional<std::int64_t> job,
                 TimePoint check_at);
  // Forgets keys whose job has ended `keep` ago, one page; answers how many it looked at.
  Result<std::int64_t> expire_keys(TimePoint now, Duration keep, int page);

 private:
  struct DueKey {
    std::string key;
    std::optional<std::int64_t> job;
    std::optional<jobs::JobState> state;  // none: the job is gone
    TimePoint updated_at{};
  };

  Result<jobs::LogSize> size(const Attempt& of);
  Status shorten(const Attempt& of, jobs::LogSize& size);
  Result<std::optional<TimePoint>> first(const char* sql);
  Status refresh();
  Status look_after(const DueKey& due, TimePoint now, Duration keep);

  Database& db_;
  JobMemory& memory_;
};

}  // namespace jobmill::sqlite
