// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/postgres_job_store.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

#include <fmt/core.h>

#include "base/id.h"
#include "jobs/job_template.h"
#include "jobs/payload.h"
#include "jobs/request_key.h"
#include "store/alteration.h"
#include "store/job_events.h"
#include "store/postgres/claim_line.h"
#include "store/postgres/job_reader.h"
#include "store/postgres/job_records.h"
#include "store/postgres/job_tables.h"
#include "store/postgres/job_views.h"
#include "store/postgres/job_writer.h"
#include "store/postgres/lanes.h"
#include "store/postgres/migrations.h"
#include "store/postgres/producers.h"
#include "store/postgres/recurring_rows.h"
#include "store/postgres/storage_clock.h"
#include "store/postgres/tally_book.h"
#include "store/postgres/tally_rows.h"
#include "store/postgres/transitions.h"
#include "store/postgres/watcher.h"
#include "store/postgres/worker_rows.h"

namespace jobmill::postgres {
namespace {

using namespace jobs;
using std::chrono::steady_clock;

constexpr std::int64_t kShownIds = 10;  // of a spec with a count
constexpr int kMaxClaim = 10'000;
constexpr int kMaxPage = 1000;

// Beats without a word of a job before its claim counts as never received.
constexpr int kForgottenLeases = 2;
constexpr std::chrono::seconds kSecondLook{1};  // at lost workers, after this process slept

// How long the counts of producers' transactions may stand for themselves.
constexpr Duration kFoldCounts = std::chrono::seconds(10);

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

// An empty database is made ready by whoever comes first; an older one is for `jobmill migrate`.
Status prepare_schema(Connection& connection) {
  TRY(const int version, schema_version(connection));
  return version == 0 ? migrate(connection) : check_schema(connection);
}

TimePoint next_minute(TimePoint at) { return std::chrono::ceil<std::chrono::minutes>(at); }

// A spec that was checked, before anything is asked of the database.
struct Order {
  std::size_t index;
  const JobSpec* spec;
  JobTemplate texts;
};

Result<std::vector<Order>> check(std::span<const JobSpec> specs) {
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
    orders.push_back({i, &specs[i], *std::move(texts)});
  }
  return orders;
}

bool timed(const Order& order) { return order.spec->delay || order.spec->run_at; }
bool named(const Order& order) { return !order.spec->id.empty(); }

// Whether nobody can have used a name for long: a client makes them, with the time in them, so that
// it may repeat its request.
bool made_just_now(const Order& order, TimePoint now) {
  const std::string id = canonical_id(order.spec->id);
  constexpr std::size_t kVersion = 14;
  if (id[kVersion] != '7') return false;
  const std::string digits = id.substr(0, 8) + id.substr(9, 4);
  std::int64_t millis = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), millis, 16);
  const Duration age = now.time_since_epoch() - std::chrono::milliseconds(millis);
  return age > -std::chrono::seconds(1) && age < std::chrono::seconds(1);
}

// Rows of one statement. More go out in parts of one transaction, so that a million jobs take no
// more memory than these.
constexpr std::size_t kStatementRows = 5000;

// What a call of insert writes, and its answer.
struct Inserting {
  std::vector<NewJob> jobs;
  std::deque<std::string> events;  // what the jobs' views look at
  InsertResult result;
  std::int64_t written = 0;
  const Lane* lane = nullptr;                 // of the last one
  std::function<Status(Inserting&)> write{};  // a full part; without it there is only one
};

class PostgresJobStore final : public JobStoreOwner {
 public:
  PostgresJobStore(const Url& url, JobStoreOptions options)
      : options_(std::move(options)),
        lanes_(options_.queues),
        times_(options_.clock),
        reader_(url, options_.connect, options_.clock),
        writer_({.url = url,
                 .connect = options_.connect,
                 .clock = options_.clock,
                 .committed = [this](const Effects& effects) { committed(effects); }},
                lanes_, line_),
        watcher_({.url = url,
                  .connect = options_.connect,
                  .leads = options_.leads,
                  .told = [this](const Effects& effects, int sender) { told(effects, sender); },
                  .returned = [this] { returned(); },
                  .leading =
                      [this] {
                        settings_due_ = true;
                        announce({.ready_queues = {}, .workers = true, .due = true});
                      }}) {}

  ~PostgresJobStore() override { book_.close(); }  // with the writer that it needs

  // The listener may be called from now on; it is set before the first other call.
  Status start() {
    TRY_VOID(reader_.run(prepare_schema));
    TRY_VOID(watcher_.open());
    TRY_VOID(writer_.open());
    TRY_VOID(load_lanes());
    TRY_VOID(put_settings());
    TRY(const TimePoint now,
        reader_.run([](Connection& connection) { return storage_now(connection); }));
    times_.measure(now);
    return {};
  }

  // --- producers -------------------------------------------------------------------------------

  Result<InsertResult> insert(std::span<const JobSpec> specs, TimePoint now,
                              std::string_view key) override {
    TRY(const auto orders, check(specs));
    if (!key.empty()) return insert_with_key(orders, specs, now, key);
    std::int64_t total = 0;
    for (const Order& order : orders) total += order.texts.count();
    const bool large = total > static_cast<std::int64_t>(kStatementRows);
    if (large) return insert_alone(orders, now);
    const bool some_named = std::ranges::any_of(orders, named);
    const bool doubtful = std::ranges::any_of(
        orders, [&](const Order& order) { return named(order) && !made_just_now(order, now); });
    if (doubtful) {
      TRY(const bool known, any_known(orders));
      if (known) return insert_alone(orders, now);
    }
    std::optional<TimePoint> at;
    if (std::ranges::any_of(orders, timed)) {
      TRY(at, reader_.run([](Connection& connection) { return storage_now(connection); }));
    }
    TRY_VOID(make_lanes(orders));
    Inserting inserting;
    inserting.jobs.reserve(static_cast<std::size_t>(total));
    for (const Order& order : orders) TRY_VOID(add(inserting, order, at, now));
    const Status written = writer_.insert(inserting.jobs);
    // Somebody made the same one meanwhile, or it is named twice.
    const bool raced = some_named && !written && written.error().code == Code::AlreadyExists;
    if (raced) return insert_alone(orders, now);
    TRY_VOID(written);
    return std::move(inserting.result);
  }

  // --- workers ---------------------------------------------------------------------------------

  Result<Registration> announce(const WorkerSpec& spec, TimePoint now) override {
    if (spec.concurrency < 1) return fail(Code::InvalidArgument, "concurrency: must be 1 or more");
    const std::string id = new_id(now);
    const Status written = writer_.run([&](Connection& connection, Effects& effects) -> Status {
      effects.workers = effects.due = true;
      TRY(const std::int32_t number, add_worker(connection, id, spec));
      remember(id, {number, spec});
      return {};
    });
    TRY_VOID(written);
    return Registration{id, options_.lease, options_.beat};
  }

  Result<Claimed> claim(const ClaimRequest& request, TimePoint) override {
    const auto until = steady_clock::now() + request.wait;
    TRY(const auto worker, info(request.worker_id));
    if (!worker) return unknown_worker(request.worker_id);
    ClaimLine::Place place(
        line_, [&] { return claim_of(request, *worker); }, request.stop);
    for (;;) {
      TRY(auto claimed, take(request, *worker));
      if (!claimed.jobs.empty()) return claimed;
      auto news = place.wait(until);
      if (!news) return claimed;
      if (!news->answer) continue;
      TRY(auto handed, accept(news->claim, *std::move(news->answer)));
      return Claimed{std::move(handed.jobs), handed.state};
    }
  }

  Result<BeatAnswer> beat(std::string_view worker_id, std::span<const Report> running,
                          TimePoint) override {
    std::vector<std::string> ids;
    std::vector<std::int64_t> tokens;
    for (const Report& report : running) {
      ids.push_back(canonical_id(report.job_id));
      tokens.push_back(token_of(report.lock_token).value_or(0));
    }
    BeatRow row;
    const Status written = writer_.run([&](Connection& connection, Effects&) -> Status {
      TRY(row, beat_worker(connection, worker_id, ids, tokens));
      for (std::size_t i = 0; i < row.jobs.size(); ++i) {
        if (row.jobs[i].held) TRY_VOID(hear(connection, running[i], ids[i], row.jobs[i], row.now));
      }
      return {};
    });
    TRY_VOID(written);
    if (!row.known) return unknown_worker(worker_id);
    TRY_VOID(give_back_forgotten(worker_id, row, ids));
    BeatAnswer answer;
    answer.state = row.state;
    answer.drain_until = times_.to_caller(row.drain_until);
    answer.lease = options_.lease;
    for (std::size_t i = 0; i < row.jobs.size(); ++i) {
      if (const char* why = cancel_reason(row.jobs[i], row.now)) {
        answer.cancel.push_back({running[i].job_id, why});
      }
    }
    return answer;
  }

  Status report(const Report& report, TimePoint) override {
    const std::string id = canonical_id(report.job_id);
    const auto token = token_of(report.lock_token);
    return writer_.run([&](Connection& connection, Effects&) -> Status {
      TRY(const auto rows, lock_jobs(connection, std::span(&id, 1)));
      if (rows.empty()) return unknown_job(report.job_id);
      const JobRow& row = rows.begin()->second;
      if (!token || !holds(row, *token, 0)) return lease_lost(report.job_id);
      TRY(const TimePoint now, storage_now(connection));
      BeatRow::Job job{.held = true, .attempt = row.ran};
      return hear(connection, report, id, job, now);
    });
  }

  Result<std::vector<Settled>> settle(std::string_view worker_id,
                                      std::span<const Settlement> settlements, TimePoint) override {
    std::int32_t worker = 0;
    if (!worker_id.empty()) {
      TRY(const auto known, info(worker_id));
      if (!known) return unknown_worker(worker_id);
      worker = known->number;
    }
    const bool plain = std::ranges::all_of(settlements, [](const Settlement& settlement) {
      return settlement.kind == Settlement::Kind::Complete && settlement.result.empty();
    });
    return plain ? complete(settlements, worker, worker_id)
                 : settle_one_by_one(settlements, worker, worker_id);
  }

  Status leave(std::string_view worker_id, TimePoint) override {
    TRY(const bool known, bury(worker_id, {}, [](JobRow row, const RetryContext&, TimePoint) {
          return release(std::move(row), "its worker left");
        }));
    return known ? Status() : unknown_worker(worker_id);
  }

  // --- control ---------------------------------------------------------------------------------

  Result<Job> get(std::string_view id) override {
    TRY(auto job, find(id));
    if (!job) return unknown_job(id);
    return *std::move(job);
  }

  Result<std::vector<JobEvent>> history(std::string_view id) override {
    TRY(auto events, reader_.run([&](Connection& connection) {
      return postgres::history(connection, canonical_id(id));
    }));
    if (events.empty()) return unknown_job(id);
    for (JobEvent& event : events) event.at = times_.to_caller(event.at);
    return events;
  }

  Result<JobPage> list(const JobQuery& query) override {
    if (query.limit < 1 || query.limit > kMaxPage) {
      return fail(Code::InvalidArgument, "limit: must be 1 to 1000");
    }
    TRY_VOID(load_lanes());
    TRY(auto page, reader_.run([&](Connection& connection) {
      return postgres::list(connection, lanes_, query);
    }));
    for (Job& job : page.items) times_.translate(job);
    return page;
  }

  Result<JobLog> log(std::string_view id, int attempt, std::int64_t after) override {
    TRY(const Job job, get(id));
    TRY(auto log, reader_.run([&](Connection& connection) {
      return read_log(connection, job.id, attempt, after);
    }));
    if (log.attempt == 0) log.attempt = job.attempt;
    return log;
  }

  Result<Outcome> result(std::string_view id, TimePoint now) override {
    TRY(const Job job, get(id));
    TRY(auto json,
        reader_.run([&](Connection& connection) { return read_result(connection, job.id); }));
    Outcome outcome{.available = json.has_value(),
                    .state = job.state,
                    .json = json.value_or(""),
                    .retry_after = {}};
    if (!json) outcome.retry_after = expected(job, now);
    return outcome;
  }

  Status requeue(std::string_view id, TimePoint) override {
    return change(id, JobState::Enqueued, [](JobRow row) { return postgres::requeue(row); });
  }

  Status remove(std::string_view id, std::string_view reason, TimePoint) override {
    return change(id, JobState::Deleted,
                  [&](JobRow row) { return postgres::remove(std::move(row), reason); });
  }

  Result<std::vector<Worker>> workers(TimePoint) override {
    TRY(auto workers, reader_.run([&](Connection& connection) {
      return live_workers(connection, options_.lease);
    }));
    for (Worker& worker : workers) {
      worker.first_beat = times_.to_caller(worker.first_beat);
      worker.last_beat = times_.to_caller(worker.last_beat);
      worker.oldest_start = times_.to_caller(worker.oldest_start);
      worker.drain_until = times_.to_caller(worker.drain_until);
    }
    return workers;
  }

  Result<std::vector<QueueStats>> queues(TimePoint) override {
    TRY_VOID(load_lanes());
    TRY(auto queues,
        reader_.run([&](Connection& connection) { return queue_stats(connection, lanes_); }));
    for (QueueStats& stats : queues) stats.oldest = times_.to_caller(stats.oldest);
    return queues;
  }

  Result<std::int64_t> scheduled_until(std::string_view queue, TimePoint until) override {
    TRY_VOID(load_lanes());
    return reader_.run([&](Connection& connection) {
      return count_due(connection, lanes_.of_queue(queue), times_.to_storage(until));
    });
  }

  Result<bool> put_recurring(const RecurringSpec& spec, TimePoint) override {
    TRY_VOID(validate(spec, options_.min_recurring_period));
    return in_recurring<bool>([&](RecurringRows& rows) { return rows.put(spec); });
  }

  Result<std::vector<RecurringJob>> recurring() override {
    TRY(auto all, reader_.run([](Connection& connection) { return recurring_jobs(connection); }));
    for (RecurringJob& job : all) {
      job.created_at = times_.to_caller(job.created_at);
      for (auto* at : {&job.next_run, &job.last_run, &job.first_skipped, &job.last_skipped}) {
        *at = times_.to_caller(*at);
      }
    }
    return all;
  }

  Status remove_recurring(std::string_view id, TimePoint) override {
    TRY([[maybe_unused]] const bool removed,
        in_recurring<bool>([&](RecurringRows& rows) -> Result<bool> {
          TRY_VOID(rows.remove(id));
          return true;
        }));
    return {};
  }

  Result<std::string> trigger_recurring(std::string_view id, TimePoint) override {
    return in_recurring<std::string>([&](RecurringRows& rows) { return rows.trigger(id); });
  }

  // --- owner -----------------------------------------------------------------------------------

  void on_change(Listener listener) override {
    const std::lock_guard lock(listener_mutex_);
    listener_ = std::move(listener);
  }

  std::optional<Outage> outage() const override {
    auto heard = watcher_.outage();
    auto written = writer_.outage();
    if (!heard || !written) return heard ? heard : written;
    return heard->since < written->since ? heard : written;
  }

  Status set_worker_state(std::string_view worker_id, WorkerState state,
                          std::optional<TimePoint> drain_until, TimePoint) override {
    return writer_.run([&](Connection& connection, Effects& effects) -> Status {
      std::optional<TimePoint> until;
      if (drain_until) until = times_.to_storage(*drain_until);
      TRY(const bool known, postgres::set_worker_state(connection, worker_id, state, until));
      if (!known) return unknown_worker(worker_id);
      effects.workers = effects.states = true;
      return {};
    });
  }

  Status worker_died(std::string_view worker_id, const Crash& how, TimePoint) override {
    TRY(const GiveBack give_back, crashed(worker_id, how));
    TRY(const bool known, bury(worker_id, {}, give_back));
    return known ? Status() : unknown_worker(worker_id);
  }

  Result<std::int64_t> promote_due(TimePoint) override {
    TRY(const bool due, is_due(&Ahead::due, Duration::zero()));
    if (!due) return 0;
    return in_pages([this](Connection& connection, Effects& effects) {
      return promote(connection, options_.page, writer_.shard(), effects);
    });
  }

  Result<std::int64_t> rescue(TimePoint) override {
    TRY(const bool due, is_due(&Ahead::beat, options_.lease));
    if (!due || watcher_.slept_within(options_.lease)) return 0;
    TRY(const auto lost, reader_.run([&](Connection& connection) {
      return lost_workers(connection, options_.lease);
    }));
    const Crash how{.detail = "no beat of its worker for one lease"};
    std::int64_t count = 0;
    for (const std::string& id : lost) {
      TRY(const GiveBack give_back, crashed(id, how));
      TRY(const bool buried, bury(id, options_.lease, give_back));
      count += buried ? 1 : 0;
    }
    return count;
  }

  Result<std::int64_t> time_out(TimePoint) override {
    TRY(const bool due, is_due(&Ahead::deadline, options_.stop_grace));
    if (!due) return 0;
    return in_pages([this](Connection& connection, Effects& effects) {
      return time_out_page(connection, effects);
    });
  }

  Result<std::int64_t> expire(TimePoint) override {
    std::int64_t total = 0;
    const auto part = [&](std::optional<TimePoint> Ahead::*what, Duration keep,
                          const auto& page) -> Status {
      TRY(const bool due, is_due(what, keep));
      if (!due) return {};
      TRY(const std::int64_t count, in_pages(page));
      total += count;
      return {};
    };
    TRY_VOID(part(&Ahead::result, Duration::zero(),
                  [](Connection& connection, Effects&) { return expire_results(connection); }));
    TRY_VOID(part(&Ahead::key, Duration::zero(), [this](Connection& connection, Effects&) {
      return expire_keys(connection, options_.keep_keys, options_.page);
    }));
    TRY_VOID(part(&Ahead::deleted, options_.keep_deleted, [this](Connection& connection, Effects&) {
      return aged(connection, options_.keep_deleted, purge);
    }));
    TRY_VOID(
        part(&Ahead::succeeded, options_.keep_succeeded, [this](Connection& connection, Effects&) {
          return aged(connection, options_.keep_succeeded, retire);
        }));
    TRY_VOID(put_settings());
    TRY_VOID(fold());
    if (total > 0) TRY_VOID(forget_the_gone());
    return total;
  }

  Result<std::int64_t> plan_recurring(TimePoint) override {
    TRY(const bool some, is_due(&Ahead::recurring, Duration::zero()));
    if (!some) return 0;
    TRY(const auto due,
        reader_.run([](Connection& connection) { return due_recurring(connection); }));
    std::int64_t count = 0;
    for (const std::string& id : due) {
      TRY(const bool planned,
          in_recurring<bool>([&](RecurringRows& rows) { return rows.plan(id); }));
      count += planned ? 1 : 0;
    }
    return count;
  }

  Result<std::optional<TimePoint>> next_chore(TimePoint now) override;

  Result<std::optional<TimePoint>> next_due(std::string_view queue, TimePoint after) override {
    TRY_VOID(load_lanes());
    TRY(const auto at, reader_.run([&](Connection& connection) {
      return postgres::next_due(connection, lanes_.of_queue(queue), times_.to_storage(after));
    }));
    return times_.to_caller(at);
  }

  Result<std::vector<Status>> alter(std::span<const std::string> ids, const Alteration& alteration,
                                    TimePoint) override {
    TRY_VOID(store::check_alteration(alteration, ids.size()));
    std::vector<std::string> canonical;
    for (const std::string& id : ids) canonical.push_back(canonical_id(id));
    std::vector<Status> outcomes;
    const Status written = writer_.run([&](Connection& connection, Effects& effects) -> Status {
      TRY(auto rows, lock_jobs(connection, canonical));
      TRY(const TimePoint now, storage_now(connection));
      std::vector<Move> moves;
      std::vector<LaneChange> changes;
      outcomes.clear();
      for (std::size_t i = 0; i < ids.size(); ++i) {
        const auto row = rows.find(canonical[i]);
        if (row == rows.end()) {
          outcomes.push_back(unknown_job(ids[i]));
        } else if (changes_lane(alteration)) {
          outcomes.push_back(change_lane(row->second, alteration, changes));
        } else {
          outcomes.push_back(alter(row->second, alteration, now, moves));
        }
      }
      TRY_VOID(change_lanes(connection, changes, now, writer_.shard(), effects));
      return move(connection, moves, now, writer_.shard(), effects);
    });
    TRY_VOID(written);
    return outcomes;
  }

  Status pause_queue(std::string_view queue, bool paused, TimePoint) override {
    TRY_VOID(store::check_queue(std::string(queue)));
    const Status written = writer_.run([&](Connection& connection, Effects& effects) {
      effects.queues = true;
      return postgres::pause_queue(connection, queue, paused);
    });
    TRY_VOID(written);
    return pauses_changed();
  }

  Status pause_recurring(std::string_view id, bool paused, TimePoint) override {
    TRY([[maybe_unused]] const bool changed,
        in_recurring<bool>([&](RecurringRows& rows) { return rows.pause(id, paused); }));
    return {};
  }

  bool leads() const override { return watcher_.leads(); }

  Result<std::vector<Tally>> tallies() override {
    TRY_VOID(book_.flush());
    TRY_VOID(load_lanes());
    return reader_.run([this](Connection& connection) { return all_tallies(connection, lanes_); });
  }

 private:
  // --- what changed ----------------------------------------------------------------------------

  // After a commit of this process, on the thread that wrote.
  void committed(const Effects& effects) {
    count(effects);
    changed(effects);
  }

  void changed(const Effects& effects) {
    Change change;
    change.workers = effects.workers || effects.states;
    change.due = effects.due || (change.workers && nothing_ended_.load());
    if (change.workers || change.due) ahead_known_ = false;
    if (effects.states) line_.wake_all();  // its claim may be waiting
    wake(effects.ready, change);
    announce(change);
  }

  // On the watcher's thread: another process did something.
  void told(const Effects& effects, int sender) {
    if (sender == writer_.backend()) return;
    if (effects.all) return returned();
    if (effects.queues && !pauses_changed()) return;  // it is lost, and will return
    const auto unknown = [this](std::int32_t lane) { return lanes_.find(lane) == nullptr; };
    if (std::ranges::any_of(effects.ready, unknown) && !load_lanes_now()) return;
    changed(effects);
  }

  // On the watcher's thread: anything may have happened meanwhile.
  void returned() {
    lanes_.forget_floors();
    if (!load_lanes_now()) return;
    Change change{.ready_queues = lanes_.queues(), .workers = true, .due = true};
    ahead_known_ = false;
    line_.wake_all();
    announce(change);
  }

  // Who waits may claim from other queues now.
  Status pauses_changed() {
    TRY_VOID(load_lanes());
    line_.wake_all();
    announce({.ready_queues = lanes_.queues(), .workers = false, .due = false});
    return {};
  }

  void announce(const Change& change) {
    if (change.ready_queues.empty() && !change.workers && !change.due) return;
    const std::lock_guard lock(listener_mutex_);
    if (listener_) listener_(change);
  }

  void wake(const std::set<std::int32_t>& lanes, Change& change) {
    if (lanes.empty()) return;
    line_.wake(lanes);
    std::set<std::string> queues;
    for (const std::int32_t id : lanes) {
      if (const Lane* lane = lanes_.find(id)) queues.insert(lane->queue);
    }
    change.ready_queues.assign(queues.begin(), queues.end());
  }

  // --- lanes and workers -----------------------------------------------------------------------

  // Lanes that others made are told of when they get jobs; what only reads looks for itself.
  Status load_lanes() {
    return reader_.run([this](Connection& connection) { return lanes_.load(connection); });
  }
  bool load_lanes_now() { return static_cast<bool>(load_lanes()); }

  // Jobs of one call are mostly of one lane, `last`.
  const Lane* find_lane(const JobSpec& spec, const Lane* last) const {
    const bool same = last != nullptr && last->kind == spec.kind && last->queue == spec.queue &&
                      last->priority == spec.priority;
    return same ? last : lanes_.find(spec.queue, spec.kind, spec.priority);
  }

  Status make_lanes(const std::vector<Order>& orders) {
    const Lane* last = nullptr;
    for (const Order& order : orders) {
      const JobSpec& spec = *order.spec;
      if ((last = find_lane(spec, last)) != nullptr) continue;
      TRY([[maybe_unused]] const auto lane, reader_.run([&](Connection& connection) {
        return lanes_.get_or_make(connection, spec.queue, spec.kind, spec.priority);
      }));
    }
    return {};
  }

  std::shared_ptr<const WorkerInfo> remember(std::string_view id, WorkerInfo info) {
    constexpr std::size_t kMostKnown = 10'000;
    auto known = std::make_shared<const WorkerInfo>(std::move(info));
    const std::lock_guard lock(known_mutex_);
    if (known_.size() >= kMostKnown) known_.clear();
    known_.insert_or_assign(std::string(id), known);
    return known;
  }
  void forget(std::string_view id) {
    const std::lock_guard lock(known_mutex_);
    if (const auto found = known_.find(id); found != known_.end()) known_.erase(found);
  }

  // Null: nobody knows it. One that is known may be gone all the same.
  Result<std::shared_ptr<const WorkerInfo>> info(std::string_view id) {
    {
      const std::lock_guard lock(known_mutex_);
      if (const auto found = known_.find(id); found != known_.end()) return found->second;
    }
    if (!is_uuid(id)) return std::shared_ptr<const WorkerInfo>();
    TRY(auto found,
        reader_.run([&](Connection& connection) { return worker_info(connection, id); }));
    if (!found) return std::shared_ptr<const WorkerInfo>();
    return remember(id, *std::move(found));
  }

  std::vector<LaneChoice> choices(const ClaimRequest& request, const WorkerInfo& worker) const {
    return lanes_.choices(request.queues.empty() ? worker.spec.queues : request.queues,
                          request.kinds.empty() ? worker.spec.kinds : request.kinds);
  }

  // --- inserting -------------------------------------------------------------------------------

  // `at`: the database's time, needed when a spec has one. The lanes must be there.
  Status add(Inserting& inserting, const Order& order, std::optional<TimePoint> at, TimePoint now) {
    const JobSpec& spec = *order.spec;
    NewJob job;
    job.spec = &spec;
    inserting.lane = find_lane(spec, inserting.lane);
    job.lane = inserting.lane->id;
    job.max_attempts = max_attempts_of(options_.retry, spec);
    if (const auto due = due_of(spec, at); due && *due > *at) {
      job.run_at = due;
      inserting.events.push_back(store::scheduled_event(*due, ""));
      job.event = inserting.events.back();
    }
    inserting.result.total += order.texts.count();
    inserting.result.created += order.texts.count();
    for (std::int64_t i = 0; i < order.texts.count(); ++i) {
      NewJob& made = inserting.jobs.emplace_back(job);
      made.id = spec.id.empty() ? new_id(now) : canonical_id(spec.id);
      made.name = order.texts.name(i);
      made.labels = order.texts.labels(i);
      made.args = order.texts.args(i);
      const JobState state = job.run_at ? JobState::Scheduled : JobState::Enqueued;
      if (i < kShownIds) inserting.result.jobs.push_back({made.id, state, true});
      if (inserting.write && inserting.jobs.size() == kStatementRows) {
        TRY_VOID(inserting.write(inserting));
      }
    }
    return {};
  }

  std::optional<TimePoint> due_of(const JobSpec& spec, std::optional<TimePoint> at) const {
    if (spec.delay) return *at + *spec.delay;
    return spec.run_at ? std::optional(times_.to_storage(*spec.run_at)) : std::nullopt;
  }

  // New names go out with all that waits, in one round trip.
  Result<bool> any_known(const std::vector<Order>& orders) {
    std::vector<std::string> ids;
    for (const Order& order : orders) {
      if (named(order)) ids.push_back(canonical_id(order.spec->id));
    }
    return reader_.run([&](Connection& connection) { return any_exists(connection, ids); });
  }

  // An id that exists names that job. Its payload must be the same: else the producer would believe
  // that something is done that never will be. Another transaction may be making the same one: then
  // the database tells, and we look again.
  Result<InsertResult> insert_alone(const std::vector<Order>& orders, TimePoint now) {
    constexpr int kTries = 3;
    TRY_VOID(make_lanes(orders));
    for (int i = 1;; ++i) {
      Inserting inserting;
      const Status status = writer_.run([&](Connection& connection, Effects& effects) {
        return insert_alone(connection, orders, now, inserting, effects);
      });
      if (status) {
        return std::move(inserting.result);
      }
      const bool raced = status.error().code == Code::AlreadyExists && inserting.written > 0;
      if (!raced || i == kTries) return status.error();
    }
  }

  Status insert_alone(Connection& connection, const std::vector<Order>& orders, TimePoint now,
                      Inserting& inserting, Effects& effects) {
    inserting = {};
    inserting.write = [&](Inserting& part) { return write_part(connection, part, effects); };
    TRY(const TimePoint at, storage_now(connection));
    TRY(const auto existing, existing_jobs(connection, orders));
    std::map<std::string, std::pair<const JobSpec*, JobState>> given;
    for (const Order& order : orders) {
      if (!named(order)) {
        TRY_VOID(add(inserting, order, at, now));
        continue;
      }
      const std::string id = canonical_id(order.spec->id);
      const JobSpec* same = nullptr;
      JobState state = JobState::Enqueued;
      if (const auto known = given.find(id); known != given.end()) {
        std::tie(same, state) = known->second;
        if (!same_payload(payload_of(*same), payload_of(*order.spec))) return conflict(order);
      } else {
        const auto job = existing.find(id);
        if (job == existing.end()) {
          TRY_VOID(add(inserting, order, at, now));
          given[id] = {order.spec, inserting.result.jobs.back().state};
          continue;
        }
        if (!same_payload(payload_of(job->second), payload_of(*order.spec))) return conflict(order);
        state = job->second.state;
        given[id] = {order.spec, state};
      }
      inserting.result.jobs.push_back({id, state, false});
      inserting.result.total += 1;
    }
    return write_part(connection, inserting, effects);
  }

  // Those of the names that stand for a job already.
  Result<std::map<std::string, Job>> existing_jobs(Connection& connection,
                                                   const std::vector<Order>& orders) {
    std::vector<std::string> ids;
    for (const Order& order : orders) {
      if (named(order)) ids.push_back(canonical_id(order.spec->id));
    }
    std::map<std::string, Job> found;
    if (!ids.empty()) TRY_VOID(lanes_.load(connection));  // others may have made them
    for (std::size_t first = 0; first < ids.size(); first += kStatementRows) {
      const std::size_t count = std::min(kStatementRows, ids.size() - first);
      TRY(auto jobs, postgres::get(connection, lanes_, std::span(ids).subspan(first, count)));
      for (Job& job : jobs) found.insert_or_assign(job.id, std::move(job));
    }
    return found;
  }

  Status write_part(Connection& connection, Inserting& part, Effects& effects) {
    if (part.jobs.empty()) return {};
    const std::int64_t before = part.written;
    part.written += static_cast<std::int64_t>(part.jobs.size());
    const auto jobs = std::exchange(part.jobs, {});
    if (jobs.size() >= kWorthCopying) {
      return copy_jobs(connection, jobs, writer_.shard(), effects, before);
    }
    Pipeline pipeline(connection);
    add_inserts(pipeline, jobs, writer_.shard(), effects, before);
    TRY([[maybe_unused]] const auto answers, pipeline.finish());
    return {};
  }

  static Fault conflict(const Order& order) {
    return fail(Code::AlreadyExists, fmt::format("jobs[{}].id: job {} exists with another payload",
                                                 order.index, order.spec->id));
  }

  Result<InsertResult> insert_with_key(const std::vector<Order>& orders,
                                       std::span<const JobSpec> specs, TimePoint now,
                                       std::string_view key) {
    TRY_VOID(check_key(key));
    TRY_VOID(make_lanes(orders));
    const std::string payload = fingerprint(specs);
    Inserting inserting;
    const Status written = writer_.run([&](Connection& connection, Effects& effects) -> Status {
      TRY(const auto known, lock_key(connection, key));
      if (known && known->payload != payload) return key_conflict(key);
      if (known) {
        inserting = {};
        TRY(inserting.result, repeated_answer(known->answer));
        return {};
      }
      TRY_VOID(insert_alone(connection, orders, now, inserting, effects));
      TRY(const TimePoint at, storage_now(connection));
      const auto& made = inserting.result.jobs;
      effects.due = true;
      return put_key(connection, key, {payload, answer_text(inserting.result)},
                     made.empty() ? std::string() : made.front().id, at + options_.keep_keys);
    });
    TRY_VOID(written);
    return std::move(inserting.result);
  }

  // --- claiming --------------------------------------------------------------------------------

  Claim claim_of(const ClaimRequest& request, const WorkerInfo& worker) {
    const int most = std::min(kMaxClaim, worker.spec.concurrency + worker.spec.prefetch);
    return {.worker_id = request.worker_id,
            .lanes = choices(request, worker),
            .limit = std::clamp(request.limit, 0, most),
            .token = new_token()};
  }

  // What others took under our eyes is looked for again lane by lane, where nobody can be in the
  // way twice.
  Result<Claimed> take(const ClaimRequest& request, const WorkerInfo& worker) {
    const Claim claim = claim_of(request, worker);
    TRY(auto answer, take(claim));
    if (answer.contended) {
      for (const LaneChoice& lane : choices(request, worker)) {
        Claim rest = claim;
        rest.lanes = {lane};
        rest.limit = claim.limit - static_cast<int>(answer.jobs.size());
        rest.token = new_token();
        if (rest.limit <= 0 || answer.state != WorkerState::Run) break;
        TRY(auto more, take(rest));
        std::ranges::move(more.jobs, std::back_inserter(answer.jobs));
      }
    }
    return Claimed{std::move(answer.jobs), answer.state};
  }

  Result<ClaimAnswer> take(const Claim& claim) {
    TRY(auto answer, writer_.claim(claim));
    return accept(claim, std::move(answer));
  }

  Result<ClaimAnswer> accept(const Claim& claim, ClaimAnswer answer) {
    if (!answer.known) {
      forget(claim.worker_id);
      return unknown_worker(claim.worker_id);
    }
    raise_floors(claim, answer);
    TRY_VOID(limit_time(answer.jobs, claim.token));
    count_claimed(answer.jobs);
    for (ClaimedJob& job : answer.jobs) times_.translate(job.job);
    return answer;
  }

  // Of each lane everything up to the last place that was taken is taken; a claim that got fewer
  // than it asked for, and was not in anybody's way, has seen all there is.
  void raise_floors(const Claim& claim, const ClaimAnswer& answer) {
    const bool all_seen = !answer.contended && static_cast<int>(answer.jobs.size()) < claim.limit &&
                          answer.state == WorkerState::Run;
    for (const LaneChoice& choice : claim.lanes) {
      const auto last = answer.last.find(choice.lane);
      const std::int64_t next = last == answer.last.end() ? 0 : last->second + 1;
      lanes_.raise_floor(choice.lane, std::min(all_seen ? answer.settled : next, answer.settled));
    }
  }

  // Jobs with a limit of time are few: their deadlines are written after the claim, and their
  // worker keeps them by itself as well.
  Status limit_time(const std::vector<ClaimedJob>& jobs, std::int64_t token) {
    std::vector<Deadline> deadlines;
    for (const ClaimedJob& claimed : jobs) {
      const auto at =
          end_of_time(claimed.job.extra, claimed.job.updated_at, claimed.job.updated_at);
      if (at) deadlines.push_back({claimed.job.id, *at});
    }
    if (deadlines.empty()) return {};
    return writer_.run([&](Connection& connection, Effects& effects) {
      effects.due = true;
      return set_deadlines(connection, deadlines, token);
    });
  }

  // When an attempt will have taken too long, or said nothing for too long.
  static std::optional<TimePoint> end_of_time(const Extra& extra, TimePoint started,
                                              TimePoint told) {
    std::optional<TimePoint> end;
    if (extra.timeout > Duration::zero()) end = started + extra.timeout;
    if (extra.progress_timeout > Duration::zero()) {
      const TimePoint silent = told + extra.progress_timeout;
      end = end ? std::min(*end, silent) : silent;
    }
    return end;
  }

  // Never 0, and never negative, which its text could not carry.
  std::int64_t new_token() {
    const std::lock_guard lock(random_mutex_);
    return static_cast<std::int64_t>(random_() >> 1) | 1;
  }
  double random_unit() {
    const std::lock_guard lock(random_mutex_);
    return std::uniform_real_distribution<double>(0, 1)(random_);
  }

  // --- settling --------------------------------------------------------------------------------

  Result<std::vector<Settled>> complete(std::span<const Settlement> settlements,
                                        std::int32_t worker, std::string_view worker_id) {
    std::vector<Completion> completions;
    completions.reserve(settlements.size());
    for (const Settlement& settlement : settlements) {
      completions.push_back(
          {canonical_id(settlement.job_id), token_of(settlement.lock_token).value_or(0), worker});
    }
    TRY(const auto lost, writer_.complete(completions));
    std::vector<Settled> outcomes(settlements.size());
    for (std::size_t i = 0; i < settlements.size(); ++i) outcomes[i].job_id = settlements[i].job_id;
    for (const std::size_t i : lost) {
      TRY(const auto job, find(settlements[i].job_id));
      outcomes[i].status =
          job ? lease_lost(settlements[i].job_id) : unknown_job(settlements[i].job_id);
    }
    count_completed(completions, lost);
    if (!lost.empty() && !worker_id.empty()) TRY_VOID(check_worker(worker_id));
    return outcomes;
  }

  // One that is gone has lost its leases, and must hear that it shall register again.
  Status check_worker(std::string_view worker_id) {
    TRY(const auto row,
        reader_.run([&](Connection& connection) { return worker_info(connection, worker_id); }));
    if (row) return {};
    forget(worker_id);
    return unknown_worker(worker_id);
  }

  Result<std::vector<Settled>> settle_one_by_one(std::span<const Settlement> settlements,
                                                 std::int32_t worker, std::string_view worker_id) {
    std::vector<std::string> ids;
    for (const Settlement& settlement : settlements) {
      ids.push_back(canonical_id(settlement.job_id));
    }
    std::vector<Settled> outcomes;
    std::vector<Move> moves;
    const Status written = writer_.run([&](Connection& connection, Effects& effects) -> Status {
      outcomes.clear();
      moves.clear();
      TRY(auto rows, lock_jobs(connection, ids));
      TRY(const TimePoint now, storage_now(connection));
      bool lost = false;
      for (std::size_t i = 0; i < settlements.size(); ++i) {
        const auto row = rows.find(ids[i]);
        outcomes.push_back(
            settle(settlements[i], row == rows.end() ? nullptr : &row->second, worker, now, moves));
        lost |= !outcomes.back().status;
      }
      if (lost && worker != 0) {
        TRY(const auto known, worker_info(connection, worker_id));
        if (!known) return unknown_worker(worker_id);
      }
      return move(connection, moves, now, writer_.shard(), effects);
    });
    TRY_VOID(written);
    const std::lock_guard lock(tally_mutex_);
    for (const std::string& id : ids) running_.erase(id);
    return outcomes;
  }

  static bool holds(const JobRow& row, std::int64_t token, std::int32_t worker) {
    return row.state == JobState::Processing && row.token == token &&
           (worker == 0 || row.worker == worker);
  }

  // A row that was settled is no longer held, so a second settlement of it in the same call finds
  // its lease lost.
  Settled settle(const Settlement& settlement, JobRow* row, std::int32_t worker, TimePoint now,
                 std::vector<Move>& moves) {
    Settled settled;
    settled.job_id = settlement.job_id;
    const auto token = token_of(settlement.lock_token);
    if (row == nullptr || !token || !holds(*row, *token, worker)) {
      settled.status =
          row != nullptr ? lease_lost(settlement.job_id) : unknown_job(settlement.job_id);
      return settled;
    }
    if (settlement.kind == Settlement::Kind::Complete && !settlement.result.empty()) {
      settled.status = check_result(settlement.result);
      if (!settled.status) return settled;
    }
    moves.push_back(move_of(settlement, *row, now));
    row->state = settled.state = moves.back().steps.back().to;
    settled.run_at = times_.to_caller(moves.back().run_at);
    return settled;
  }

  Move move_of(const Settlement& settlement, const JobRow& row, TimePoint now) {
    switch (settlement.kind) {
      case Settlement::Kind::Complete:
        return succeed(row, settlement.result, now);
      case Settlement::Kind::Release:
        return release(row, settlement.reason);
      case Settlement::Kind::Snooze:
        return snooze(row, settlement.after, now);
      case Settlement::Kind::Fail:
        break;
    }
    if (settlement.crash) return crash(row, *settlement.crash, retry_of(row), now);
    return fail_attempt(row, settlement.failure, retry_of(row), now);
  }

  RetryContext retry_of(const JobRow& row) {
    const Lane* lane = lanes_.find(row.lane);
    return {options_.retry, lane != nullptr ? std::string_view(lane->kind) : std::string_view(),
            random_unit()};
  }

  // --- beats -----------------------------------------------------------------------------------

  Status hear(Connection& connection, const Report& report, const std::string& id,
              BeatRow::Job& job, TimePoint now) {
    if (!report.progress && report.logs.empty()) return {};
    Report news = report;
    news.job_id = id;
    TRY_VOID(put_news(connection, news, job.attempt));
    return extend_deadline(connection, id, job, now);
  }

  // Who has a limit to its silence and spoke has time again.
  Status extend_deadline(Connection& connection, const std::string& id, BeatRow::Job& job,
                         TimePoint now) {
    TRY(const auto rows, lock_jobs(connection, std::span(&id, 1)));
    if (rows.empty()) return {};
    const JobRow& row = rows.begin()->second;
    if (row.extra.progress_timeout <= Duration::zero()) return {};
    const auto end = end_of_time(row.extra, row.since, now);
    job.deadline = end;
    const Deadline deadline{id, *end};
    return set_deadlines(connection, std::span(&deadline, 1), row.token);
  }

  const char* cancel_reason(const BeatRow::Job& job, TimePoint now) const {
    if (job.deleted) return "deleted";
    if (job.timed_out) return "timeout";
    if (!job.held) return "lost";
    return job.deadline && *job.deadline <= now ? "timeout" : nullptr;
  }

  // What a worker holds and has not named for long: the answer to its claim never reached it.
  Status give_back_forgotten(std::string_view worker_id, const BeatRow& beat,
                             const std::vector<std::string>& named) {
    const auto held = std::ranges::count_if(beat.jobs, [](const auto& job) { return job.held; });
    if (held == beat.occupied) {
      const std::lock_guard lock(known_mutex_);
      unnamed_.erase(beat.number);
      return {};
    }
    return writer_.run([&](Connection& connection, Effects& all) -> Status {
      TRY(const auto worker, lock_worker(connection, worker_id));
      if (!worker) return {};
      TRY(const auto rows, lock_held(connection, beat.number));
      const auto since = missing_since(beat.number, rows, named, beat.now);
      std::vector<Move> moves;
      for (const JobRow& row : rows) {
        const auto missing = since.find(row.id);
        if (missing == since.end()) continue;
        const TimePoint from = std::max(missing->second, row.since);
        if (beat.now - from >= kForgottenLeases * options_.lease) {
          moves.push_back(release(row, "its claim never reached the worker"));
        }
      }
      return move(connection, moves, beat.now, writer_.shard(), all);
    });
  }

  // Since when this process hears nothing of them.
  std::map<std::string, TimePoint> missing_since(std::int32_t worker,
                                                 const std::vector<JobRow>& rows,
                                                 const std::vector<std::string>& named,
                                                 TimePoint now) {
    const std::lock_guard lock(known_mutex_);
    auto& before = unnamed_[worker];
    std::map<std::string, TimePoint> missing;
    for (const JobRow& row : rows) {
      if (std::ranges::find(named, row.id) != named.end()) continue;
      const auto known = before.find(row.id);
      missing[row.id] = known == before.end() ? now : known->second;
    }
    before = missing;
    return missing;
  }

  // --- changes by hand and by the engine -------------------------------------------------------

  Result<std::optional<Job>> find(std::string_view id) {
    TRY(auto job, reader_.run([&](Connection& connection) {
      return postgres::get(connection, lanes_, canonical_id(id));
    }));
    if (job && job->kind.empty()) {  // a lane that another process made
      TRY_VOID(load_lanes());
      TRY(job, reader_.run([&](Connection& connection) {
        return postgres::get(connection, lanes_, canonical_id(id));
      }));
    }
    if (job) times_.translate(*job);
    return job;
  }

  Status change(std::string_view id, JobState to, const std::function<Move(JobRow)>& make) {
    const std::string canonical = canonical_id(id);
    return writer_.run([&](Connection& connection, Effects& effects) -> Status {
      TRY(const auto rows, lock_jobs(connection, std::span(&canonical, 1)));
      if (rows.empty()) return unknown_job(id);
      const JobRow& row = rows.begin()->second;
      if (!transition_allowed(row.state, to)) return illegal(row.state, to);
      TRY(const TimePoint now, storage_now(connection));
      const Move made = make(row);
      return move(connection, std::span(&made, 1), now, writer_.shard(), effects);
    });
  }

  // An id may be given twice: the second time the job is what the first one made of it.
  static Status alter(JobRow& row, const Alteration& alteration, TimePoint at,
                      std::vector<Move>& moves) {
    const bool later = alteration.kind == Alteration::Kind::Reschedule;
    const bool remove = alteration.kind == Alteration::Kind::Delete;
    const JobState to = later    ? JobState::Scheduled
                        : remove ? JobState::Deleted
                                 : JobState::Enqueued;
    const bool ended = row.state == JobState::Succeeded || row.state == JobState::Deleted;
    if (!transition_allowed(row.state, to) || (later && ended)) return illegal(row.state, to);
    moves.push_back(later    ? reschedule(row, alteration.run_at, alteration.reason, at)
                    : remove ? postgres::remove(row, alteration.reason)
                             : postgres::requeue(row, alteration.reason));
    row.state = moves.back().steps.back().to;
    return {};
  }

  static bool changes_lane(const Alteration& alteration) {
    return alteration.kind == Alteration::Kind::Move ||
           alteration.kind == Alteration::Kind::Prioritize;
  }

  // A lane is made by another connection than the one that writes: it stays, whatever comes of
  // this.
  Status change_lane(JobRow& row, const Alteration& alteration, std::vector<LaneChange>& changes) {
    if (row.state != JobState::Scheduled && row.state != JobState::Enqueued) {
      return fail(Code::Conflict,
                  fmt::format("illegal_transition: it is {}", to_string(row.state)));
    }
    if (lanes_.find(row.lane) == nullptr) TRY_VOID(load_lanes());
    const Lane* from = lanes_.find(row.lane);
    if (from == nullptr) return fail(Code::Internal, "a job's lane is not there");
    const bool moves = alteration.kind == Alteration::Kind::Move;
    const std::string& queue = moves ? alteration.queue : from->queue;
    const int priority = moves ? from->priority : alteration.priority;
    TRY(const std::int32_t lane, reader_.run([&](Connection& connection) {
      return lanes_.get_or_make(connection, queue, from->kind, priority);
    }));
    if (lane == row.lane) return {};
    changes.push_back({row, lane, store::change_event(alteration)});
    row.lane = lane;
    return {};
  }

  using GiveBack = std::function<Move(JobRow, const RetryContext&, TimePoint)>;

  Result<GiveBack> crashed(std::string_view worker_id, Crash how) {
    if (is_uuid(worker_id)) {
      TRY(const auto worker,
          reader_.run([&](Connection& connection) { return worker_info(connection, worker_id); }));
      if (worker) how.build = worker->spec.version;
    }
    return [how = std::move(how)](JobRow row, const RetryContext& retry, TimePoint now) {
      return crash(std::move(row), how, retry, now);
    };
  }

  // Takes back what a worker held that is gone, and forgets it. With `lease` only if it gave no
  // sign of life for that long. False: it is not known, or lives.
  Result<bool> bury(std::string_view worker_id, std::optional<Duration> lease,
                    const GiveBack& give_back) {
    if (!is_uuid(worker_id)) return false;
    bool buried = false;
    std::vector<Move> moves;
    const Status written = writer_.run([&](Connection& connection, Effects& effects) -> Status {
      buried = false;
      moves.clear();
      TRY(const auto worker, lock_worker(connection, worker_id));
      TRY(const TimePoint now, storage_now(connection));
      if (!worker || (lease && now - worker->last_beat < *lease)) return {};
      if (worker->occupied != 0) {
        TRY(auto rows, lock_held(connection, worker->number));
        for (JobRow& row : rows) {
          const RetryContext retry = retry_of(row);
          moves.push_back(give_back(std::move(row), retry, now));
        }
      }
      TRY_VOID(move(connection, moves, now, writer_.shard(), effects));
      effects.workers = buried = true;
      return postgres::worker_gone(connection, worker->number);
    });
    TRY_VOID(written);
    if (buried) forget(worker_id);
    return buried;
  }

  template <class T, class F>
  Result<T> in_recurring(const F& work) {
    std::optional<Result<T>> result;
    const Status written = writer_.run([&](Connection& connection, Effects& effects) -> Status {
      TRY(const TimePoint now, storage_now(connection));
      RecurringRows rows({.connection = connection,
                          .lanes = lanes_,
                          .retry = options_.retry,
                          .shard = writer_.shard(),
                          .now = now,
                          .effects = effects});
      result.emplace(work(rows));
      return *result ? Status() : Status(result->error());
    });
    TRY_VOID(written);
    return *std::move(result);
  }

  // --- what is next ----------------------------------------------------------------------------

  // The first instant of each kind, of the database's clock.
  struct Ahead {
    std::optional<TimePoint> due, recurring, beat, deadline, succeeded, deleted, result, key;
    std::optional<TimePoint> counts;  // since when there are some to fold
  };

  // Asked anew only when something may have moved, here or elsewhere: chores are called often, and
  // seldom have anything to do.
  Result<Ahead> look_ahead();

  // Whether this process does the chores, and one of that kind is due.
  Result<bool> is_due(std::optional<TimePoint> Ahead::*what, Duration later) {
    if (!watcher_.leads()) return false;
    TRY(const Ahead ahead, look_ahead());
    const auto& at = ahead.*what;
    const bool due = at && *at + later <= times_.estimate();
    if (due) ahead_known_ = false;  // it will be another one afterwards
    return due;
  }

  // --- chores ----------------------------------------------------------------------------------

  // Until a page is not full; nothing where another server leads.
  template <class Page>
  Result<std::int64_t> in_pages(const Page& page) {
    if (!watcher_.leads()) return 0;
    std::int64_t total = 0;
    for (;;) {
      std::int64_t count = 0;
      const Status written = writer_.run([&](Connection& connection, Effects& effects) -> Status {
        TRY(count, page(connection, effects));
        return {};
      });
      TRY_VOID(written);
      total += count;
      if (count < options_.page) return total;
    }
  }

  using AgedPage = Result<std::int64_t> (*)(Connection&, TimePoint, int, std::int64_t);
  Result<std::int64_t> aged(Connection& connection, Duration keep, AgedPage page) {
    TRY(const TimePoint now, storage_now(connection));
    return page(connection, now - keep, options_.page, writer_.shard());
  }

  Result<std::int64_t> time_out_page(Connection& connection, Effects& effects) {
    TRY(const TimePoint now, storage_now(connection));
    TRY(auto rows, lock_late(connection, now - options_.stop_grace, options_.page));
    std::vector<Move> moves;
    for (JobRow& row : rows) {
      const Failure failure = timed_out(row.extra, now - row.since);
      const RetryContext retry = retry_of(row);
      moves.push_back(fail_attempt(std::move(row), failure, retry, now));
    }
    TRY_VOID(move(connection, moves, now, writer_.shard(), effects));
    return static_cast<std::int64_t>(moves.size());
  }

  // What the leader's configuration says of retries, for producers that write by SQL.
  Status put_settings() {
    if (!settings_due_.exchange(false)) return {};
    const Status written = writer_.run([this](Connection& connection, Effects&) {
      return put_retry_settings(connection, options_.retry);
    });
    if (!written) settings_due_ = true;
    return written;
  }

  // The counts of producers' transactions, which are no rows that anybody asked for.
  Status fold() {
    TRY(const bool due, is_due(&Ahead::counts, kFoldCounts));
    if (!due) return {};
    TRY([[maybe_unused]] const auto folded, in_pages([this](Connection& connection, Effects&) {
          return fold_counts(connection, options_.page);
        }));
    const std::lock_guard lock(look_mutex_);
    next_.counts.reset();
    return {};
  }

  // Their names are needed for as long as jobs that they ran.
  Status forget_the_gone() {
    if (!watcher_.leads()) return {};
    const Duration keep = options_.keep_succeeded + options_.keep_deleted + std::chrono::hours(24);
    return writer_.run([&](Connection& connection, Effects&) -> Status {
      TRY_VOID(fold_tallies(connection));
      return forget_workers(connection, keep);
    });
  }

  // --- what is counted -------------------------------------------------------------------------

  // On the thread that wrote.
  void count(const Effects& effects) {
    const std::lock_guard lock(tally_mutex_);
    for (const auto& [id, tally] : effects.tallies) {
      if (const Lane* lane = lanes_.find(id)) count(lane->queue, lane->kind, tally);
    }
  }

  // Under tally_mutex_.
  void count(const std::string& queue, const std::string& kind, Tally tally) {
    tallies_.of(queue, kind).merge(tally);
    tally.queue = queue;
    tally.kind = kind;
    book_.add(tally);
  }

  void count_claimed(const std::vector<ClaimedJob>& claimed) {
    constexpr std::size_t kMostRunning = 1'000'000;  // of those that others settle
    const std::lock_guard lock(tally_mutex_);
    if (running_.size() > kMostRunning) running_.clear();
    for (const ClaimedJob& one : claimed) {
      running_[one.job.id] = {one.job.queue, one.job.kind, one.job.updated_at};
    }
  }

  // How long they ran, as far as this process handed them out. What failed is told by its row.
  void count_completed(const std::vector<Completion>& completions,
                       const std::vector<std::size_t>& lost) {
    const TimePoint now = times_.estimate();
    Tallies told;
    const std::lock_guard lock(tally_mutex_);
    for (std::size_t i = 0, next = 0; i < completions.size(); ++i) {
      const auto run = running_.extract(completions[i].job_id);
      if (next < lost.size() && lost[next] == i) {
        ++next;
      } else if (!run.empty()) {
        told.of(run.mapped().queue, run.mapped().kind).run.add(now - run.mapped().started);
      }
    }
    for (const Tally& tally : told.all()) count(tally.queue, tally.kind, tally);
  }

  Duration expected(const Job& job, TimePoint now) {
    const std::lock_guard lock(tally_mutex_);
    const Tally tally = tallies_.of(job.queue, job.kind);
    switch (job.state) {
      case JobState::Processing:
        return expected_rest(tally, Duration::zero(), now - job.updated_at);
      case JobState::Scheduled:
        return expected_rest(tally, job.run_at.value_or(now) - now, Duration::zero());
      case JobState::Succeeded:
      case JobState::Failed:
      case JobState::Deleted:
        return Duration::zero();
      default:
        return expected_rest(tally, Duration::zero(), Duration::zero());
    }
  }

  const JobStoreOptions options_;
  Lanes lanes_;
  StorageClock times_;
  JobReader reader_;
  std::atomic<bool> settings_due_{false};

  std::mutex look_mutex_;  // guards next_
  Ahead next_;
  std::atomic<bool> ahead_known_{false};   // next_ is what the database would say
  std::atomic<bool> nothing_ended_{true};  // the first job that ends is news: of retention

  ClaimLine line_;

  std::mutex known_mutex_;  // guards the next two
  std::map<std::string, std::shared_ptr<const WorkerInfo>, std::less<>> known_;
  std::map<std::int32_t, std::map<std::string, TimePoint>> unnamed_;  // worker -> job -> since when

  std::mutex random_mutex_;
  std::mt19937_64 random_{std::random_device{}()};

  struct Running {
    std::string queue;
    std::string kind;
    TimePoint started{};
  };
  std::mutex tally_mutex_;                            // guards the next two
  Tallies tallies_;                                   // of this process, to guess by
  std::unordered_map<std::string, Running> running_;  // by job

  std::mutex listener_mutex_;
  Listener listener_;

  const std::int64_t tally_row_ = new_token();  // of this process
  TallyBook book_{[this](const std::vector<Tally>& counted) {
    return writer_.run([&](Connection& connection, Effects&) {
      return add_tallies(connection, tally_row_, counted);
    });
  }};
  JobWriter writer_;  // these two call back, so they end first
  Watcher watcher_;
};

constexpr Statement kNextChore{"next_chore",
                               R"sql(
  SELECT jobmill_now(),
    (SELECT min(run_at) FROM jobmill_due),
    (SELECT min(next_run) FROM jobmill_recurring),
    (SELECT min(last_beat) FROM jobmill_worker WHERE gone_at IS NULL),
    (SELECT min(deadline) FROM jobmill_hot WHERE deadline IS NOT NULL),
    (SELECT min(at) FROM jobmill_done WHERE state = 5),
    (SELECT min(at) FROM jobmill_done WHERE state = 7),
    (SELECT min(until) FROM jobmill_result WHERE until IS NOT NULL),
    (SELECT min(check_at) FROM jobmill_key),
    (SELECT jobmill_now() FROM jobmill_count WHERE shard < 0 LIMIT 1))sql"};

Result<PostgresJobStore::Ahead> PostgresJobStore::look_ahead() {
  const std::lock_guard lock(look_mutex_);
  if (ahead_known_.exchange(true)) return next_;
  const auto rows = reader_.run([](Connection& connection) { return connection.run(kNextChore); });
  if (!rows) {
    ahead_known_ = false;
    return rows.error();
  }
  times_.measure(rows->timestamp(0, 0));
  int column = 1;
  for (auto* at : {&next_.due, &next_.recurring, &next_.beat, &next_.deadline, &next_.succeeded,
                   &next_.deleted, &next_.result, &next_.key}) {
    *at = rows->maybe_timestamp(0, column++);
  }
  const auto counts = rows->maybe_timestamp(0, column);
  if (!counts || !next_.counts) next_.counts = counts;
  nothing_ended_ = !next_.succeeded && !next_.deleted;
  return next_;
}

Result<std::optional<TimePoint>> PostgresJobStore::next_chore(TimePoint) {
  std::optional<TimePoint> next;
  if (!watcher_.leads()) return next;
  TRY(const Ahead ahead, look_ahead());
  const auto consider = [&](std::optional<TimePoint> at, Duration later, bool in_minutes) {
    if (!at) return;
    // Nobody waits for retention, so jobs that ended within one minute go together.
    const TimePoint then = in_minutes ? next_minute(*at + later) : *at + later;
    if (!next || then < *next) next = then;
  };
  consider(ahead.due, Duration::zero(), false);
  consider(ahead.recurring, Duration::zero(), false);
  // Who slept judges nobody for one lease, though it may be time.
  const bool asleep = ahead.beat && watcher_.slept_within(options_.lease);
  if (asleep) consider(times_.estimate(), kSecondLook, false);
  if (!asleep) consider(ahead.beat, options_.lease, false);
  consider(ahead.deadline, options_.stop_grace, false);
  consider(ahead.succeeded, options_.keep_succeeded, true);
  consider(ahead.deleted, options_.keep_deleted, true);
  consider(ahead.result, Duration::zero(), true);
  consider(ahead.key, Duration::zero(), true);
  consider(ahead.counts, kFoldCounts, false);
  return times_.to_caller(next);
}

}  // namespace

Result<std::unique_ptr<JobStoreOwner>> open_job_store(const Url& url, JobStoreOptions options) {
  auto store = std::make_unique<PostgresJobStore>(url, std::move(options));
  TRY_VOID(store->start());
  return std::unique_ptr<JobStoreOwner>(std::move(store));
}

}  // namespace jobmill::postgres
