// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job.h"
#include "store/sqlite/sqlite.h"
#include "store/uuid.h"

// The columns that row_of and job_of read, in their order.
#define JOB_ROW                                                                           \
  "j.seq, j.id, j.lane, j.state, j.version, j.run_at, j.place, j.attempt, j.failures, "   \
  "j.crashes, j.max_attempts, j.max_crashes, j.token, j.worker, j.waited, j.updated_at, " \
  "j.retries, j.extra"
#define JOB_ALL \
  JOB_ROW ", j.v, j.name, j.labels, j.recurring, j.created_by, j.created_at, p.args, p.meta"
// What shown_job_of reads besides: the progress of the latest attempt.
#define JOB_SHOWN JOB_ALL ", g.done, g.total, g.failed"
#define JOB_SHOWN_JOINS                                                      \
  "JOIN job_payload p ON p.seq = j.seq LEFT JOIN job_progress g ON g.seq = " \
  "j.seq AND g.attempt = j.attempt "

namespace jobmill::sqlite {

// What the engine decides by and changes of a job; the rest of its row never changes.
struct JobRow {
  std::int64_t seq = 0;
  store::UuidBytes id{};
  std::int64_t lane = 0;
  jobs::JobState state = jobs::JobState::Enqueued;
  int version = 0;
  std::optional<TimePoint> run_at;
  std::int64_t place = 0;
  int attempt = 0;
  int ran = 0;  // the attempt as it was found
  int failures = 0;
  int crashes = 0;
  int max_attempts = 0;
  int max_crashes = 0;
  std::int64_t token = 0;
  std::int64_t worker = 0;
  Duration waited{};
  TimePoint updated_at{};
  std::optional<int> retries;
  std::string extra;  // the text of jobs::Extra

  std::string id_text() const { return store::uuid_text({id.data(), id.size()}); }
};

// Where a job stands: the names of its lane.
struct LaneNames {
  std::string_view queue;
  std::string_view kind;
  int priority = 0;
};

JobRow row_of(const Statement& row);
Result<jobs::Job> job_of(const Statement& row, const LaneNames& lane);
// With what only people ask for.
Result<jobs::Job> shown_job_of(const Statement& row, const LaneNames& lane);

// All rows of a statement that selects state, at and data of job_history.
Result<std::vector<jobs::JobEvent>> history_of(Statement& query);

// How the labels of a job stand in its row.
std::string join_labels(const std::vector<std::string>& labels);
std::vector<std::string> split_labels(std::string_view text);

}  // namespace jobmill::sqlite
