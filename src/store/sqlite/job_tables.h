// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job.h"
#include "jobs/job_store.h"
#include "store/sqlite/job_memory.h"
#include "store/sqlite/job_rows.h"
#include "store/sqlite/sqlite.h"

namespace jobmill::sqlite {

// A job about to be written.
struct NewJob {
  std::int64_t lane = 0;
  const jobs::JobSpec* spec = nullptr;
  std::string id;  // canonical
  std::string name;
  std::vector<std::string> labels;
  std::string args;
  std::string extra;
  int max_attempts = 1;
  std::optional<TimePoint> run_at;  // in the future: SCHEDULED
  std::string_view recurring;
  std::string_view event = "{}";
};

// The statements of the job tables and what follows from each for the memory. Only inside a work of
// the commit queue; each call adds what it changed to the work's delta, and finish() must end it.
class JobTables {
 public:
  JobTables(Database& db, JobMemory& memory);

  // Reads the memory anew; at the start and after a rollback.
  Status load();

  // Counters of what the delta changed; then the memory has it, too.
  Status finish(JobDelta& delta);

  Result<std::int64_t> lane(std::string_view queue, std::string_view kind, int priority);

  // Answers with the seq of the first; the others follow.
  Result<std::int64_t> insert(JobDelta& delta, std::span<const NewJob> jobs, TimePoint now);
  Result<std::optional<JobRow>> find(std::string_view id);  // canonical
  Result<std::optional<JobRow>> find(std::int64_t seq);
  Result<std::vector<JobRow>> running(std::int64_t worker, std::string_view worker_id);

  // One transition with its event: the row, the claim table, the due table, the counters. `row`
  // holds the old state; counts changed in it (failures …) are written along. `cancel`: what the
  // worker is told that held it.
  Status move(JobDelta& delta, JobRow& row, jobs::JobState to, TimePoint now,
              std::string_view event, std::optional<TimePoint> run_at = std::nullopt,
              std::string_view cancel = {});

  struct Claimer {
    std::int64_t row = 0;
    std::string id;
    std::int64_t token = 0;
  };
  std::int64_t new_token();
  double random_unit();  // [0, 1)

  // All jobs of one claim have one token; their place in the table is part of its text.
  // The first jobs of lanes of equal rank, in the order of enqueueing.
  Status claim(JobDelta& delta, std::vector<std::int64_t> lanes, int limit, const Claimer& claimer,
               TimePoint now, std::vector<jobs::ClaimedJob>& claimed);
  // At the end of a claim that took some.
  Status write_holds(const JobDelta& delta, const Claimer& claimer);

  // SCHEDULED or ENQUEUED jobs go to another lane, and keep their state and their place in time.
  Status shift(JobDelta& delta, JobRow& row, std::int64_t lane, TimePoint now,
               std::string_view event);

  // From lanes of a paused queue nothing is handed out. False: it is so already.
  Result<bool> pause(JobDelta& delta, std::string_view queue, bool paused);

  // PROCESSING -> SUCCEEDED, all of them.
  Status complete(JobDelta& delta, std::span<const JobRow> rows, TimePoint now);
  Result<std::vector<JobRow>> find(std::span<const std::int64_t> seqs);

  // One page each: SCHEDULED -> ENQUEUED, SUCCEEDED -> DELETED, DELETED -> gone.
  Result<std::int64_t> promote(JobDelta& delta, std::int64_t queue, TimePoint now, int page);
  Result<std::int64_t> retire(JobDelta& delta, TimePoint before, TimePoint now, int page);
  Result<std::int64_t> purge(JobDelta& delta, TimePoint before, int page);
  Status refresh_retention();

  const Lane& lane_of(const JobRow& row) const { return *memory_.lane(row.lane); }

  Result<std::optional<jobs::Job>> get(std::string_view id);
  Result<std::vector<jobs::JobEvent>> history(std::int64_t seq);
  // Newest first; with a state the ones that came to it last first.
  Result<jobs::JobPage> list(const jobs::JobQuery& query);

  Result<std::int64_t> count_due(std::int64_t queue, TimePoint from, TimePoint until);
  Result<std::optional<TimePoint>> next_due(std::int64_t queue, TimePoint after);
  Result<int> count_active(std::string_view recurring, std::int64_t except, TimePoint now);

 private:
  // The front of a lane: all up to a place.
  struct Front {
    std::int64_t count = 0;
    std::int64_t last = 0;
  };
  using Fronts = std::map<std::int64_t, Front>;  // by lane
  struct Taken {
    std::int64_t place;
    jobs::ClaimedJob claimed;
  };

  Status load_queues();
  Status load_lanes();
  Status load_due();
  Status load_running();
  Status look_up(JobDelta& delta);
  Status write_counters(const JobDelta& delta);
  Status forget_failures(const JobDelta& delta);
  Status note_failures(const JobDelta& delta);
  Result<std::int64_t> queue(std::string_view name);
  Status leave(JobDelta& delta, const JobRow& row, std::string_view cancel);
  Status enter(JobDelta& delta, JobRow& row, TimePoint now);
  Status put_ready(JobDelta& delta, JobRow& row, TimePoint now);
  Status put_due(JobDelta& delta, const JobRow& row);
  Status update(const JobRow& row);
  static void count_ready(JobDelta& delta, std::int64_t id, TimePoint now);
  static void count_scheduled(JobDelta& delta, std::int64_t queue, TimePoint at);
  // The PROCESSING event of a run, which is written with the event that ends it.
  struct Run {
    TimePoint began;
    std::string event;
  };
  std::optional<Run> run_of(const JobRow& row) const;
  Status add_event(const JobRow& row, TimePoint at, std::string_view data,
                   const std::optional<Run>& run);
  Result<Fronts> fronts(const std::vector<std::int64_t>& lanes, int limit);
  Status take(JobDelta& delta, std::int64_t id, const Front& front, const Claimer& claimer,
              TimePoint now, std::vector<Taken>& taken);
  Status read_front(JobDelta& delta, std::int64_t lane, const Front& front, const Claimer& claimer,
                    TimePoint now, std::vector<Taken>& taken);
  LaneNames names_of(std::int64_t lane) const;
  Result<jobs::JobPage> read_page(Statement& query, int limit, bool by_state) const;

  Database& db_;
  JobMemory& memory_;
  std::int64_t last_seq_ = 0;
  std::int64_t last_place_ = 0;
  std::mt19937_64 random_{std::random_device{}()};
};

}  // namespace jobmill::sqlite
