// SPDX-License-Identifier: Apache-2.0
#include "worker/runner.h"

#include <algorithm>
#include <chrono>
#include <thread>

namespace jobmill::worker {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLongPoll = 25s;      // below the 30 s of the protocol, and of most proxies
constexpr Duration kFirstPause = 100ms;  // doubles
constexpr Duration kLongestPause = 2s;
constexpr Duration kFlush = 5s;  // for the last reports; then the leases decide
constexpr std::size_t kMostReports = 256;

// The server may do it next time; nothing is wrong with what we asked.
bool passing(Code code) {
  return code == Code::Unavailable || code == Code::Timeout || code == Code::Exhausted;
}

}  // namespace

Runner::Runner(Store& store, Registry registry, RunnerOptions options)
    : store_(store),
      jobs_(store.jobs()),
      registry_(std::move(registry)),
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
  const std::lock_guard lock(mutex_);
  for (jobs::ClaimedJob& job : claimed.jobs) {
    auto held = std::make_shared<Held>(Held{.job = std::move(job), .stop = {}});
    held_[held->job.lock_token] = held;
    ready_.push_back(std::move(held));
    ++busy_;
    work_.notify_one();
  }
}

// --- a slot -------------------------------------------------------------------------------------

void Runner::run_jobs(const std::stop_token& stop) {
  while (const auto held = next_job(stop)) {
    const std::stop_token token = held->stop.get_token();
    finished(*held,
             token.stop_requested() ? jobs::Settlement{} : run_job(registry_, held->job, token));
  }
}

std::shared_ptr<Runner::Held> Runner::next_job(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (!work_.wait(lock, stop, [&] { return !ready_.empty(); })) return nullptr;
  auto held = std::move(ready_.front());
  ready_.pop_front();
  return held;
}

void Runner::finished(const Held& held, jobs::Settlement settlement) {
  const std::lock_guard lock(mutex_);
  --busy_;
  free_.notify_one();
  if (held.abandoned) {
    held_.erase(held.job.lock_token);
    drained_.notify_all();
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
  while (!stop.stop_requested()) {
    if (!registration_) {
      life_.wait(lock, stop, [&] { return registration_.has_value(); });
      continue;
    }
    const jobs::Registration current = *registration_;
    const bool replaced = life_.wait_for(lock, stop, current.beat, [&] {
      return !registration_ || registration_->worker_id != current.worker_id;
    });
    if (replaced || stop.stop_requested()) continue;
    lock.unlock();
    beat(current);
    lock.lock();
  }
}

void Runner::beat(const jobs::Registration& current) {
  std::vector<jobs::Lease> leases;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [token, held] : held_)
      if (!held->abandoned) leases.push_back({held->job.job.id, token});
  }
  const auto answer = jobs_.beat(current.worker_id, leases, store_.now());
  if (answer) return obey(*answer);
  if (answer.error().code == Code::NotFound) return worker_gone(current.worker_id);
  complain("the server does not hear that this worker lives", answer.error());
}

void Runner::obey(const jobs::BeatAnswer& answer) {
  set_state(answer.state, answer.drain_until);
  const std::lock_guard lock(mutex_);
  for (const jobs::Cancel& cancel : answer.cancel)
    for (const auto& [token, held] : held_)
      if (held->job.job.id == cancel.job_id) {
        held->abandoned = true;
        held->stop.request_stop();
      }
}

// The server has given our jobs to others. Whoever notices it first tells the claimer, which
// registers again.
void Runner::worker_gone(const std::string& worker_id) {
  const std::lock_guard lock(mutex_);
  if (!registration_ || registration_->worker_id != worker_id) return;
  registration_.reset();
  for (const auto& [token, held] : held_) {
    held->abandoned = true;
    held->stop.request_stop();
  }
  life_.notify_all();
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
  lock.unlock();
  put_back();
  lock.lock();
  drained_.wait_for(lock, kFlush, [&] { return ended_.empty() && reporting_ == 0; });
}

// What is not finished is released, which consumes no attempt. Its handler is told, and whatever it
// does then is not taken for its result.
void Runner::put_back() {
  const std::lock_guard lock(mutex_);
  for (const auto& [token, held] : held_) {
    const bool reported = std::ranges::any_of(
        ended_, [&](const jobs::Settlement& settlement) { return settlement.lock_token == token; });
    if (reported || held->abandoned) continue;
    held->abandoned = true;
    ended_.push_back({.kind = jobs::Settlement::Kind::Release,
                      .job_id = held->job.job.id,
                      .lock_token = token,
                      .failure = {},
                      .reason = "its worker stopped"});
    held->stop.request_stop();
  }
  reports_.notify_one();
}

void Runner::leave() {
  const auto current = registration();
  if (!current) return;
  const Status left = jobs_.leave(current->worker_id, store_.now());
  if (!left && left.error().code != Code::NotFound)
    log_.warn("cannot sign off", {{"why", left.error().message}});
}

}  // namespace jobmill::worker
