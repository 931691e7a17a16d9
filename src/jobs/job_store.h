// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job.h"
#include "jobs/log_line.h"
#include "jobs/recurring.h"
#include "jobs/tally.h"

namespace jobmill::jobs {

struct Inserted {
  std::string id;
  JobState state = JobState::Enqueued;
  bool created = true;  // false: a job of this id existed already and was left as it is
};

struct InsertResult {
  std::vector<Inserted> jobs;  // one per spec; of a spec with `count` the first 10
  std::int64_t created = 0;
  std::int64_t total = 0;  // all that the request asked for, whether made now or there already
};

// What a worker tells of itself. Empty lists mean: all.
struct WorkerSpec {
  std::string name;
  std::vector<std::string> tags;
  std::vector<std::string> queues;  // in this order, the first one first
  std::vector<std::string> kinds;
  int concurrency = 1;  // slots
  std::string version;
  std::string host;
  std::int64_t pid = 0;
  std::string runtime;
  int prefetch = 0;
  std::string generation;
  std::string replica;  // JOBMILL_REPLICA: which of those that are scaled it is
};

// `run` claims; `quiet` claims no more and works on; `stop` also unregisters when it is idle.
enum class WorkerState { Run, Quiet, Stop };
std::string_view to_string(WorkerState state);
std::optional<WorkerState> worker_state(std::string_view text);

struct Worker {
  std::string id;
  WorkerSpec spec;
  WorkerState state = WorkerState::Run;
  TimePoint first_beat{};
  TimePoint last_beat{};
  int occupied = 0;                       // jobs it holds now
  std::optional<TimePoint> oldest_start;  // of the jobs that it holds, the start of the first one
  std::optional<TimePoint> drain_until;
};

struct Registration {
  std::string worker_id;
  Duration lease{};
  Duration beat{};
};

// A job under a lease. `lock_token` is the fencing token: every settlement must carry it.
struct ClaimedJob {
  Job job;
  std::string lock_token;
};

struct ClaimRequest {
  std::string worker_id;
  int limit = 1;
  std::vector<std::string> queues;  // empty: as registered
  std::vector<std::string> kinds;
  Duration wait{};         // how long to wait for the first job; 0: not at all
  std::stop_token stop{};  // ends the wait early: nothing is claimed after it fired
};

struct Claimed {
  std::vector<ClaimedJob> jobs;
  WorkerState state = WorkerState::Run;
};

// What a worker tells of a job that it runs; nothing but the lease for most.
struct Report {
  std::string job_id;
  std::string lock_token;
  std::optional<Progress> progress{};
  std::vector<LogLine> logs{};
};

struct Cancel {
  std::string job_id;
  std::string reason;  // deleted | timeout | lost
};

struct BeatAnswer {
  std::vector<Cancel> cancel;
  WorkerState state = WorkerState::Run;
  std::optional<TimePoint> drain_until;
  Duration lease{};
};

enum class RetryRule { Default, Never, After };

struct Failure {
  std::string type{};
  std::string message{};
  std::string cause_type{};
  std::string cause_message{};
  std::string stack{};
  RetryRule retry = RetryRule::Default;
  Duration after{};  // with RetryRule::After
};

// How a process ended that ran a job: a worker's own, or one that a worker started for the job.
// Counted apart from failures.
struct Crash {
  int signal = 0;
  int exit_code = 0;
  std::int64_t peak_rss_bytes = 0;  // 0: not known
  bool out_of_memory = false;       // the kernel killed it for that; false also if nobody knows
  std::string detail{};             // the end of its stderr, or what else is known
  std::string build{};              // WorkerSpec::version of a worker that died
};

// Why an attempt failed that took longer than its job allows.
inline constexpr std::string_view kTimeoutType = "jobmill.Timeout";
Failure timed_out(const Extra& extra, Duration ran);

// Exhausted when a result is too large, InvalidArgument when it is no JSON; both name the field.
Status check_result(std::string_view json);

struct Settlement {
  enum class Kind { Complete, Fail, Release, Snooze };
  Kind kind = Kind::Complete;
  std::string job_id{};
  std::string lock_token{};
  Failure failure{};  // Fail
  // Fail: the process that ran this job alone is dead. As if its worker had died with this one job:
  // a crash, no failure.
  std::optional<Crash> crash{};
  std::string reason{};  // Release
  std::string result{};  // Complete: JSON of at most 256 KiB, or empty for none
  Duration after{};      // Snooze: how long it shall rest; no attempt is consumed
};

// What became of one settlement. Conflict: the lease was lost, nothing was changed.
struct Settled {
  std::string job_id;
  Status status;
  JobState state = JobState::Succeeded;
  std::optional<TimePoint> run_at;  // of the retry, or of a job that was put back for a time
};

// The lines that one attempt wrote. Of too many the oldest are dropped.
struct JobLog {
  int attempt = 0;
  std::vector<LogLine> lines;
  std::int64_t dropped = 0;  // lines of this attempt that are kept no more
  std::int64_t next = 0;     // `after` of the next call
};

// What a job returned, or when to ask again.
struct Outcome {
  bool available = false;
  JobState state = JobState::Enqueued;
  std::string json;        // the result, when it is available
  Duration retry_after{};  // a guess from how long jobs of its kind take; zero: it has ended
};

struct JobQuery {
  std::optional<JobState> state;
  std::string queue;  // empty: all
  int limit = 20;     // 1..1000
  std::string after;  // `next` of the page before
};

struct JobPage {
  std::vector<Job> items;
  std::string next;  // empty: this was the last page
};

struct QueueStats {
  std::string queue;
  int priority = 0;  // rank in the configured order
  std::int64_t enqueued = 0;
  std::int64_t scheduled = 0;
  std::int64_t processing = 0;
  std::int64_t succeeded = 0;  // as long as they are kept
  std::int64_t failed = 0;
  std::int64_t deleted = 0;
  std::optional<TimePoint> oldest;  // when its oldest ENQUEUED job was enqueued
  bool paused = false;
};

// What changed, told after the commit. Empty queues: any. Called from the commit thread, so it
// must only post.
struct Change {
  std::vector<std::string> ready_queues;  // these have new claimable jobs
  bool workers = false;                   // a worker came, went, or changed its occupation or state
  bool due = false;                       // the earliest due instant may have moved
};

// Where jobs live between enqueue and deletion. One implementation per database, and one over the
// worker protocol (wire/); all are held to tests/conformance/job_store.cc.
//
// Every call is one transaction: when it returns without error, the change survives a crash of
// the process and loss of power. Only a claim may be forgotten when power is lost: its jobs are
// ready again then, and its tokens lost. Calls block until then; they are safe from many threads.
// `now` is the caller's clock; a store that lives behind a server or in a database with a clock of
// its own judges by that one and ignores it.
//
// Errors: InvalidArgument (its message is "<field>: <reason>"), NotFound, AlreadyExists (the id or
// the idempotency key is that of another payload), Conflict (lease lost, version or transition
// conflict; re-read), Exhausted (a limit, then named as a field is; or the disk is full),
// Unavailable (try again later).
class JobStore {
 public:
  virtual ~JobStore() = default;

  // --- producers -----------------------------------------------------------------------------
  // All or nothing. The error's message names the index of the offending spec and its field:
  // "jobs[3].labels: must be distinct".
  //
  // A request with a key is carried out once: repeated with the same payload it has the answer of
  // the first time, with created = false. The key is forgotten a day after the first job of the
  // request has ended, or as the store was told.
  virtual Result<InsertResult> insert(std::span<const JobSpec> specs, TimePoint now,
                                      std::string_view idempotency_key = {}) = 0;

  // --- workers -------------------------------------------------------------------------------
  virtual Result<Registration> announce(const WorkerSpec& worker, TimePoint now) = 0;

  // Hands up to `limit` ready jobs to one worker, at most as many as its slots and its prefetch
  // together: queues in the worker's order, then priority,
  // then the order of enqueueing. Takes nothing for a worker that is not in state Run: the check
  // and the claim are one transaction. NotFound: the worker is gone and must announce itself again.
  virtual Result<Claimed> claim(const ClaimRequest& request, TimePoint now) = 0;

  // Renews the worker's lease and learns what to cancel: jobs of `running` that were deleted, that
  // run longer than they may, or that are no longer held by it. Progress and lines of jobs that it
  // does not hold are passed over. NotFound as for claim.
  virtual Result<BeatAnswer> beat(std::string_view worker_id, std::span<const Report> running,
                                  TimePoint now) = 0;

  // Progress and lines at once, without a beat; they may be forgotten when power is lost, and so
  // may those of a beat. Conflict (lease_lost) when the token is stale.
  virtual Status report(const Report& report, TimePoint now) = 0;

  // One transaction; each item has its own outcome. A stale token is Conflict and changes nothing,
  // and so is the job of another worker; repeating a settlement that was accepted is Conflict too,
  // since the lease ended with it. NotFound as for claim. Without a worker's id the tokens alone
  // decide; over the wire that is one request and one transaction for each item. A result that is
  // too large is Exhausted, and the job stays held.
  virtual Result<std::vector<Settled>> settle(std::string_view worker_id,
                                              std::span<const Settlement> settlements,
                                              TimePoint now) = 0;

  // Unregisters; what it still holds is released: back to ENQUEUED, no attempt consumed.
  virtual Status leave(std::string_view worker_id, TimePoint now) = 0;

  // --- control -------------------------------------------------------------------------------
  virtual Result<Job> get(std::string_view id) = 0;  // a UUID, or the text it was made from
  virtual Result<std::vector<JobEvent>> history(std::string_view id) = 0;
  virtual Result<JobPage> list(const JobQuery& query) = 0;
  // Lines from number `after` on; attempt 0 is the latest one.
  virtual Result<JobLog> log(std::string_view id, int attempt, std::int64_t after) = 0;
  virtual Result<Outcome> result(std::string_view id, TimePoint now) = 0;
  virtual Status requeue(std::string_view id, TimePoint now) = 0;
  virtual Status remove(std::string_view id, std::string_view reason, TimePoint now) = 0;
  virtual Result<std::vector<Worker>> workers(TimePoint now) = 0;  // those whose lease lives
  virtual Result<std::vector<QueueStats>> queues(TimePoint now) = 0;

  // Jobs in SCHEDULED whose run_at <= until. Empty queue: all.
  virtual Result<std::int64_t> scheduled_until(std::string_view queue, TimePoint until) = 0;

  // True: it is new. One that is paused remains so, whatever the spec says: applications put theirs
  // at each start.
  virtual Result<bool> put_recurring(const RecurringSpec& spec, TimePoint now) = 0;
  virtual Result<std::vector<RecurringJob>> recurring() = 0;
  virtual Status remove_recurring(std::string_view id, TimePoint now) = 0;
  virtual Result<std::string> trigger_recurring(std::string_view id, TimePoint now) = 0;  // job id
};

// What a person does to jobs, one or many.
struct Alteration {
  enum class Kind { Requeue, Delete, Reschedule, Move, Prioritize };
  Kind kind = Kind::Requeue;
  std::string reason{};  // for the history: "by alice"; empty: as requeue() and remove() say it
  TimePoint run_at{};    // Reschedule: SCHEDULED for then; what is in the past is due at once
  std::string queue{};   // Move: jobs that are SCHEDULED or ENQUEUED
  int priority = 0;      // Prioritize: the same
};

// A store that cannot be used, as far as it is known without asking.
struct Outage {
  std::chrono::steady_clock::time_point since{};
  std::string why;
};

// What only the owner of the store does: maintenance, and the commands of the autoscaler.
// (The wire has no part in it.)
class JobStoreOwner : public JobStore {
 public:
  using Listener = std::function<void(const Change&)>;
  virtual void on_change(Listener listener) = 0;  // once, before the first other call

  // None: it works, or nobody has tried. A file of ours is always there; a database may be away.
  virtual std::optional<Outage> outage() const { return std::nullopt; }

  // A mark that every claim checks in its own transaction: after this returned, a worker set to
  // Quiet takes nothing more. NotFound: the worker is gone.
  virtual Status set_worker_state(std::string_view worker_id, WorkerState state,
                                  std::optional<TimePoint> drain_until, TimePoint now) = 0;

  // The process is dead: its jobs go back at once, counted as crashes.
  virtual Status worker_died(std::string_view worker_id, const Crash& crash, TimePoint now) = 0;

  // Maintenance; each is idempotent and works in pages, returning how many rows it touched.
  virtual Result<std::int64_t> promote_due(TimePoint now) = 0;     // SCHEDULED -> ENQUEUED
  virtual Result<std::int64_t> rescue(TimePoint now) = 0;          // workers whose lease ran out
  virtual Result<std::int64_t> time_out(TimePoint now) = 0;        // attempts that take too long
  virtual Result<std::int64_t> expire(TimePoint now) = 0;          // retention; results, keys
  virtual Result<std::int64_t> plan_recurring(TimePoint now) = 0;  // keeps one run ahead

  // The earliest instant at which one of the five has something to do; none: never.
  virtual Result<std::optional<TimePoint>> next_chore(TimePoint now) = 0;

  // The next SCHEDULED job's run_at later than `after`, so that time-driven metrics can be waited
  // for. Empty queue: all.
  virtual Result<std::optional<TimePoint>> next_due(std::string_view queue, TimePoint after) = 0;

  // One transaction; each job has its own outcome, in the order of `ids`, as that of requeue() and
  // remove(): NotFound, or Conflict when its state does not allow it. At most 1,000 ids.
  // Reschedule: SCHEDULED, ENQUEUED and FAILED jobs.
  virtual Result<std::vector<Status>> alter(std::span<const std::string> ids,
                                            const Alteration& alteration, TimePoint now) = 0;

  // From a paused queue nobody claims; what runs goes on, and jobs still come in. Idempotent;
  // a queue may be paused before it has any job.
  virtual Status pause_queue(std::string_view queue, bool paused, TimePoint now) = 0;

  // A paused recurring job makes no runs; the one made ahead is taken back. Runs that would have
  // fallen into the pause are not made up for. NotFound. Idempotent.
  virtual Status pause_recurring(std::string_view id, bool paused, TimePoint now) = 0;

  // Whether this process is the one that does the chores; where it is not, they find nothing to do.
  virtual bool leads() const = 0;

  // What happened so far, per queue and kind: since the process started, or, where several share a
  // database, what all of them have counted.
  virtual Result<std::vector<Tally>> tallies() = 0;
};

}  // namespace jobmill::jobs
