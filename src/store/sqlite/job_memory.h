// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job_store.h"

namespace jobmill::sqlite {

// Jobs of one kind at one priority in one queue. See migrations/0001_jobs.cc.
struct Lane {
  std::int64_t id = 0;
  std::int64_t queue = 0;
  std::string kind;
  int priority = 0;
  std::int64_t enqueued = 0;
  std::optional<TimePoint> oldest;  // when its first ENQUEUED job was enqueued
};

// SCHEDULED jobs of one second. The bounds may be too wide after a job has left.
struct DueSecond {
  std::int64_t count = 0;
  TimePoint first{};
  TimePoint last{};
};

struct QueueCounts {
  std::int64_t id = 0;
  std::string name;
  std::int64_t scheduled = 0;
  std::int64_t processing = 0;
  std::int64_t succeeded = 0;
  std::int64_t failed = 0;
  std::int64_t deleted = 0;
  bool paused = false;
  std::vector<std::int64_t> lanes;        // higher priority first
  std::map<std::int64_t, DueSecond> due;  // by second
  std::optional<TimePoint> next_due;      // exact
};

// A job that a worker holds.
struct Held {
  std::int64_t seq = 0;
  std::int64_t token = 0;
  TimePoint started{};
  TimePoint seen{};  // when the worker last showed that it knows of it
  Duration timeout{};
  Duration progress_timeout{};
  TimePoint told{};  // when it last told something new
  std::optional<jobs::Progress> progress{};

  std::optional<TimePoint> end() const;  // it may not run longer than that
};

struct LiveWorker {
  std::int64_t row = 0;
  jobs::Worker worker;
  std::map<std::string, Held, std::less<>> held;              // by job id
  std::map<std::string, std::string, std::less<>> cancelled;  // job id -> reason, to be told
};

// What one item of a transaction changed, to be applied to the memory at its end.
struct JobDelta {
  struct OfLane {
    std::int64_t enqueued = 0;
    bool taken = false;               // something left: its oldest must be looked up
    std::optional<TimePoint> added;   // the first that came
    std::optional<TimePoint> oldest;  // looked up
    jobs::Tally tally;
  };
  struct OfQueue {
    std::int64_t scheduled = 0;
    std::int64_t processing = 0;
    std::int64_t succeeded = 0;
    std::int64_t failed = 0;
    std::int64_t deleted = 0;
    bool taken = false;
    std::optional<TimePoint> next_due;                    // looked up
    std::vector<std::pair<TimePoint, std::int64_t>> due;  // run_at, how many more

    bool counted() const {
      return scheduled != 0 || processing != 0 || succeeded != 0 || failed != 0 || deleted != 0;
    }
    void add_due(TimePoint at, std::int64_t count);
    std::int64_t* ended(jobs::JobState state);  // null: not a state in which jobs have ended
  };
  struct Claim {
    std::string worker;
    std::string job;
    Held held;
  };
  struct Drop {
    std::int64_t worker_row = 0;
    std::string job;
    std::string_view cancel;  // why it is taken from its worker; empty: the worker knows
  };

  std::map<std::int64_t, OfLane> lanes;
  std::map<std::int64_t, OfQueue> queues;
  std::vector<Claim> claims;
  std::vector<Drop> drops;
  std::set<std::int64_t> unfailed;     // that were FAILED before
  std::set<std::int64_t> failed;       // that are now
  std::optional<TimePoint> succeeded;  // the first that came to be SUCCEEDED or DELETED
  std::optional<TimePoint> deleted;
  bool workers = false;
  bool resumed = false;  // a worker may take jobs again
  bool due = false;      // chores may have to be done earlier
};

// What a job store keeps in memory of its tables, so that metrics and idle workers cost no
// statement, and the workers' lives, which are nowhere else.
//
// Counts are written by the commit thread alone, which may therefore read them without the lock;
// all others use the calls, which take it.
class JobMemory {
 public:
  explicit JobMemory(std::vector<std::string> order) : order_(std::move(order)) {}

  // --- by the commit thread --------------------------------------------------------------------
  void clear_counts();
  Lane& add_lane(Lane lane);
  QueueCounts& add_queue(QueueCounts queue);
  void set_paused(std::int64_t queue, bool paused);
  const Lane* lane(std::int64_t id) const;
  const Lane* lane(std::int64_t queue, std::string_view kind, int priority) const;
  const QueueCounts* queue(std::int64_t id) const;
  const QueueCounts* queue(std::string_view name) const;
  const std::map<std::int64_t, Lane>& lanes() const { return lanes_; }
  void apply(const JobDelta& delta);
  void set_retention(std::optional<TimePoint> succeeded, std::optional<TimePoint> deleted);
  void hold(std::int64_t worker_row, std::int64_t lane, const std::string& job, const Held& held);
  // A job told its progress, or wrote lines.
  void told(std::int64_t worker_row, std::string_view job,
            const std::optional<jobs::Progress>& progress, TimePoint now);
  void expect_result(TimePoint expires) { keep_first(next_result_, expires); }
  void expect_key(TimePoint check_at) { keep_first(next_key_, check_at); }
  void set_expiry(std::optional<TimePoint> result, std::optional<TimePoint> key);

  // Lanes that a worker may take from, best first: by the order of queues, then by priority.
  // Those of equal rank follow each other.
  struct Choice {
    std::int64_t lane = 0;
    std::size_t rank = 0;
  };
  std::vector<Choice> choices(std::span<const std::string> queues,
                              std::span<const std::string> kinds) const;

  void set_next_run(const std::string& recurring, std::optional<TimePoint> next);
  void clear_next_runs();
  std::vector<std::string> due_recurring(TimePoint now) const;

  // --- workers ---------------------------------------------------------------------------------
  // All of the table; who is known keeps the time of its last beat.
  void set_workers(std::vector<LiveWorker> workers);
  void add_worker(LiveWorker worker);
  void remove_worker(std::string_view id);
  Status set_state(std::string_view id, jobs::WorkerState state,
                   std::optional<TimePoint> drain_until);
  // A copy without what it holds; nothing when there is none.
  std::optional<jobs::Worker> worker(std::string_view id) const;
  std::optional<std::int64_t> worker_row(std::string_view id) const;
  struct WorkerName {
    std::string id;
    std::string name;
  };
  WorkerName worker_name(std::int64_t row) const;             // empty texts when there is none
  std::vector<std::int64_t> held(std::string_view id) const;  // the seqs of what it holds
  bool touch(std::string_view id, TimePoint now);             // false: there is none
  // Renews the life of a worker; nothing when there is none. `forgotten` are jobs that it holds
  // and has not named since `unseen_since`: the answer to its claim never reached it.
  // `news` are reports that tell what is not known yet.
  struct Beat {
    jobs::BeatAnswer answer;
    std::vector<jobs::Settlement> forgotten;
    std::vector<const jobs::Report*> news;
  };
  std::optional<Beat> beat(std::string_view id, std::span<const jobs::Report> running,
                           TimePoint now, TimePoint unseen_since);
  std::vector<std::string> expired(TimePoint deadline) const;   // last beat not later than that
  std::vector<jobs::Worker> workers(TimePoint deadline) const;  // last beat later than that
  std::optional<TimePoint> oldest_beat() const;
  std::optional<TimePoint> last_beat(std::int64_t worker_row) const;

  std::optional<TimePoint> next_run() const;
  std::optional<TimePoint> next_end() const;                         // of jobs that run
  std::vector<std::int64_t> ended(TimePoint until, int most) const;  // their seqs
  std::optional<TimePoint> next_result() const;
  std::optional<TimePoint> next_key() const;

  // --- metrics ---------------------------------------------------------------------------------
  std::vector<jobs::QueueStats> stats() const;
  std::vector<jobs::Tally> tallies() const;
  jobs::Tally tally(std::int64_t queue, std::string_view kind) const;  // without the names
  std::optional<TimePoint> next_due() const;

  // Counted as far as whole seconds go; `partial` are queues whose jobs of the last second must be
  // counted in the table.
  struct Scheduled {
    std::int64_t count = 0;
    std::vector<std::int64_t> partial;
  };
  Scheduled scheduled_until(std::string_view queue, TimePoint until) const;
  std::optional<TimePoint> oldest_succeeded() const;
  std::optional<TimePoint> oldest_deleted() const;

  // Whether there is work. Empty lists: of any queue, of any kind.
  bool ready(std::span<const std::string> queues, std::span<const std::string> kinds) const;

 private:
  std::vector<const QueueCounts*> ordered() const;
  std::vector<const QueueCounts*> chosen(std::span<const std::string> queues) const;
  LiveWorker* find(std::string_view id);
  LiveWorker* find_row(std::int64_t row);
  void apply_lane(std::int64_t id, const JobDelta::OfLane& delta);
  void apply_queue(std::int64_t id, const JobDelta::OfQueue& delta);
  void apply_drop(const JobDelta::Drop& drop);
  void keep_first(std::optional<TimePoint>& first, TimePoint at);
  void take_up(LiveWorker& live, const std::string& job, const Held& held);
  void let_go(LiveWorker& live, std::string_view job);
  void note(LiveWorker& live, const std::string& job, Held& held,
            const std::optional<jobs::Progress>& progress, TimePoint now);
  static jobs::Worker describe(const LiveWorker& live);

  const std::vector<std::string> order_;
  mutable std::mutex mutex_;  // guards all of the following
  std::map<std::int64_t, Lane> lanes_;
  std::map<std::int64_t, QueueCounts> queues_;
  std::map<std::string, std::int64_t, std::less<>> queue_ids_;
  std::map<std::string, LiveWorker, std::less<>> workers_;
  std::map<std::int64_t, std::string> worker_ids_;           // by row
  std::map<std::string, TimePoint, std::less<>> next_runs_;  // of recurring jobs
  std::optional<TimePoint> oldest_succeeded_;
  std::optional<TimePoint> oldest_deleted_;
  std::optional<TimePoint> next_result_;
  std::optional<TimePoint> next_key_;
  std::map<std::int64_t, jobs::Tally> tallies_;  // by lane
  // Of what runs under a limit of time: when it ends, its worker's row, its id.
  std::set<std::tuple<TimePoint, std::int64_t, std::string>> ends_;
};

}  // namespace jobmill::sqlite
