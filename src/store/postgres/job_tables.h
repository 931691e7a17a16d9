// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job.h"
#include "jobs/job_store.h"
#include "store/postgres/connection.h"
#include "store/postgres/lanes.h"

namespace jobmill::postgres {

// What the engine decides by and changes of a job; the rest of it never changes.
struct JobRow {
  std::string id;
  std::int32_t lane = 0;
  jobs::JobState state = jobs::JobState::Enqueued;
  int version = 0;
  int attempt = 0;
  int ran = 0;  // the attempt as it was found
  int failures = 0;
  int crashes = 0;
  int max_attempts = 0;
  int stored_max_attempts = 0;
  int max_crashes = 0;
  std::optional<int> retries;  // what the job says of itself
  std::int64_t token = 0;
  std::int32_t worker = 0;
  Duration waited{};
  TimePoint since{};                 // when it came into its state
  std::optional<TimePoint> run_at;   // SCHEDULED
  std::optional<TimePoint> started;  // of the run that ended well
  std::optional<TimePoint> ended;
  jobs::Extra extra;
};

// A job about to be written.
struct NewJob {
  std::string id;  // canonical
  std::int32_t lane = 0;
  const jobs::JobSpec* spec = nullptr;
  std::string name;
  std::vector<std::string> labels;
  std::string args;
  int max_attempts = 1;
  std::optional<TimePoint> run_at;  // in the future: SCHEDULED
  std::string_view recurring{};
  std::string_view event = "{}";
  bool handed_out = false;  // its row of what is ready or runs is for add_hand_out
};

// What failures are found and grouped by.
struct FailureNote {
  std::string fingerprint;
  std::string type;
  std::string frame;
  std::string message;
  bool quarantined = false;
};

// One transition, or two: a failure and the retry that follows from it.
struct Move {
  struct Step {
    jobs::JobState to = jobs::JobState::Enqueued;
    std::string event = "{}";
  };
  JobRow row;  // as it was found, with the counts as they shall be
  std::vector<Step> steps;
  std::optional<TimePoint> run_at{};     // when the last step is SCHEDULED
  bool crashed = false;                  // the process that ran it is dead
  std::string result{};                  // when it is SUCCEEDED: JSON, or empty
  std::optional<TimePoint> until{};      // of the result
  std::optional<FailureNote> failure{};  // when the first step is FAILED
};

// What a transaction changed, for those who wait for it.
struct Effects {
  std::set<std::int32_t> ready;  // lanes with new ready jobs
  bool all = false;              // told by another process: any lane may have some
  bool workers = false;
  bool states = false;  // a worker was told to claim, or not to
  bool queues = false;  // one was paused or resumed
  bool due = false;     // an instant at which there is something to do may have moved
  std::map<std::int32_t, jobs::Tally> tallies;  // what happened, by lane

  bool any() const { return workers || states || queues || due || !ready.empty(); }
  void merge(const Effects& other);
};

// Counters of lanes and of workers that a transaction changes.
class Counts {
 public:
  void add(std::int32_t lane, jobs::JobState state, std::int64_t by);
  void occupied(std::int32_t worker, std::int64_t by) { workers_[worker] += by; }
  void write(Pipeline& pipeline, std::int64_t shard) const;

 private:
  std::map<std::int32_t, std::array<std::int64_t, 8>> lanes_;  // by state
  std::map<std::int32_t, std::int64_t> workers_;
};

// The statements on jobs. Each adds to a pipeline, which is one transaction, or runs at once.

// --- in bulk -------------------------------------------------------------------------------------

// `before`: how many the same transaction has inserted by earlier calls.
void add_inserts(Pipeline& pipeline, std::span<const NewJob> jobs, std::int64_t shard,
                 Effects& effects, std::int64_t before = 0);

// The same at once, within a transaction: for many, which cost half as much then.
Status copy_jobs(Connection& connection, std::span<const NewJob> jobs, std::int64_t shard,
                 Effects& effects, std::int64_t before = 0);
constexpr std::size_t kWorthCopying = 200;

struct Completion {
  std::string job_id;
  std::int64_t token = 0;
  std::int32_t worker = 0;  // 0: any
};
void add_completions(Pipeline& pipeline, std::span<const Completion> completions,
                     std::int64_t shard);
// Which of them were not held any more, by their index.
std::vector<std::size_t> lost_completions(const Rows& answer, Effects& effects);

// One claim is at most two statements: the second when others took what the first one saw.
struct Claim {
  std::string worker_id;
  std::vector<LaneChoice> lanes;
  int limit = 1;
  std::int64_t token = 0;
};
void add_claim(Pipeline& pipeline, const Claim& claim, std::int64_t shard);
struct ClaimAnswer {
  bool known = false;  // the worker
  jobs::WorkerState state = jobs::WorkerState::Run;
  std::vector<jobs::ClaimedJob> jobs;
  bool contended = false;                     // there was more than one could get
  std::int64_t settled = 0;                   // no ready job will come below this place
  std::map<std::int32_t, std::int64_t> last;  // by lane: the last place that was taken
};
ClaimAnswer read_claim(const Rows& answer, const Claim& claim, Lanes& lanes, Effects& effects);

// New jobs that go to a claim that waits for them: they begin as running ones. If the claim may not
// have them, they are as ready as others, others are told, and the answer is empty. After the
// add_inserts that has these jobs; `before` are those that became ready or were handed out by it.
struct HandOut {
  Claim claim;
  std::vector<const NewJob*> jobs;  // never empty
};
void add_hand_out(Pipeline& pipeline, const HandOut& hand_out, std::int64_t shard,
                  std::int64_t before);
// The same for a single job, which it inserts as well.
void add_hand_out_new(Pipeline& pipeline, const HandOut& hand_out, std::int64_t shard,
                      Effects& effects);
ClaimAnswer read_hand_out(const Rows& answer, const HandOut& hand_out, const Lanes& lanes,
                          Effects& effects);

// --- one by one ----------------------------------------------------------------------------------

Result<bool> any_exists(Connection& connection, std::span<const std::string> ids);
// The rows of these jobs, locked until the transaction ends; those that do not exist are missing.
Result<std::map<std::string, JobRow>> lock_jobs(Connection& connection,
                                                std::span<const std::string> ids);
// What a worker holds, locked. Reads the whole of jobmill_hot: for workers that are gone.
Result<std::vector<JobRow>> lock_held(Connection& connection, std::int32_t worker);
// PROCESSING past its deadline, locked.
Result<std::vector<JobRow>> lock_late(Connection& connection, TimePoint before, int limit);

struct Deadline {
  std::string job_id;
  TimePoint at{};
};
Status set_deadlines(Connection& connection, std::span<const Deadline> deadlines,
                     std::int64_t token);

// The transitions of rows that are locked, all in one round trip.
Status move(Connection& connection, std::span<const Move> moves, TimePoint now, std::int64_t shard,
            Effects& effects);

// Jobs that are SCHEDULED or ENQUEUED, to another lane: there they are the last ones.
struct LaneChange {
  JobRow row;  // as it was found, and locked
  std::int32_t lane = 0;
  std::string event;
};
Status change_lanes(Connection& connection, std::span<const LaneChange> changes, TimePoint now,
                    std::int64_t shard, Effects& effects);

// One page each: SCHEDULED -> ENQUEUED, SUCCEEDED -> DELETED, DELETED -> gone.
Result<std::int64_t> promote(Connection& connection, int page, std::int64_t shard,
                             Effects& effects);
Result<std::int64_t> retire(Connection& connection, TimePoint before, int page, std::int64_t shard);
Result<std::int64_t> purge(Connection& connection, TimePoint before, int page, std::int64_t shard);

Result<TimePoint> storage_now(Connection& connection);

// A claim's token as clients carry it.
std::string token_text(std::int64_t token);
std::optional<std::int64_t> token_of(std::string_view text);

}  // namespace jobmill::postgres
