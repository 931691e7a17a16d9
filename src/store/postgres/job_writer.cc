// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/job_writer.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/core.h>

#include "base/duration.h"

namespace jobmill::postgres {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kFirstBackoff{100};
constexpr std::chrono::milliseconds kMostBackoff{5000};
constexpr int kTries = 5;                     // of what ends in a deadlock
constexpr std::chrono::seconds kTryAgain{2};  // whether an outage has passed, when nobody writes

// Every claim changes what a worker holds; others are told of it at most that often.
constexpr std::chrono::milliseconds kWorkersPause{200};

// A notification holds less than 8000 bytes.
constexpr std::size_t kMostLanes = 500;

constexpr Statement kSetClock{"set_clock", "SELECT set_config('jobmill.now', $1, false)"};
constexpr Statement kNoSync{"no_sync", "SELECT set_config('synchronous_commit', 'off', true)"};
constexpr Statement kNotify{"notify", "SELECT jobmill_notify($1)"};
// More than the free room that pages have even on a full disk; rolled back.
constexpr Statement kTryToWrite{
    "try_to_write",
    "INSERT INTO jobmill_log SELECT gen_random_uuid(), 0, n, 0, now(), repeat('x', 1900)"
    " FROM generate_series(1, 40) n"};

}  // namespace

JobWriter::JobWriter(Options options, Lanes& lanes) : options_(std::move(options)), lanes_(lanes) {}

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
  waiting_.push_back(&request);
  arrived_.notify_one();
  answered_.wait(lock, [&] { return request.done; });
  return std::move(request.status);
}

// --- the thread ----------------------------------------------------------------------------------

void JobWriter::serve() {
  for (;;) {
    Batch batch;
    {
      std::unique_lock lock(mutex_);
      const auto some = [this] { return stopping_ || !waiting_.empty(); };
      if (const auto look = next_look()) {
        arrived_.wait_until(lock, *look, some);
      } else {
        arrived_.wait(lock, some);
      }
      batch.swap(waiting_);
      if (batch.empty() && stopping_) return;
    }
    if (!batch.empty()) commit(std::move(batch));
    tell_late();
    try_again();
  }
}

// When there is something to do although nobody asks for it.
std::optional<SteadyClock::time_point> JobWriter::next_look() const {
  std::optional<SteadyClock::time_point> next;
  if (workers_untold_) next = told_workers_ + kWorkersPause;
  if (outage() && (!next || tried_ + kTryAgain < *next)) next = tried_ + kTryAgain;
  return next;
}

void JobWriter::commit(Batch batch) {
  Batch bulk, alone;
  for (Request* request : batch) {
    (request->kind == Request::Kind::Alone ? alone : bulk).push_back(request);
  }
  if (!bulk.empty()) {
    const Status status = commit_bulk(bulk);
    note_outcome(status);
    const bool lost = !status && (status.error().code == Code::Unavailable || bulk.size() == 1);
    if (lost) {
      for (Request* request : bulk) request->status = status;
    } else if (!status) {
      commit_one_by_one(bulk);
    }
    finish(bulk);
  }
  for (Request* request : alone) {
    request->status = run_alone(*request);
    note_outcome(request->status);
    finish({request});
  }
}

// Something is wrong with one of them, or it met another transaction in a deadlock.
void JobWriter::commit_one_by_one(const Batch& bulk) {
  for (Request* request : bulk) {
    for (int i = 0; i < kTries; ++i) {
      request->status = commit_bulk({request});
      if (request->status || request->status.error().code != Code::Conflict) break;
    }
  }
}

Status JobWriter::commit_bulk(const Batch& bulk) {
  TRY_VOID(ready());
  TRY_VOID(set_clock());
  Effects effects;
  Pipeline pipeline(*connection_);
  std::vector<NewJob> jobs;
  std::vector<Completion> completions;
  const bool claims_only = std::ranges::all_of(
      bulk, [](const Request* request) { return request->kind == Request::Kind::Claim; });
  if (claims_only) pipeline.add(kNoSync);

  for (const Request* request : bulk) {
    jobs.insert(jobs.end(), request->jobs.begin(), request->jobs.end());
    completions.insert(completions.end(), request->completions.begin(), request->completions.end());
  }
  if (!jobs.empty()) add_inserts(pipeline, jobs, shard(), effects);
  const std::size_t completed = pipeline.size();
  if (!completions.empty()) add_completions(pipeline, completions, shard());
  const std::size_t claimed = pipeline.size();
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
  for (Request* request : bulk) {
    if (request->asked == nullptr) continue;
    request->claimed = read_claim((*answers)[next++], *request->asked, lanes_, effects);
  }
  options_.committed(effects);
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

std::string notice_text(const Effects& effects, bool workers) {
  std::string text;
  if (effects.ready.size() > kMostLanes) text.push_back('a');
  for (const std::int32_t lane : effects.ready) {
    if (text == "a") break;
    text += text.empty() ? 'r' : ',';
    text += std::to_string(lane);
  }
  if (effects.due) text += text.empty() ? "d" : " d";
  if (effects.states) text += text.empty() ? "s" : " s";
  if (effects.queues) text += text.empty() ? "q" : " q";
  if (workers) text += text.empty() ? "w" : " w";
  return text;
}

Effects notice_of(std::string_view text) {
  Effects effects;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word == "d") effects.due = true;
    if (word == "w") effects.workers = true;
    if (word == "s") effects.states = true;
    if (word == "q") effects.queues = true;
    if (word == "a") effects.all = true;
    if (!word.starts_with('r')) continue;
    for (word.remove_prefix(1); !word.empty();) {
      std::int32_t lane = 0;
      const auto [at, error] = std::from_chars(word.data(), word.data() + word.size(), lane);
      if (error != std::errc()) break;
      effects.ready.insert(lane);
      word.remove_prefix(static_cast<std::size_t>(at - word.data()));
      if (word.starts_with(',')) word.remove_prefix(1);
    }
  }
  return effects;
}

}  // namespace jobmill::postgres
