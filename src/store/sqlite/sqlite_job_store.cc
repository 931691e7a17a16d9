// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/sqlite_job_store.h"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include <fmt/core.h>

#include "base/id.h"
#include "jobs/job_template.h"
#include "jobs/payload.h"
#include "jobs/request_key.h"
#include "store/alteration.h"
#include "store/job_events.h"
#include "store/sqlite/claim_line.h"
#include "store/sqlite/job_memory.h"
#include "store/sqlite/job_records.h"
#include "store/sqlite/job_tables.h"
#include "store/sqlite/lock_token.h"
#include "store/sqlite/recurring_table.h"
#include "store/sqlite/worker_table.h"

namespace jobmill::sqlite {

namespace {

using namespace store;

using namespace jobs;

constexpr std::int64_t kShownIds = 10;  // of a spec with a count
constexpr int kMaxClaim = 10'000;
constexpr int kMaxPage = 1000;

// Beats without a word of a job before its claim counts as never received.
constexpr int kForgottenLeases = 2;

Fault unknown_worker(std::string_view id) {
  return fail(Code::NotFound, "unknown worker " + std::string(id));
}

Fault unknown_job(std::string_view id) {
  return fail(Code::NotFound, "unknown job " + std::string(id));
}

Fault lease_lost(std::string_view id) {
  return fail(Code::Conflict, "lease_lost: job " + std::string(id) + " is not held by this claim");
}

Fault illegal(JobState from, JobState to) {
  return fail(Code::Conflict,
              fmt::format("illegal_transition: {} to {}", to_string(from), to_string(to)));
}

Payload payload_of(const JobSpec& spec) { return {spec.kind, spec.v, spec.args, spec.meta}; }
Payload payload_of(const Job& job) { return {job.kind, job.v, job.args, job.meta}; }

// A spec that was checked, outside of the commit thread.
struct Order {
  std::size_t index;
  const JobSpec* spec;
  JobTemplate texts;
  std::optional<TimePoint> run_at;
  std::string event;
};

std::optional<TimePoint> due_of(const JobSpec& spec, TimePoint now) {
  const auto at = spec.delay ? std::optional(now + *spec.delay) : spec.run_at;
  return at && *at > now ? at : std::nullopt;
}

Result<std::vector<Order>> check(std::span<const JobSpec> specs, TimePoint now) {
  std::vector<Order> orders;
  orders.reserve(specs.size());
  std::int64_t total = 0;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    auto texts = JobTemplate::compile(specs[i]);
    if (!texts) {
      return fail(texts.error().code, fmt::format("jobs[{}].{}", i, texts.error().message));
    }
    total += texts->count();
    if (total > kMaxCount) {
      return fail(Code::InvalidArgument,
                  fmt::format("jobs[{}].count: more than {} in all", i, kMaxCount));
    }
    const auto due = due_of(specs[i], now);
    orders.push_back(
        {i, &specs[i], *std::move(texts), due, due ? scheduled_event(*due, "") : "{}"});
  }
  return orders;
}

TimePoint next_minute(TimePoint at) { return std::chrono::ceil<std::chrono::minutes>(at); }

class SqliteJobStore final : public JobStoreOwner {
 public:
  SqliteJobStore(SqliteFile& file, JobStoreOptions options)
      : file_(file),
        options_(std::move(options)),
        memory_(options_.queues),
        tables_(file.db(), memory_),
        workers_(file.db(), memory_),
        recurring_(file.db(), memory_, tables_, options_.retry),
        records_(file.db(), memory_) {}

  ~SqliteJobStore() override { file_.forget(this); }

  Status start(TimePoint now) {
    file_.on_rollback(this, [this] { stale_ = !load(); });
    return run<void>(now, [&](JobDelta&) { return load(); });
  }

  // --- producers -------------------------------------------------------------------------------

  Result<InsertResult> insert(std::span<const JobSpec> specs, TimePoint now,
                              std::string_view key = {}) override {
    TRY(const auto orders, check(specs, now));
    if (key.empty()) {
      return run<InsertResult>(now, [&](JobDelta& delta) { return insert(delta, orders, now); });
    }
    TRY_VOID(check_key(key));
    const std::string payload = fingerprint(specs);
    return run<InsertResult>(now, [&](JobDelta& delta) -> Result<InsertResult> {
      TRY(const auto known, records_.key(key));
      if (known && known->payload != payload) return key_conflict(key);
      if (known) return repeated_answer(known->answer);
      TRY(auto result, insert(delta, orders, now));
      TRY_VOID(keep_key(delta, key, payload, result, now));
      return result;
    });
  }

  // --- workers ---------------------------------------------------------------------------------

  Result<Registration> announce(const WorkerSpec& spec, TimePoint now) override {
    if (spec.concurrency < 1) return fail(Code::InvalidArgument, "concurrency: must be 1 or more");
    Worker worker;
    worker.id = new_id(now);
    worker.spec = spec;
    worker.first_beat = worker.last_beat = now;
    TRY_VOID(run<void>(now, [&](JobDelta& delta) {
      delta.workers = delta.due = true;
      return workers_.insert(worker);
    }));
    return Registration{worker.id, options_.lease, options_.beat};
  }

  Result<Claimed> claim(const ClaimRequest& request, TimePoint now) override {
    const auto begin = std::chrono::steady_clock::now();
    const auto until = begin + request.wait;
    for (TimePoint at = now;;) {
      if (!memory_.touch(request.worker_id, at)) return unknown_worker(request.worker_id);
      TRY(auto claimed, look(request, at));
      if (!claimed.jobs.empty()) return claimed;
      ClaimLine::Place place(line_, request);
      // What became ready before it stood in line, nobody handed to it.
      if (auto answer = may_take(request) ? place.leave() : place.wait(until)) return *answer;
      const auto waited = std::chrono::steady_clock::now();
      if (request.stop.stop_requested()) return nothing_for(request.worker_id);
      if (waited >= until)
        return look(request, now + std::chrono::duration_cast<Duration>(waited - begin));
      at = now + std::chrono::duration_cast<Duration>(waited - begin);
    }
  }

  Result<BeatAnswer> beat(std::string_view worker_id, std::span<const Report> running,
                          TimePoint now) override {
    auto beat = memory_.beat(worker_id, running, now, now - kForgottenLeases * options_.lease);
    if (!beat) return unknown_worker(worker_id);
    if (!beat->forgotten.empty()) {
      TRY([[maybe_unused]] const auto freed, settle({}, beat->forgotten, now));
    }
    if (!beat->news.empty()) TRY_VOID(write_news(beat->news, now));
    beat->answer.lease = options_.lease;
    return std::move(beat->answer);
  }

  Status report(const Report& report, TimePoint now) override {
    return run<void>(
        now,
        [&](JobDelta&) -> Status {
          TRY(const auto row, held(report));
          if (!row) {
            TRY(const auto known, tables_.find(canonical_id(report.job_id)));
            return known ? lease_lost(report.job_id) : unknown_job(report.job_id);
          }
          memory_.told(row->worker, row->id_text(), report.progress, now);
          return write(*row, report, now);
        },
        CommitQueue::Durability::Relaxed);
  }

  Result<std::vector<Settled>> settle(std::string_view worker_id,
                                      std::span<const Settlement> settlements,
                                      TimePoint now) override {
    return run<std::vector<Settled>>(now, [&](JobDelta& delta) -> Result<std::vector<Settled>> {
      const auto worker = memory_.worker_row(worker_id);
      if (!worker && !worker_id.empty()) return unknown_worker(worker_id);
      TRY(auto rows, claims_of(settlements));
      if (worker)
        std::erase_if(rows, [&](const auto& row) { return row.second.worker != *worker; });
      std::vector<Settled> outcomes;
      std::vector<JobRow> completed;
      outcomes.reserve(settlements.size());
      for (const Settlement& settlement : settlements) {
        TRY(auto outcome, settle(delta, settlement, rows, completed, now));
        outcomes.push_back(std::move(outcome));
      }
      TRY_VOID(tables_.complete(delta, completed, now));
      return outcomes;
    });
  }

  Status leave(std::string_view worker_id, TimePoint now) override {
    return run<void>(now, [&](JobDelta& delta) -> Status {
      const auto worker = memory_.worker_row(worker_id);
      if (!worker) return unknown_worker(worker_id);
      TRY(auto rows, tables_.running(*worker, worker_id));
      for (JobRow& row : rows) TRY_VOID(release(delta, row, "its worker left", now));
      delta.workers = true;
      return workers_.remove(worker_id);
    });
  }

  // --- control ---------------------------------------------------------------------------------

  Result<Job> get(std::string_view id) override {
    return read<Job>([&]() -> Result<Job> {
      TRY(auto job, tables_.get(canonical_id(id)));
      if (!job) return unknown_job(id);
      return *std::move(job);
    });
  }

  Result<std::vector<JobEvent>> history(std::string_view id) override {
    return read<std::vector<JobEvent>>([&]() -> Result<std::vector<JobEvent>> {
      TRY(const auto row, tables_.find(canonical_id(id)));
      if (!row) return unknown_job(id);
      TRY(auto events, tables_.history(row->seq));
      add_heartbeats(events, memory_.last_beat(row->worker));
      return events;
    });
  }

  Result<JobPage> list(const JobQuery& query) override {
    if (query.limit < 1 || query.limit > kMaxPage) {
      return fail(Code::InvalidArgument, "limit: must be 1 to 1000");
    }
    return read<JobPage>([&] { return tables_.list(query); });
  }

  Result<JobLog> log(std::string_view id, int attempt, std::int64_t after) override {
    return read<JobLog>([&]() -> Result<JobLog> {
      TRY(const auto row, tables_.find(canonical_id(id)));
      if (!row) return unknown_job(id);
      TRY(auto log, records_.log({row->seq, attempt}, after));
      if (log.attempt == 0) log.attempt = row->attempt;
      return log;
    });
  }

  Result<Outcome> result(std::string_view id, TimePoint now) override {
    return read<Outcome>([&]() -> Result<Outcome> {
      TRY(const auto row, tables_.find(canonical_id(id)));
      if (!row) return unknown_job(id);
      TRY(auto json, records_.result(row->seq));
      Outcome outcome{.available = json.has_value(),
                      .state = row->state,
                      .json = json.value_or(""),
                      .retry_after = {}};
      if (!json) outcome.retry_after = expected(*row, now);
      return outcome;
    });
  }

  Status requeue(std::string_view id, TimePoint now) override {
    return run<void>(now, [&](JobDelta& delta) { return alter(delta, id, {}, now); });
  }

  Status remove(std::string_view id, std::string_view reason, TimePoint now) override {
    const Alteration deletion{.kind = Alteration::Kind::Delete, .reason = std::string(reason)};
    return run<void>(now, [&](JobDelta& delta) { return alter(delta, id, deletion, now); });
  }

  Result<std::vector<Worker>> workers(TimePoint now) override {
    return memory_.workers(now - options_.lease);
  }

  Result<std::vector<QueueStats>> queues(TimePoint) override { return memory_.stats(); }

  Result<std::int64_t> scheduled_until(std::string_view queue, TimePoint until) override {
    const auto scheduled = memory_.scheduled_until(queue, until);
    if (scheduled.partial.empty()) return scheduled.count;
    return read<std::int64_t>([&]() -> Result<std::int64_t> {
      // Anew: it may have changed on the way here.
      auto [count, partial] = memory_.scheduled_until(queue, until);
      const auto second = std::chrono::floor<std::chrono::seconds>(until);
      for (const std::int64_t id : partial) {
        TRY(const std::int64_t more, tables_.count_due(id, second, until));
        count += more;
      }
      return count;
    });
  }

  Result<bool> put_recurring(const RecurringSpec& spec, TimePoint now) override {
    TRY_VOID(validate(spec, options_.min_recurring_period));
    return run<bool>(now, [&](JobDelta& delta) { return recurring_.put(delta, spec, now); });
  }

  Result<std::vector<RecurringJob>> recurring() override {
    return read<std::vector<RecurringJob>>([&] { return recurring_.list(); });
  }

  Status remove_recurring(std::string_view id, TimePoint now) override {
    return run<void>(now, [&](JobDelta& delta) { return recurring_.remove(delta, id, now); });
  }

  Result<std::string> trigger_recurring(std::string_view id, TimePoint now) override {
    return run<std::string>(now,
                            [&](JobDelta& delta) { return recurring_.trigger(delta, id, now); });
  }

  // --- owner -----------------------------------------------------------------------------------

  void on_change(Listener listener) override { listener_ = std::move(listener); }

  Status set_worker_state(std::string_view worker_id, WorkerState state,
                          std::optional<TimePoint> drain_until, TimePoint now) override {
    return run<void>(now, [&](JobDelta& delta) -> Status {
      if (!memory_.worker_row(worker_id)) return unknown_worker(worker_id);
      delta.workers = true;
      delta.resumed = state == WorkerState::Run;
      return workers_.set_state(worker_id, state, drain_until);
    });
  }

  Status worker_died(std::string_view worker_id, const Crash& crash, TimePoint now) override {
    TRY(const bool known, bury(worker_id, crash, now, TimePoint::max()));
    return known ? Status() : unknown_worker(worker_id);
  }

  Result<std::int64_t> promote_due(TimePoint now) override {
    std::int64_t total = 0;
    for (;;) {
      if (const auto next = memory_.next_due(); !next || *next > now) return total;
      TRY(const std::int64_t count,
          run<std::int64_t>(now, [&](JobDelta& delta) { return promote_page(delta, now); }));
      total += count;
    }
  }

  Result<std::int64_t> rescue(TimePoint now) override {
    const TimePoint deadline = now - options_.lease;
    std::int64_t count = 0;
    for (const std::string& id : memory_.expired(deadline)) {
      const Crash lost{.detail = "no beat of its worker for one lease"};
      TRY(const bool buried, bury(id, lost, now, deadline));
      count += buried ? 1 : 0;
    }
    return count;
  }

  Result<std::int64_t> time_out(TimePoint now) override {
    std::int64_t total = 0;
    for (;;) {
      const auto next = memory_.next_end();
      if (!next || *next + options_.stop_grace > now) return total;
      TRY(const std::int64_t count,
          run<std::int64_t>(now, [&](JobDelta& delta) { return time_out_page(delta, now); }));
      if (count == 0) return total;
      total += count;
    }
  }

  Result<std::int64_t> expire(TimePoint now) override {
    TRY(std::int64_t total, expire_records(now));
    for (;;) {
      const auto succeeded = memory_.oldest_succeeded();
      const auto deleted = memory_.oldest_deleted();
      const bool retirable = succeeded && *succeeded <= now - options_.keep_succeeded;
      const bool purgeable = deleted && *deleted <= now - options_.keep_deleted;
      if (!retirable && !purgeable) return total;
      TRY(const std::int64_t count,
          run<std::int64_t>(now, [&](JobDelta& delta) { return expire_page(delta, now); }));
      total += count;
    }
  }

  Result<std::int64_t> plan_recurring(TimePoint now) override {
    std::int64_t count = 0;
    for (const std::string& id : memory_.due_recurring(now)) {
      TRY(const bool planned,
          run<bool>(now, [&](JobDelta& delta) { return recurring_.plan(delta, id, now); }));
      count += planned ? 1 : 0;
    }
    return count;
  }

  Result<std::optional<TimePoint>> next_chore(TimePoint) override {
    std::optional<TimePoint> next;
    const auto consider = [&](std::optional<TimePoint> at, Duration later) {
      if (at && (!next || *at + later < *next)) next = *at + later;
    };
    consider(memory_.next_due(), Duration::zero());
    consider(memory_.next_run(), Duration::zero());
    consider(memory_.oldest_beat(), options_.lease);
    consider(memory_.next_end(), options_.stop_grace);
    // Nobody waits for these, so jobs that ended within one minute go together.
    const auto in_minutes = [&](std::optional<TimePoint> at, Duration keep) {
      if (at) consider(next_minute(*at + keep), Duration::zero());
    };
    in_minutes(memory_.oldest_succeeded(), options_.keep_succeeded);
    in_minutes(memory_.oldest_deleted(), options_.keep_deleted);
    in_minutes(memory_.next_result(), Duration::zero());
    in_minutes(memory_.next_key(), Duration::zero());
    return next;
  }

  Result<std::optional<TimePoint>> next_due(std::string_view queue, TimePoint after) override {
    using Next = std::optional<TimePoint>;
    const auto concerned = [&](const QueueStats& stats) {
      return stats.scheduled > 0 && (queue.empty() || stats.queue == queue);
    };
    if (std::ranges::none_of(memory_.stats(), concerned)) return Next();  // and no statement
    return read<Next>([&]() -> Result<Next> {
      Next next;
      for (const auto& stats : memory_.stats()) {
        if (!concerned(stats)) continue;
        TRY(const Next at, tables_.next_due(memory_.queue(stats.queue)->id, after));
        if (at && (!next || *at < *next)) next = at;
      }
      return next;
    });
  }

  Result<std::vector<Status>> alter(std::span<const std::string> ids, const Alteration& alteration,
                                    TimePoint now) override {
    TRY_VOID(check_alteration(alteration, ids.size()));
    return run<std::vector<Status>>(now, [&](JobDelta& delta) -> Result<std::vector<Status>> {
      std::vector<Status> outcomes;
      outcomes.reserve(ids.size());
      for (const std::string& id : ids) {
        outcomes.push_back(alter(delta, id, alteration, now));
        if (!outcomes.back() && !is_answer(outcomes.back().error().code)) {
          return outcomes.back().error();
        }
      }
      return outcomes;
    });
  }

  Status pause_queue(std::string_view queue, bool paused, TimePoint now) override {
    TRY_VOID(check_queue(std::string(queue)));
    return run<void>(now, [&](JobDelta& delta) -> Status {
      TRY([[maybe_unused]] const bool changed, tables_.pause(delta, queue, paused));
      return {};
    });
  }

  Status pause_recurring(std::string_view id, bool paused, TimePoint now) override {
    return run<void>(now,
                     [&](JobDelta& delta) { return recurring_.pause(delta, id, paused, now); });
  }

  bool leads() const override { return true; }  // nobody else has the file

  Result<std::vector<Tally>> tallies() override { return memory_.tallies(); }

 private:
  // --- transactions ----------------------------------------------------------------------------

  // One item of the next transaction: the tables first, then the memory, after the commit those
  // who wait. Works judge before they write, so one that fails needs no savepoint.
  template <class T, class Work>
  Result<T> run(TimePoint now, const Work& work,
                CommitQueue::Durability durability = CommitQueue::Durability::Synced) {
    std::optional<Result<T>> result;
    Change change;
    ClaimLine::Served served;
    const Status status = file_.queue().run(
        [&]() -> Status {
          TRY_VOID(refresh(now));
          JobDelta delta;
          result.emplace(work(delta));
          if (!*result) return result->error();
          TRY_VOID(tables_.finish(delta));
          change = change_of(delta);
          if (change.ready_queues.empty() && !delta.resumed) return {};
          const auto hand_out = [&](const ClaimRequest& claim) { return turn(claim, now); };
          TRY_VOID(line_.serve(served, hand_out));
          change.workers |= !served.empty();
          return {};
        },
        [&](const Status& done) {
          line_.end(served, bool(done));
          if (done) announce(change);
        },
        CommitQueue::Mode::ChecksFirst, durability);
    if (!status) return status.error();
    return *std::move(result);
  }

  template <class T, class Work>
  Result<T> read(const Work& work) {
    return run<T>(
        TimePoint::min(), [&](JobDelta&) { return work(); }, CommitQueue::Durability::Relaxed);
  }

  // After a rollback the memory has been read anew; if that failed too, nothing is done until it
  // succeeds.
  Status refresh(TimePoint now) {
    latest_ = std::max(latest_, now);
    if (!stale_) return {};
    TRY_VOID(load());
    stale_ = false;
    return {};
  }

  Status load() {
    TRY_VOID(workers_.load(latest_));
    TRY_VOID(tables_.load());
    TRY_VOID(records_.load());
    return recurring_.load();
  }

  Change change_of(const JobDelta& delta) const {
    Change change;
    for (const auto& [id, lane] : delta.lanes) {
      if (lane.added) change.ready_queues.push_back(memory_.queue(memory_.lane(id)->queue)->name);
    }
    change.workers = delta.workers;
    change.due =
        delta.due || std::any_of(delta.queues.begin(), delta.queues.end(),
                                 [](const auto& queue) { return !queue.second.due.empty(); });
    return change;
  }

  void announce(const Change& change) {
    const bool ready = !change.ready_queues.empty();
    if (listener_ && (ready || change.workers || change.due)) listener_(change);
  }

  // --- parts of the calls ----------------------------------------------------------------------

  // Gathers new jobs, so that one statement takes many.
  class Inserter {
   public:
    Inserter(SqliteJobStore& store, JobDelta& delta, TimePoint now)
        : store_(store), delta_(delta), now_(now) {}

    Status add(const Order& order) {
      TRY(const bool known, add_existing(order));
      result_.total += order.texts.count();
      if (known) return {};
      const JobSpec& spec = *order.spec;
      NewJob job;
      job.spec = &spec;
      job.run_at = order.run_at;
      job.max_attempts = max_attempts_of(store_.options_.retry, spec);
      job.extra = to_text(spec.extra);
      TRY(job.lane, store_.tables_.lane(spec.queue, spec.kind, spec.priority));
      job.event = order.event;
      for (std::int64_t i = 0; i < order.texts.count(); ++i) {
        job.id = spec.id.empty() ? new_id(now_) : canonical_id(spec.id);
        job.name = order.texts.name(i);
        job.labels = order.texts.labels(i);
        job.args = order.texts.args(i);
        if (i < kShownIds) result_.jobs.push_back({job.id, state_of(order), true});
        waiting_.push_back(job);
        if (waiting_.size() == kStatementRows) TRY_VOID(write());
      }
      return {};
    }

    Result<InsertResult> finish() {
      TRY_VOID(write());
      return std::move(result_);
    }

   private:
    static constexpr std::size_t kStatementRows = 500;

    // What an id of this call stands for.
    struct Given {
      const JobSpec* spec;
      JobState state;
    };

    static JobState state_of(const Order& order) {
      return order.run_at ? JobState::Scheduled : JobState::Enqueued;
    }

    // An id that exists in the table or in this very call names that job. Its payload must be the
    // same: else the producer would believe that something is done that never will be.
    Result<bool> add_existing(const Order& order) {
      if (order.spec->id.empty()) return false;
      const std::string id = canonical_id(order.spec->id);
      const auto [named, fresh] = given_.try_emplace(id, Given{order.spec, state_of(order)});
      if (fresh) {
        TRY(const auto job, store_.tables_.get(id));
        if (!job) return false;
        if (!same_payload(payload_of(*job), payload_of(*order.spec))) return conflict(order);
        named->second.state = job->state;
      } else if (!same_payload(payload_of(*named->second.spec), payload_of(*order.spec))) {
        return conflict(order);
      }
      result_.jobs.push_back({id, named->second.state, false});
      return true;
    }

    static Fault conflict(const Order& order) {
      return fail(Code::AlreadyExists,
                  fmt::format("jobs[{}].id: job {} exists with another payload", order.index,
                              order.spec->id));
    }

    Status write() {
      if (waiting_.empty()) return {};
      TRY([[maybe_unused]] const auto first, store_.tables_.insert(delta_, waiting_, now_));
      result_.created += static_cast<std::int64_t>(waiting_.size());
      waiting_.clear();
      return {};
    }

    SqliteJobStore& store_;
    JobDelta& delta_;
    const TimePoint now_;
    std::vector<NewJob> waiting_;
    std::map<std::string, Given> given_;  // by id
    InsertResult result_;
  };

  Result<InsertResult> insert(JobDelta& delta, const std::vector<Order>& orders, TimePoint now) {
    Inserter inserter(*this, delta, now);
    for (const Order& order : orders) TRY_VOID(inserter.add(order));
    return inserter.finish();
  }

  Status keep_key(JobDelta& delta, std::string_view key, const std::string& payload,
                  const InsertResult& result, TimePoint now) {
    std::optional<std::int64_t> first;
    if (!result.jobs.empty()) {
      TRY(const auto row, tables_.find(result.jobs.front().id));
      if (row) first = row->seq;
    }
    delta.due = true;
    return records_.put_key(key, {payload, answer_text(result)}, first, now + options_.keep_keys);
  }

  // What people are told of one job; all else is a failure of the whole.
  static bool is_answer(Code code) { return code == Code::NotFound || code == Code::Conflict; }

  // It judges before it writes.
  Status alter(JobDelta& delta, std::string_view id, const Alteration& alteration, TimePoint now) {
    TRY(auto row, tables_.find(canonical_id(id)));
    if (!row) return unknown_job(id);
    const auto because = [&](std::string_view otherwise) {
      return alteration.reason.empty() ? std::string(otherwise) : alteration.reason;
    };
    switch (alteration.kind) {
      case Alteration::Kind::Requeue:
        return requeue(delta, *row, because("requeued"), now);
      case Alteration::Kind::Delete:
        TRY_VOID(may_go(*row, JobState::Deleted));
        return tables_.move(delta, *row, JobState::Deleted, now,
                            reason_event(because("deleted by request")));
      case Alteration::Kind::Reschedule:
        return reschedule(delta, *row, alteration.run_at, because("rescheduled"), now);
      case Alteration::Kind::Move:
      case Alteration::Kind::Prioritize:
        break;
    }
    return shift(delta, *row, alteration, now);
  }

  static Status may_go(const JobRow& row, JobState to) {
    if (!transition_allowed(row.state, to)) return illegal(row.state, to);
    return {};
  }

  Status requeue(JobDelta& delta, JobRow& row, std::string_view reason, TimePoint now) {
    TRY_VOID(may_go(row, JobState::Enqueued));
    row.attempt = row.failures = row.crashes = 0;
    return tables_.move(delta, row, JobState::Enqueued, now, reason_event(reason));
  }

  Status reschedule(JobDelta& delta, JobRow& row, TimePoint at, std::string_view reason,
                    TimePoint now) {
    const bool failed = row.state == JobState::Failed;
    const bool waits = row.state == JobState::Scheduled || row.state == JobState::Enqueued;
    if (!failed && !waits) return illegal(row.state, JobState::Scheduled);
    if (failed) row.attempt = row.failures = row.crashes = 0;
    if (at > now) {
      return tables_.move(delta, row, JobState::Scheduled, now, scheduled_event(at, reason), at);
    }
    if (row.state == JobState::Enqueued) return {};
    return tables_.move(delta, row, JobState::Enqueued, now, reason_event(reason));
  }

  Status shift(JobDelta& delta, JobRow& row, const Alteration& alteration, TimePoint now) {
    if (row.state != JobState::Scheduled && row.state != JobState::Enqueued) {
      return fail(Code::Conflict, fmt::format("illegal_transition: {} jobs stay where they are",
                                              to_string(row.state)));
    }
    const Lane& from = tables_.lane_of(row);
    const bool moves = alteration.kind == Alteration::Kind::Move;
    const std::string& queue = moves ? alteration.queue : memory_.queue(from.queue)->name;
    TRY(const std::int64_t lane,
        tables_.lane(queue, from.kind, moves ? from.priority : alteration.priority));
    if (lane == row.lane) return {};
    return tables_.shift(delta, row, lane, now, change_event(alteration));
  }

  static const std::vector<std::string>& wanted(const std::vector<std::string>& asked,
                                                const std::vector<std::string>& registered) {
    return asked.empty() ? registered : asked;
  }

  // Relaxed: of a claim that the disk forgot the jobs are ready again, and its tokens are worth
  // nothing, as after any lost lease. So no job waits for a second sync before it starts.
  Result<Claimed> take(const ClaimRequest& request, TimePoint now) {
    return run<Claimed>(
        now, [&](JobDelta& delta) { return take(delta, request, now); },
        CommitQueue::Durability::Relaxed);
  }

  // The answer's state is the one that it looked in: who may run and gets nothing is told that
  // there was nothing.
  Result<Claimed> look(const ClaimRequest& request, TimePoint now) {
    const auto worker = memory_.worker(request.worker_id);
    if (!worker) return unknown_worker(request.worker_id);
    if (!may_take(*worker, request)) return Claimed{{}, worker->state};
    return take(request, now);
  }

  bool may_take(const Worker& worker, const ClaimRequest& request) const {
    return worker.state == WorkerState::Run && request.limit > 0 &&
           memory_.ready(wanted(request.queues, worker.spec.queues),
                         wanted(request.kinds, worker.spec.kinds));
  }

  bool may_take(const ClaimRequest& request) const {
    const auto worker = memory_.worker(request.worker_id);
    return worker && may_take(*worker, request);
  }

  Result<Claimed> nothing_for(std::string_view worker_id) const {
    const auto worker = memory_.worker(worker_id);
    if (!worker) return unknown_worker(worker_id);
    return Claimed{{}, worker->state};
  }

  // Of a claim that waits, in the transaction of what made a job ready.
  Result<ClaimLine::Turn> turn(const ClaimRequest& claim, TimePoint now) {
    if (!memory_.worker_row(claim.worker_id)) {
      return ClaimLine::Turn{.answer = unknown_worker(claim.worker_id)};
    }
    if (!memory_.ready({}, {})) return ClaimLine::Turn{.left = false};
    JobDelta delta;
    TRY(auto claimed, take(delta, claim, now));
    TRY_VOID(tables_.finish(delta));
    return ClaimLine::Turn{.answer = std::move(claimed)};
  }

  Result<Claimed> take(JobDelta& delta, const ClaimRequest& request, TimePoint now) {
    const auto worker = memory_.worker(request.worker_id);
    const auto row = memory_.worker_row(request.worker_id);
    if (!worker || !row) return unknown_worker(request.worker_id);
    Claimed claimed{{}, worker->state};
    if (worker->state != WorkerState::Run) return claimed;
    const auto choices = memory_.choices(wanted(request.queues, worker->spec.queues),
                                         wanted(request.kinds, worker->spec.kinds));
    const JobTables::Claimer claimer{*row, worker->id, tables_.new_token()};
    const int most = std::min(kMaxClaim, worker->spec.concurrency + worker->spec.prefetch);
    const auto limit = static_cast<std::size_t>(std::min(request.limit, most));
    for (auto at = choices.begin(); at != choices.end() && claimed.jobs.size() < limit;) {
      std::vector<std::int64_t> lanes;
      const std::size_t rank = at->rank;
      for (; at != choices.end() && at->rank == rank; ++at) lanes.push_back(at->lane);
      const int left = static_cast<int>(limit - claimed.jobs.size());
      TRY_VOID(tables_.claim(delta, std::move(lanes), left, claimer, now, claimed.jobs));
    }
    if (!claimed.jobs.empty()) TRY_VOID(tables_.write_holds(delta, claimer));
    return claimed;
  }

  using Rows = std::unordered_map<std::int64_t, JobRow>;  // by seq

  // The jobs that the tokens speak of.
  Result<Rows> claims_of(std::span<const Settlement> settlements) {
    std::vector<std::int64_t> seqs;
    seqs.reserve(settlements.size());
    for (const Settlement& settlement : settlements) {
      if (const auto token = lock_token(settlement.lock_token)) seqs.push_back(token->seq);
    }
    TRY(const auto found, tables_.find(seqs));
    Rows rows;
    rows.reserve(found.size());
    for (const JobRow& row : found) rows.emplace(row.seq, row);
    return rows;
  }

  // Completions are written together at the end; a row that was settled is no longer held, so a
  // second settlement of it in the same call finds its lease lost.
  Result<Settled> settle(JobDelta& delta, const Settlement& settlement, Rows& rows,
                         std::vector<JobRow>& completed, TimePoint now) {
    Settled settled;
    settled.job_id = settlement.job_id;
    JobRow* row = held(settlement, rows);
    if (row == nullptr) {
      TRY(const auto known, tables_.find(canonical_id(settlement.job_id)));
      settled.status = known ? lease_lost(settlement.job_id) : unknown_job(settlement.job_id);
      return settled;
    }
    switch (settlement.kind) {
      case Settlement::Kind::Complete:
        if (!settlement.result.empty()) {
          settled.status = check_result(settlement.result);
          if (!settled.status) return settled;
          TRY_VOID(keep_result(delta, *row, settlement.result, now));
        }
        completed.push_back(*row);
        row->state = JobState::Succeeded;
        break;
      case Settlement::Kind::Fail:
        TRY_VOID(settlement.crash ? crash(delta, *row, *settlement.crash, now)
                                  : fail_attempt(delta, *row, settlement.failure, now));
        break;
      case Settlement::Kind::Release:
        TRY_VOID(release(delta, *row, settlement.reason, now));
        break;
      case Settlement::Kind::Snooze:
        row->attempt = row->failures;
        TRY_VOID(run_again(delta, *row, settlement.after, "snoozed", now));
        break;
    }
    settled.state = row->state;
    settled.run_at = row->run_at;
    return settled;
  }

  // The job, if the claim of that token still holds it.
  static bool holds(const JobRow& row, const LockToken& token, std::string_view job_id) {
    return row.state == JobState::Processing && row.token == token.token &&
           row.id == uuid_bytes(is_uuid(job_id) ? job_id : std::string_view(name_id(job_id)));
  }

  static JobRow* held(const Settlement& settlement, Rows& rows) {
    const auto token = lock_token(settlement.lock_token);
    const auto found = token ? rows.find(token->seq) : rows.end();
    if (found == rows.end()) return nullptr;
    return holds(found->second, *token, settlement.job_id) ? &found->second : nullptr;
  }

  Result<std::optional<JobRow>> held(const Report& report) {
    const auto token = lock_token(report.lock_token);
    if (!token) return std::optional<JobRow>();
    TRY(auto row, tables_.find(token->seq));
    if (row && !holds(*row, *token, report.job_id)) row.reset();
    return row;
  }

  // --- what running jobs tell ------------------------------------------------------------------

  // Relaxed, like all that they tell: it is for people who look on.
  Status write_news(const std::vector<const Report*>& news, TimePoint now) {
    return run<void>(
        now,
        [&](JobDelta&) -> Status {
          for (const Report* report : news) {
            TRY(const auto row, held(*report));
            if (row) TRY_VOID(write(*row, *report, now));
          }
          return {};
        },
        CommitQueue::Durability::Relaxed);
  }

  Status write(const JobRow& row, const Report& report, TimePoint now) {
    const JobRecords::Attempt attempt{row.seq, row.attempt};
    if (report.progress) TRY_VOID(records_.put_progress(attempt, *report.progress));
    return records_.append(attempt, report.logs, now);
  }

  // When to ask again for a job's result; zero: it has ended.
  Duration expected(const JobRow& row, TimePoint now) {
    const Lane& lane = tables_.lane_of(row);
    const Tally tally = memory_.tally(lane.queue, lane.kind);
    switch (row.state) {
      case JobState::Processing:
        return expected_rest(tally, Duration::zero(), now - row.updated_at);
      case JobState::Scheduled:
        return expected_rest(tally, row.run_at.value_or(now) - now, Duration::zero());
      case JobState::Succeeded:
      case JobState::Failed:
      case JobState::Deleted:
        return Duration::zero();
      default:
        return expected_rest(tally, Duration::zero(), Duration::zero());
    }
  }

  Status keep_result(JobDelta& delta, const JobRow& row, const std::string& json, TimePoint now) {
    TRY(const Extra extra, extra_of(row.extra));
    const auto expires = extra.result_ttl ? std::optional(now + *extra.result_ttl) : std::nullopt;
    if (expires) delta.due = true;
    return records_.put_result(row.seq, json, expires);
  }

  // The failure and the retry that follows from it are one transaction with two events. `cancel`:
  // what the worker is told if it does not know of it.
  Status fail_attempt(JobDelta& delta, JobRow& row, const Failure& failure, TimePoint now,
                      std::string_view cancel = {}) {
    TRY(const Extra extra, extra_of(row.extra));
    const OwnRetry own{row.retries, extra.retry};
    const std::string& kind = tables_.lane_of(row).kind;
    const RetryChoice choice = choose_retry(options_.retry, own, kind, failure.type);
    const bool never = choice.never || failure.retry == RetryRule::Never;
    if (!choice.never) row.max_attempts = choice.max_retries + 1;
    row.failures += 1;
    Tally& tally = delta.lanes[row.lane].tally;
    tally.failed += 1;
    tally.run.add(now - row.updated_at);
    const std::string event = failed_event(failure, row.attempt, row.max_attempts, never);
    TRY_VOID(tables_.move(delta, row, JobState::Failed, now, event, std::nullopt, cancel));
    const auto after =
        failure.retry == RetryRule::After ? std::optional(failure.after) : std::nullopt;
    const RetryDecision retry =
        decide_retry(*choice.policy, {row.failures, choice.max_retries}, never, after,
                     choice.policy->jitter > 0 ? tables_.random_unit() : 0.5);
    if (!retry.delay) return {};
    delta.lanes[row.lane].tally.retried += 1;
    return run_again(delta, row, *retry.delay, retry.reason, now);
  }

  Status run_again(JobDelta& delta, JobRow& row, Duration delay, std::string_view reason,
                   TimePoint now) {
    if (delay <= Duration::zero()) {
      return tables_.move(delta, row, JobState::Enqueued, now, reason_event(reason));
    }
    const TimePoint at = now + delay;
    return tables_.move(delta, row, JobState::Scheduled, now, scheduled_event(at, reason), at);
  }

  Status release(JobDelta& delta, JobRow& row, std::string_view reason, TimePoint now) {
    row.attempt = row.failures;
    const std::string text =
        reason.empty() ? std::string("released") : "released: " + std::string(reason);
    return tables_.move(delta, row, JobState::Enqueued, now, reason_event(text));
  }

  Status crash(JobDelta& delta, JobRow& row, const Crash& how, TimePoint now) {
    row.crashes += 1;
    row.attempt = row.failures;
    delta.lanes[row.lane].tally.crashed += 1;
    const auto delay = crash_delay(options_.retry.policy, row.crashes, row.max_crashes);
    if (!delay) {
      delta.lanes[row.lane].tally.quarantined += 1;
      return tables_.move(delta, row, JobState::Failed, now, crash_limit_event(how, row.crashes));
    }
    return run_again(delta, row, *delay, crash_reason(how, row.crashes, row.max_crashes), now);
  }

  // Takes back what a dead worker held and forgets it. False: it is not known, or it gave a sign of
  // life after `deadline`.
  Result<bool> bury(std::string_view worker_id, const Crash& how, TimePoint now,
                    TimePoint deadline) {
    return run<bool>(now, [&](JobDelta& delta) -> Result<bool> {
      const auto worker = memory_.worker(worker_id);
      const auto worker_row = memory_.worker_row(worker_id);
      if (!worker || !worker_row || worker->last_beat > deadline) return false;
      TRY(auto rows, tables_.running(*worker_row, worker_id));
      Crash known = how;
      known.build = worker->spec.version;
      for (JobRow& row : rows) TRY_VOID(crash(delta, row, known, now));
      delta.workers = true;
      TRY_VOID(workers_.remove(worker_id));
      return true;
    });
  }

  Result<std::int64_t> promote_page(JobDelta& delta, TimePoint now) {
    for (const auto& stats : memory_.stats()) {
      const QueueCounts* queue = memory_.queue(stats.queue);
      if (!queue->next_due || *queue->next_due > now) continue;
      return tables_.promote(delta, queue->id, now, options_.page);
    }
    return 0;
  }

  Result<std::int64_t> time_out_page(JobDelta& delta, TimePoint now) {
    std::int64_t count = 0;
    for (const std::int64_t seq : memory_.ended(now - options_.stop_grace, options_.page)) {
      TRY(auto row, tables_.find(seq));
      if (!row || row->state != JobState::Processing) continue;
      TRY(const Extra extra, extra_of(row->extra));
      TRY_VOID(fail_attempt(delta, *row, timed_out(extra, now - row->updated_at), now, "timeout"));
      ++count;
    }
    return count;
  }

  Result<std::int64_t> expire_records(TimePoint now) {
    std::int64_t total = 0;
    if (const auto next = memory_.next_result(); next && *next <= now) {
      TRY(total, run<std::int64_t>(now, [&](JobDelta&) { return records_.expire_results(now); }));
    }
    for (;;) {
      if (const auto next = memory_.next_key(); !next || *next > now) return total;
      TRY(const std::int64_t count, run<std::int64_t>(now, [&](JobDelta&) {
            return records_.expire_keys(now, options_.keep_keys, options_.page);
          }));
      total += count;
    }
  }

  Result<std::int64_t> expire_page(JobDelta& delta, TimePoint now) {
    const int page = options_.page;
    TRY(const auto purged, tables_.purge(delta, now - options_.keep_deleted, page));
    TRY(const auto retired, tables_.retire(delta, now - options_.keep_succeeded, now, page));
    TRY_VOID(tables_.refresh_retention());
    return purged + retired;
  }

  SqliteFile& file_;
  const JobStoreOptions options_;
  JobMemory memory_;
  JobTables tables_;  // these and the next three belong to the commit thread
  WorkerTable workers_;
  RecurringTable recurring_;
  JobRecords records_;
  ClaimLine line_;
  TimePoint latest_ = TimePoint::min();
  bool stale_ = false;
  Listener listener_;
};

}  // namespace

Result<std::unique_ptr<JobStoreOwner>> open_job_store(SqliteFile& file, TimePoint now,
                                                      JobStoreOptions options) {
  auto store = std::make_unique<SqliteJobStore>(file, std::move(options));
  TRY_VOID(store->start(now));
  return std::unique_ptr<JobStoreOwner>(std::move(store));
}

}  // namespace jobmill::sqlite
