// SPDX-License-Identifier: Apache-2.0
#include "worker/runner.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"

namespace jobmill::worker {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLongPoll = 25s;      // below the 30 s of the protocol, and of most proxies
constexpr Duration kFirstPause = 100ms;  // doubles
constexpr Duration kLongestPause = 2s;
constexpr Duration kFlush = 5s;  // for the last reports; then the leases decide
constexpr std::size_t kMostReports = 256;
// Of log lines in one beat: as JSON still below the 4 MiB that the server takes at once.
constexpr std::size_t kMostLogBytes = 512u << 10;

// The server may do it next time; nothing is wrong with what we asked.
bool passing(Code code) {
  return code == Code::Unavailable || code == Code::Timeout || code == Code::Exhausted;
}

// As jobs::Failure says it. What the run itself says of its end is only the cause.
jobs::Settlement timed_out(const Run& run, const jobs::Settlement& own) {
  const jobs::Extra& limits = run.job().extra;
  jobs::Settlement settlement{.kind = jobs::Settlement::Kind::Fail};
  settlement.failure.type = "jobmill.Timeout";
  settlement.failure.message = limits.timeout > Duration::zero()
                                   ? "it was not done within " + to_text(limits.timeout)
                                   : "it said nothing for " + to_text(limits.progress_timeout);
  if (own.kind == jobs::Settlement::Kind::Fail) {
    settlement.failure.cause_type = own.failure.type;
    settlement.failure.cause_message = own.failure.message;
    settlement.failure.stack = own.failure.stack;
  }
  return settlement;
}

jobs::Settlement released() {
  return {.kind = jobs::Settlement::Kind::Release, .reason = "its worker stopped"};
}

// A success goes with what the run returned, if the store takes so much.
void add_result(jobs::Settlement& settlement, std::string result) {
  if (settlement.kind != jobs::Settlement::Kind::Complete) return;
  if (result.size() <= jobs::kMaxResultBytes) {
    settlement.result = std::move(result);
    return;
  }
  settlement.kind = jobs::Settlement::Kind::Fail;
  settlement.failure.type = "jobmill.ResultTooLarge";
  settlement.failure.message =
      fmt::format("its result has {} bytes, of at most {}", result.size(), jobs::kMaxResultBytes);
  settlement.failure.retry = jobs::RetryRule::Never;
}

}  // namespace

Runner::Runner(Store& store, MakeWork make_work, RunnerOptions options)
    : store_(store),
      jobs_(store.jobs()),
      make_work_(std::move(make_work)),
      options_(std::move(options)) {}

void Runner::run(std::stop_token stop) {
  std::jthread settler([this](const std::stop_token& end) { settle_jobs(end); });
  std::vector<std::jthread> slots;
  for (int i = 0; i < options_.spec.concurrency; ++i)
    slots.emplace_back([this](const std::stop_token& end) { run_jobs(end); });
  std::jthread alive([this](const std::stop_token& end) { keep_alive(end); });
  std::jthread claimer([this](const std::stop_token& end) { claim_jobs(end); });

  wait_for_end(std::move(stop));
  claimer.request_stop();
  claimer.join();
  drain();
  alive.request_stop();
  alive.join();
  leave();
  for (std::jthread& slot : slots) slot.request_stop();
  slots.clear();  // waits for the handlers
  settler.request_stop();
  settler.join();
  if (refused_) throw to_error(*refused_);
}

// Waits a little longer each time, or until the token fires.
void Runner::pause(Duration& backoff, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  life_.wait_for(lock, stop, backoff, [] { return false; });
  backoff = std::min(2 * backoff, kLongestPause);
}

// Once for each outage, however many requests fail in it.
void Runner::complain(std::string_view what, const Fault& why) {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(away_, true)) log_.warn(what, {{"why", why.message}});
}

void Runner::rejoice() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(away_, false)) log_.warn("the server is back");
}

// --- the claimer --------------------------------------------------------------------------------

void Runner::claim_jobs(const std::stop_token& stop) {
  Duration backoff = kFirstPause;
  while (!stop.stop_requested() && announce(stop)) {
    const int limit = wait_for_free_slots(stop);
    if (limit == 0) return;
    const auto current = registration();
    if (!current) continue;
    auto claimed = jobs_.claim({.worker_id = current->worker_id,
                                .limit = limit,
                                .queues = {},
                                .kinds = {},
                                .wait = kLongPoll,
                                .stop = stop},
                               store_.now());
    if (claimed) {
      backoff = kFirstPause;
      rejoice();
      accept(*std::move(claimed));
    } else if (claimed.error().code == Code::NotFound) {
      worker_gone(current->worker_id);
    } else {
      complain("cannot claim jobs", claimed.error());
      pause(backoff, stop);
    }
  }
}

// False: it is no use to go on.
bool Runner::announce(const std::stop_token& stop) {
  for (Duration backoff = kFirstPause; !stop.stop_requested(); pause(backoff, stop)) {
    if (registration()) return true;
    auto admitted = jobs_.announce(options_.spec, store_.now());
    if (admitted) {
      const std::lock_guard lock(mutex_);
      registration_ = *std::move(admitted);
      ever_registered_ = true;
      look_ = true;
      life_.notify_all();
      return true;
    }
    complain("cannot register with the server", admitted.error());
    if (!passing(admitted.error().code) && refused(admitted.error())) return false;
  }
  return false;
}

// Who was let in once is let in again some day; who never was has been set up wrongly.
bool Runner::refused(const Fault& why) {
  const std::lock_guard lock(mutex_);
  if (ever_registered_) return false;
  refused_ = why;
  life_.notify_all();
  return true;
}

std::optional<jobs::Registration> Runner::registration() {
  const std::lock_guard lock(mutex_);
  return registration_;
}

int Runner::wait_for_free_slots(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const int slots = options_.spec.concurrency;
  const bool some = free_.wait(lock, stop, [&] { return busy_ < slots; });
  return some && !stop.stop_requested() ? slots - busy_ : 0;
}

void Runner::accept(jobs::Claimed claimed) {
  if (claimed.state == jobs::WorkerState::Stop) set_state(claimed.state, std::nullopt);
  {
    const std::lock_guard lock(mutex_);
    for (jobs::ClaimedJob& job : claimed.jobs) {
      auto held = std::make_shared<Held>(std::move(job), store_);
      if (held->run.deadline()) look_ = true;
      held_[held->run.lock_token()] = held;
      ready_.push_back(std::move(held));
      ++busy_;
    }
    if (look_) life_.notify_all();
  }
  for (std::size_t i = 0; i < claimed.jobs.size(); ++i) work_.notify_one();
}

// --- a slot -------------------------------------------------------------------------------------

void Runner::run_jobs(const std::stop_token& stop) {
  const Work work = make_work_();
  while (const auto held = next_job(stop))
    finished(held, held->run.stop().stop_requested() ? released() : work(held->run));
}

std::shared_ptr<Runner::Held> Runner::next_job(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (!work_.wait(lock, stop, [&] { return !ready_.empty(); })) return nullptr;
  auto held = std::move(ready_.front());
  ready_.pop_front();
  return held;
}

void Runner::finished(const std::shared_ptr<Held>& held, jobs::Settlement settlement) {
  add_result(settlement, held->run.take_result());
  const std::lock_guard lock(mutex_);
  --busy_;
  free_.notify_one();
  if (held->decided) return;
  switch (held->run.ending()) {
    case Ending::Timeout:
      return close(held, timed_out(held->run, settlement));
    case Ending::Drain:
      return close(held, released());
    default:
      return close(held, std::move(settlement));
  }
}

// What it told goes first: with the settlement its lease ends.
void Runner::close(const std::shared_ptr<Held>& held, jobs::Settlement settlement) {
  held->decided = true;
  held->run.seal();
  settlement.job_id = held->run.job().id;
  settlement.lock_token = held->run.lock_token();
  if (registration_ && (held->in_flight || held->run.has_news())) {
    held->telling = true;
    closing_.push_back({held, std::move(settlement)});
    look_ = true;
    life_.notify_all();
    return;
  }
  ended_.push_back(std::move(settlement));
  reports_.notify_one();
}

// --- the settler --------------------------------------------------------------------------------

void Runner::settle_jobs(const std::stop_token& stop) {
  for (;;) {
    auto batch = next_batch(stop);
    if (batch.empty()) return;
    settle(std::move(batch), stop);
  }
}

// Empty: the end.
std::vector<jobs::Settlement> Runner::next_batch(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  reports_.wait(lock, stop, [&] { return !ended_.empty(); });
  std::vector<jobs::Settlement> batch;
  while (!ended_.empty() && batch.size() < kMostReports && !stop.stop_requested()) {
    batch.push_back(std::move(ended_.front()));
    ended_.pop_front();
  }
  reporting_ = batch.size();
  return batch;
}

// Until the server has answered. What it refuses is done with too: of a lost lease nothing can be
// settled, and the job runs elsewhere.
void Runner::settle(std::vector<jobs::Settlement> batch, const std::stop_token& stop) {
  for (Duration backoff = kFirstPause; !stop.stop_requested(); pause(backoff, stop)) {
    const auto current = registration();
    const std::string worker_id = current ? current->worker_id : std::string();
    const auto settled = jobs_.settle(worker_id, batch, store_.now());
    if (settled) return forget(batch);
    if (settled.error().code == Code::NotFound) {
      worker_gone(worker_id);
      return forget(batch);
    }
    complain("cannot report the end of jobs", settled.error());
    if (passing(settled.error().code)) continue;
    if (batch.size() == 1) return forget(batch);
    // One of them is the reason; the others shall not suffer.
    for (jobs::Settlement& settlement : batch) settle({std::move(settlement)}, stop);
    return;
  }
}

void Runner::forget(const std::vector<jobs::Settlement>& batch) {
  const std::lock_guard lock(mutex_);
  for (const jobs::Settlement& settlement : batch) held_.erase(settlement.lock_token);
  reporting_ -= batch.size();
  drained_.notify_all();
}

// --- the beat -----------------------------------------------------------------------------------

void Runner::keep_alive(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  std::string known;  // the worker's id that the beat belongs to
  Instant next_beat{};
  while (!stop.stop_requested()) {
    const Instant now = std::chrono::steady_clock::now();
    look_ = false;
    end_overdue(now);
    const auto current = registration_;
    if (current && current->worker_id != known) {
      known = current->worker_id;
      next_beat = now + beat_interval();
    }
    next_beat = std::min(next_beat, now + beat_interval());
    if (current && now >= next_beat) {
      lock.unlock();
      const Duration pause = beat(*current);
      lock.lock();
      next_beat = std::chrono::steady_clock::now() + pause;
      continue;
    }
    const bool news = life_.wait_until(lock, stop, next_look(next_beat), [&] { return look_; });
    if (news && !closing_.empty()) next_beat = {};  // they wait for nothing else
  }
}

// Runs whose time is over, and those that went on for the whole grace after it.
void Runner::end_overdue(Instant now) {
  std::vector<std::shared_ptr<Held>> overdue;
  for (const auto& [token, held] : held_) {
    if (held->decided) continue;
    if (held->run.ending() == Ending::None) {
      if (const auto deadline = held->run.deadline(); deadline && *deadline <= now)
        held->run.end(Ending::Timeout);
    } else if (held->run.ending() == Ending::Timeout &&
               *held->run.ended_at() + options_.grace + options_.force <= now) {
      overdue.push_back(held);
    }
  }
  for (const auto& held : overdue) close(held, timed_out(held->run, {}));
}

// When the beat has something to do, if nothing else happens.
Runner::Instant Runner::next_look(Instant next_beat) const {
  Instant next = registration_ ? next_beat : std::chrono::steady_clock::now() + 1h;
  for (const auto& [token, held] : held_) {
    if (held->decided) continue;
    if (held->run.ending() == Ending::None) {
      if (const auto deadline = held->run.deadline()) next = std::min(next, *deadline);
    } else if (held->run.ending() == Ending::Timeout) {
      next = std::min(next, *held->run.ended_at() + options_.grace + options_.force);
    }
  }
  return next;
}

// As the server asks for, or more often: who must speak every few seconds is heard in time.
Duration Runner::beat_interval() const {
  Duration interval = registration_ ? registration_->beat : Duration(1s);
  for (const auto& [token, held] : held_)
    if (const Duration limit = held->run.job().extra.progress_timeout; limit > Duration::zero())
      interval = std::min(interval, std::max<Duration>(limit / 3, 10ms));
  return interval;
}

// How long to wait before the next one.
Duration Runner::beat(const jobs::Registration& current) {
  auto reports = news();
  const auto answer = jobs_.beat(current.worker_id, reports, store_.now());
  if (answer) {
    obey(*answer);
    told();
  } else if (answer.error().code == Code::NotFound) {
    worker_gone(current.worker_id);
  } else {
    complain("the server does not hear that this worker lives", answer.error());
    if (passing(answer.error().code))
      put_back(std::move(reports));
    else
      tell_no_more();
  }
  const std::lock_guard lock(mutex_);
  if (closing_.empty()) return beat_interval();
  return answer ? Duration::zero() : std::min<Duration>(beat_interval(), 1s);
}

// Of all jobs that are ours; what is about to end tells first.
std::vector<jobs::Report> Runner::news() {
  const std::lock_guard lock(mutex_);
  std::size_t room = kMostLogBytes;
  std::vector<jobs::Report> reports;
  const auto add = [&](Held& held) {
    reports.push_back(held.run.take_news(room));
    const jobs::Report& report = reports.back();
    for (const jobs::LogLine& line : report.logs) room -= std::min(room, line.text.size());
    held.in_flight = report.progress || !report.logs.empty();
  };
  for (const Closing& closing : closing_) add(*closing.held);
  for (const auto& [token, held] : held_)
    if (!held->telling) add(*held);
  return reports;
}

void Runner::put_back(std::vector<jobs::Report> news) {
  const std::lock_guard lock(mutex_);
  for (jobs::Report& report : news) {
    const auto found = held_.find(report.lock_token);
    if (found == held_.end()) continue;
    found->second->in_flight = false;
    found->second->run.put_back(std::move(report));
  }
}

// What has told everything is settled.
void Runner::told() {
  const std::lock_guard lock(mutex_);
  for (const auto& [token, held] : held_) held->in_flight = false;
  std::erase_if(closing_, [&](Closing& closing) {
    if (closing.held->run.has_news()) return false;
    ended_.push_back(std::move(closing.settlement));
    return true;
  });
  reports_.notify_one();
}

void Runner::tell_no_more() {
  const std::lock_guard lock(mutex_);
  for (const auto& [token, held] : held_) held->in_flight = false;
  for (Closing& closing : closing_) ended_.push_back(std::move(closing.settlement));
  closing_.clear();
  reports_.notify_one();
}

void Runner::obey(const jobs::BeatAnswer& answer) {
  set_state(answer.state, answer.drain_until);
  const std::lock_guard lock(mutex_);
  for (const jobs::Cancel& cancel : answer.cancel) {
    const auto found = std::ranges::find_if(held_, [&](const auto& entry) {
      return entry.second->run.job().id == cancel.job_id && !entry.second->decided;
    });
    if (found == held_.end()) continue;
    if (cancel.reason == "timeout")
      found->second->run.end(Ending::Timeout);
    else
      lose(found, cancel.reason == "deleted" ? Ending::Deleted : Ending::Lost);
  }
}

// The server has given our jobs to others. Whoever notices it first tells the claimer, which
// registers again.
void Runner::worker_gone(const std::string& worker_id) {
  const std::lock_guard lock(mutex_);
  if (!registration_ || registration_->worker_id != worker_id) return;
  registration_.reset();
  look_ = true;
  lose_all();
  life_.notify_all();
}

void Runner::lose_all() {
  closing_.clear();
  while (!held_.empty()) lose(held_.begin(), Ending::Lost);
}

// It may go on, but it is not ours any more.
void Runner::lose(HeldJobs::iterator which, Ending why) {
  const auto held = which->second;
  held_.erase(which);
  held->decided = true;
  held->run.seal();
  held->run.end(why);
  drained_.notify_all();
}

void Runner::set_state(jobs::WorkerState state, std::optional<TimePoint> drain_until) {
  const std::lock_guard lock(mutex_);
  if (state != jobs::WorkerState::Stop || told_to_stop_) return;
  told_to_stop_ = true;
  drain_until_ = drain_until;
  life_.notify_all();
}

// --- the end ------------------------------------------------------------------------------------

void Runner::wait_for_end(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  life_.wait(lock, std::move(stop), [&] { return told_to_stop_ || refused_; });
}

void Runner::drain() {
  const auto begin = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  const Duration grace =
      drain_until_ ? std::max(*drain_until_ - store_.now(), Duration::zero()) : options_.grace;
  const auto settled = [&] { return held_.empty(); };
  if (drained_.wait_until(lock, begin + grace, settled)) return;
  if (options_.force > Duration::zero()) {
    force_ends();
    if (drained_.wait_for(lock, options_.force, settled)) return;
  }
  release_rest();
  drained_.wait_for(lock, kFlush,
                    [&] { return closing_.empty() && ended_.empty() && reporting_ == 0; });
}

void Runner::force_ends() {
  for (const auto& [token, held] : held_)
    if (!held->decided) held->run.end(Ending::Drain);
}

// What is not finished is released, which consumes no attempt. Its handler is told, and whatever it
// does then is not taken for its result.
void Runner::release_rest() {
  for (const auto& [token, held] : held_) {
    if (held->decided) continue;
    close(held, released());
    held->run.end(Ending::Drain);
  }
}

void Runner::leave() {
  const auto current = registration();
  if (!current) return;
  const Status left = jobs_.leave(current->worker_id, store_.now());
  if (!left && left.error().code != Code::NotFound)
    log_.warn("cannot sign off", {{"why", left.error().message}});
}

}  // namespace jobmill::worker
