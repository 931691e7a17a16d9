// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/job_writer.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "base/duration.h"
#include "store/postgres/notice.h"

namespace jobmill::postgres {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kFirstBackoff{100};
constexpr std::chrono::milliseconds kMostBackoff{5000};
constexpr int kTries = 5;                     // of what ends in a deadlock
constexpr std::chrono::seconds kTryAgain{2};  // whether an outage has passed, when nobody writes

// Every claim changes what a worker holds; others are told of it at most that often.
constexpr std::chrono::milliseconds kWorkersPause{200};

constexpr Statement kSetClock{"set_clock", "SELECT set_config('jobmill.now', $1, false)"};
constexpr Statement kNoSync{"no_sync", "SELECT set_config('synchronous_commit', 'off', true)"};
constexpr Statement kNotify{"notify", "SELECT jobmill_notify($1)"};
// More than the free room that pages have even on a full disk; rolled back.
constexpr Statement kTryToWrite{
    "try_to_write",
    "INSERT INTO jobmill_log SELECT gen_random_uuid(), 0, n, 0, now(), repeat('x', 1900)"
    " FROM generate_series(1, 40) n"};

}  // namespace

JobWriter::JobWriter(Options options, Lanes& lanes, ClaimLine& line)
    : options_(std::move(options)), lanes_(lanes), line_(line) {}

JobWriter::~JobWriter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  arrived_.notify_one();
  if (thread_.joinable()) thread_.join();
}

Status JobWriter::open() {
  TRY_VOID(ready());
  thread_ = std::thread([this] { serve(); });
  return {};
}

int JobWriter::backend() const { return backend_; }

Status JobWriter::insert(std::span<const NewJob> jobs) {
  if (jobs.size() >= kWorthCopying) {
    return run([&](Connection& connection, Effects& effects) {
      return copy_jobs(connection, jobs, shard(), effects);
    });
  }
  Request request;
  request.kind = Request::Kind::Insert;
  request.jobs = jobs;
  return wait_for(request);
}

Result<std::vector<std::size_t>> JobWriter::complete(std::span<const Completion> completions) {
  Request request;
  request.kind = Request::Kind::Complete;
  request.completions = completions;
  TRY_VOID(wait_for(request));
  return std::move(request.lost);
}

Result<ClaimAnswer> JobWriter::claim(const Claim& claim) {
  Request request;
  request.kind = Request::Kind::Claim;
  request.asked = &claim;
  TRY_VOID(wait_for(request));
  return std::move(request.claimed);
}

Status JobWriter::run(const Work& work) {
  Request request;
  request.work = &work;
  return wait_for(request);
}

Status JobWriter::wait_for(Request& request) {
  std::unique_lock lock(mutex_);
  if (busy_ || !waiting_.empty()) {
    waiting_.push_back(&request);
    if (!busy_) arrived_.notify_one();
    answered_.wait(lock, [&] { return request.done; });
  } else {
    write(lock, [&] { commit({&request}); });
  }
  return std::move(request.status);
}

// Under the lock, but for the work itself. Then it is the thread's turn, if anything came meanwhile
// or it shall look for something earlier than it knows.
void JobWriter::write(std::unique_lock<std::mutex>& lock, const std::function<void()>& work) {
  busy_ = true;
  lock.unlock();
  work();
  lock.lock();
  busy_ = false;
  const auto look = next_look();
  const bool sooner = look && (!sleeps_until_ || *look < *sleeps_until_);
  if (!waiting_.empty() || sooner) arrived_.notify_one();
}

// --- the thread ----------------------------------------------------------------------------------

void JobWriter::serve() {
  std::unique_lock lock(mutex_);
  while (!stopping_ || !waiting_.empty()) {
    sleeps_until_ = busy_ ? std::nullopt : next_look();
    const bool due = sleeps_until_ && *sleeps_until_ <= SteadyClock::now();
    if (!busy_ && (due || !waiting_.empty())) {
      write(lock, [this, batch = std::exchange(waiting_, {})] {
        if (!batch.empty()) commit(batch);
        tell_late();
        try_again();
      });
    } else if (sleeps_until_) {
      arrived_.wait_until(lock, *sleeps_until_);
    } else {
      arrived_.wait(lock);
    }
  }
}

// When there is something to do although nobody asks for it.
std::optional<SteadyClock::time_point> JobWriter::next_look() const {
  std::optional<SteadyClock::time_point> next;
  if (workers_untold_) next = told_workers_ + kWorkersPause;
  if (outage() && (!next || tried_ + kTryAgain < *next)) next = tried_ + kTryAgain;
  return next;
}

void JobWriter::commit(const Batch& batch) {
  Batch bulk, alone;
  for (Request* request : batch) {
    (request->kind == Request::Kind::Alone ? alone : bulk).push_back(request);
  }
  if (!bulk.empty()) commit_bulk(bulk);
  for (Request* request : alone) {
    request->status = run_alone(*request);
    note_outcome(request->status);
    finish({request});
  }
}

void JobWriter::commit_bulk(const Batch& bulk) {
  std::vector<NewJob> jobs;
  for (const Request* request : bulk) {
    jobs.insert(jobs.end(), request->jobs.begin(), request->jobs.end());
  }
  const auto served = line_.serve(jobs);
  const Status status = try_bulk(bulk, jobs, served);
  note_outcome(status);
  const bool others = bulk.size() > 1 || !served.empty();
  const bool lost = !status && status.error().code == Code::Unavailable;
  if (!status && others && !lost) {
    commit_one_by_one(bulk);
  } else {
    for (Request* request : bulk) request->status = status;
  }
  finish(bulk);
}

// Something is wrong with one of them, or it met another transaction in a deadlock. Claims that
// wait shall do so on: they are nobody's who must not be kept waiting.
void JobWriter::commit_one_by_one(const Batch& bulk) {
  for (Request* request : bulk) {
    for (int i = 0; i < kTries; ++i) {
      request->status = try_bulk({request}, request->jobs, {});
      if (request->status || request->status.error().code != Code::Conflict) break;
    }
  }
}

// Whoever is served hears of it first.
Status JobWriter::try_bulk(const Batch& bulk, std::span<const NewJob> jobs,
                           const ClaimLine::Served& served) {
  Effects effects;
  Status status = write_bulk(bulk, jobs, served, effects);
  line_.end(served, bool(status));
  if (status) options_.committed(effects);
  return status;
}

Status JobWriter::write_bulk(const Batch& bulk, std::span<const NewJob> jobs,
                             const ClaimLine::Served& served, Effects& effects) {
  TRY_VOID(ready());
  TRY_VOID(set_clock());
  Pipeline pipeline(*connection_);
  std::vector<Completion> completions;
  const bool claims_only = std::ranges::all_of(
      bulk, [](const Request* request) { return request->kind == Request::Kind::Claim; });
  if (claims_only) pipeline.add(kNoSync);

  for (const Request* request : bulk) {
    completions.insert(completions.end(), request->completions.begin(), request->completions.end());
  }
  const bool one_for_one = jobs.size() == 1 && served.size() == 1;
  if (!jobs.empty() && !one_for_one) add_inserts(pipeline, jobs, shard(), effects);
  const std::size_t completed = pipeline.size();
  if (!completions.empty()) add_completions(pipeline, completions, shard());
  const std::size_t claimed = pipeline.size();
  if (one_for_one) {
    add_hand_out_new(pipeline, ClaimLine::hand_out(served.front()), shard(), effects);
  } else {
    std::int64_t before = std::ssize(jobs);
    for (const auto& one : served) {
      add_hand_out(pipeline, ClaimLine::hand_out(one), shard(), before);
      before += std::ssize(ClaimLine::hand_out(one).jobs);
    }
  }
  for (const Request* request : bulk) {
    if (request->asked != nullptr) add_claim(pipeline, *request->asked, shard());
  }
  effects.workers |= !completions.empty() || claimed < pipeline.size();
  tell(pipeline, effects);
  auto answers = pipeline.finish();
  if (!answers) return answers.error();

  if (!completions.empty()) {
    const auto lost = lost_completions((*answers)[completed], effects);
    std::size_t first = 0;
    for (Request* request : bulk) {
      for (const std::size_t index : lost) {
        if (index >= first && index < first + request->completions.size()) {
          request->lost.push_back(index - first);
        }
      }
      first += request->completions.size();
    }
  }
  std::size_t next = claimed;
  for (const auto& one : served) {
    ClaimLine::answer(one,
                      read_hand_out((*answers)[next++], ClaimLine::hand_out(one), lanes_, effects));
  }
  for (Request* request : bulk) {
    if (request->asked == nullptr) continue;
    request->claimed = read_claim((*answers)[next++], *request->asked, lanes_, effects);
  }
  return {};
}

Status JobWriter::run_alone(const Request& request) {
  for (int i = 0;; ++i) {
    Effects effects;
    Status status = attempt_alone(request, effects);
    if (status) {
      options_.committed(effects);
      return {};
    }
    // Conflicts of the work itself are for its caller; the server's have an SQLSTATE of class 40.
    const bool deadlock = status.error().code == Code::Conflict && connection_ &&
                          connection_->sqlstate().starts_with("40");
    if (!deadlock || i + 1 == kTries) return status;
  }
}

Status JobWriter::attempt_alone(const Request& request, Effects& effects) {
  TRY_VOID(ready());
  TRY_VOID(set_clock());
  TRY(auto transaction, Transaction::begin(*connection_));
  TRY_VOID((*request.work)(*connection_, effects));
  if (effects.any()) {
    Pipeline pipeline(*connection_);
    tell(pipeline, effects);
    if (!pipeline.empty()) {
      TRY([[maybe_unused]] const auto told, pipeline.finish());
    }
  }
  return transaction.commit();
}

void JobWriter::finish(const Batch& batch) {
  {
    const std::lock_guard lock(mutex_);
    for (Request* request : batch) request->done = true;
  }
  answered_.notify_all();
}

// Other failures are of what was asked for.
void JobWriter::note_outcome(const Status& status) {
  const bool down = !status && (status.error().code == Code::Unavailable ||
                                status.error().code == Code::Exhausted);
  const std::lock_guard lock(outage_mutex_);
  if (status) outage_.reset();
  if (down) {
    tried_ = SteadyClock::now();
    outage_ = {outage_ ? outage_->since : tried_, status.error().message};
  }
}

// Nobody writes to a server that says it is not ready, so it has to find out by itself that it is.
void JobWriter::try_again() {
  if (!outage() || SteadyClock::now() < tried_ + kTryAgain) return;
  tried_ = SteadyClock::now();
  note_outcome(try_to_write());
}

Status JobWriter::try_to_write() {
  TRY_VOID(ready());
  TRY([[maybe_unused]] const auto transaction, Transaction::begin(*connection_));
  TRY([[maybe_unused]] const auto written, connection_->run(kTryToWrite));
  return {};
}

std::optional<jobs::Outage> JobWriter::outage() const {
  const std::lock_guard lock(outage_mutex_);
  return outage_;
}

// --- the connection ------------------------------------------------------------------------------

Status JobWriter::ready() {
  if (connection_ && connection_->is_open()) return {};
  if (connection_) {
    connection_.reset();
    backend_ = 0;
    backoff_ = std::chrono::milliseconds(0);
    next_try_ = {};
  }
  if (SteadyClock::now() < next_try_) return away_;
  auto opened = Connection::open(options_.url, options_.connect);
  if (!opened) {
    backoff_ = std::clamp(backoff_ * 2, kFirstBackoff, kMostBackoff);
    next_try_ = SteadyClock::now() + backoff_;
    away_ = opened.error();
    return away_;
  }
  connection_.emplace(*std::move(opened));
  backend_ = connection_->backend();
  return {};
}

Status JobWriter::set_clock() {
  if (options_.clock == nullptr) return {};
  const std::string now = format_instant(options_.clock->now());
  TRY([[maybe_unused]] const auto set, connection_->run(kSetClock, Parameters().text(now)));
  return {};
}

// --- telling the others --------------------------------------------------------------------------

void JobWriter::tell(Pipeline& pipeline, const Effects& effects) {
  bool workers = effects.workers;
  if (workers) {
    const auto now = SteadyClock::now();
    workers = now >= told_workers_ + kWorkersPause;
    workers_untold_ = !workers;
    if (workers) told_workers_ = now;
  }
  const std::string text = notice_text(effects, workers);
  if (!text.empty()) pipeline.add(kNotify, Parameters().text(text));
}

void JobWriter::tell_late() {
  if (!workers_untold_ || SteadyClock::now() < told_workers_ + kWorkersPause) return;
  workers_untold_ = false;
  told_workers_ = SteadyClock::now();
  if (!ready()) return;  // whoever listens starts anew when the database is back
  if (const auto told = connection_->run(kNotify, Parameters().text("w")); !told) return;
}

}  // namespace jobmill::postgres
