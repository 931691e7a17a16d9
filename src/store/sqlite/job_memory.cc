// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/job_memory.h"

#include <algorithm>
#include <cassert>

#include "store/sqlite/lock_token.h"

namespace jobmill::sqlite {
namespace {

using jobs::Worker;
using jobs::WorkerState;

std::int64_t second_of(TimePoint at) {
  return std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
}

bool takes(std::span<const std::string> kinds, std::string_view kind) {
  return kinds.empty() || std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

template <class T>
void keep_least(std::optional<T>& least, const std::optional<T>& other) {
  if (other && (!least || *other < *least)) least = other;
}

}  // namespace

std::optional<TimePoint> Held::end() const {
  std::optional<TimePoint> end;
  if (timeout > Duration::zero()) end = started + timeout;
  if (progress_timeout > Duration::zero()) keep_least(end, std::optional(told + progress_timeout));
  return end;
}

void JobDelta::OfQueue::add_due(TimePoint at, std::int64_t count) {
  scheduled += count;
  taken |= count < 0;
  if (!due.empty() && due.back().first == at) {
    due.back().second += count;
  } else {
    due.emplace_back(at, count);
  }
}

std::int64_t* JobDelta::OfQueue::ended(jobs::JobState state) {
  if (state == jobs::JobState::Succeeded) return &succeeded;
  if (state == jobs::JobState::Failed) return &failed;
  return state == jobs::JobState::Deleted ? &deleted : nullptr;
}

// --- by the commit thread ------------------------------------------------------------------------

void JobMemory::clear_counts() {
  std::lock_guard lock(mutex_);
  lanes_.clear();
  queues_.clear();
  queue_ids_.clear();
  oldest_succeeded_.reset();
  oldest_deleted_.reset();
  for (auto& [id, live] : workers_) live.held.clear();
  for (auto& [id, tally] : tallies_) tally.in_progress = 0;
  ends_.clear();
}

Lane& JobMemory::add_lane(Lane lane) {
  std::lock_guard lock(mutex_);
  auto& siblings = queues_.at(lane.queue).lanes;
  const auto place = std::find_if(siblings.begin(), siblings.end(), [&](std::int64_t id) {
    return lanes_.at(id).priority < lane.priority;
  });
  siblings.insert(place, lane.id);
  return lanes_.emplace(lane.id, std::move(lane)).first->second;
}

QueueCounts& JobMemory::add_queue(QueueCounts queue) {
  std::lock_guard lock(mutex_);
  queue_ids_.emplace(queue.name, queue.id);
  return queues_.emplace(queue.id, std::move(queue)).first->second;
}

void JobMemory::set_paused(std::int64_t queue, bool paused) {
  std::lock_guard lock(mutex_);
  queues_.at(queue).paused = paused;
}

const Lane* JobMemory::lane(std::int64_t id) const {
  const auto it = lanes_.find(id);
  return it == lanes_.end() ? nullptr : &it->second;
}

const Lane* JobMemory::lane(std::int64_t queue, std::string_view kind, int priority) const {
  for (const std::int64_t id : queues_.at(queue).lanes) {
    const Lane& lane = lanes_.at(id);
    if (lane.priority == priority && lane.kind == kind) return &lane;
  }
  return nullptr;
}

const QueueCounts* JobMemory::queue(std::int64_t id) const {
  const auto it = queues_.find(id);
  return it == queues_.end() ? nullptr : &it->second;
}

const QueueCounts* JobMemory::queue(std::string_view name) const {
  const auto it = queue_ids_.find(name);
  return it == queue_ids_.end() ? nullptr : &queues_.at(it->second);
}

void JobMemory::apply(const JobDelta& delta) {
  std::lock_guard lock(mutex_);
  for (const auto& [id, lane] : delta.lanes) apply_lane(id, lane);
  for (const auto& [id, queue] : delta.queues) apply_queue(id, queue);
  for (const JobDelta::Drop& drop : delta.drops) apply_drop(drop);
  for (const JobDelta::Claim& claim : delta.claims) {
    if (LiveWorker* live = find(claim.worker)) take_up(*live, claim.job, claim.held);
  }
  keep_least(oldest_succeeded_, delta.succeeded);
  keep_least(oldest_deleted_, delta.deleted);
}

void JobMemory::apply_lane(std::int64_t id, const JobDelta::OfLane& delta) {
  Lane& lane = lanes_.at(id);
  if (delta.taken) {
    lane.oldest = delta.oldest;
  } else if (lane.enqueued == 0) {
    lane.oldest = delta.added;
  }
  lane.enqueued += delta.enqueued;
  tallies_[id].merge(delta.tally);
}

void JobMemory::apply_queue(std::int64_t id, const JobDelta::OfQueue& delta) {
  QueueCounts& queue = queues_.at(id);
  queue.scheduled += delta.scheduled;
  queue.processing += delta.processing;
  queue.succeeded += delta.succeeded;
  queue.failed += delta.failed;
  queue.deleted += delta.deleted;
  for (const auto& [at, count] : delta.due) {
    const std::int64_t second = second_of(at);
    const auto [it, created] = queue.due.try_emplace(second, DueSecond{0, at, at});
    DueSecond& bucket = it->second;
    bucket.count += count;
    bucket.first = std::min(bucket.first, at);
    bucket.last = std::max(bucket.last, at);
    if (bucket.count == 0) queue.due.erase(it);
    if (count > 0 && !delta.taken) keep_least(queue.next_due, std::optional(at));
  }
  if (delta.taken) queue.next_due = delta.next_due;
}

void JobMemory::apply_drop(const JobDelta::Drop& drop) {
  LiveWorker* live = find_row(drop.worker_row);
  if (live == nullptr) return;
  let_go(*live, drop.job);
  if (!drop.cancel.empty()) live->cancelled.insert_or_assign(drop.job, std::string(drop.cancel));
}

void JobMemory::set_retention(std::optional<TimePoint> succeeded,
                              std::optional<TimePoint> deleted) {
  std::lock_guard lock(mutex_);
  oldest_succeeded_ = succeeded;
  oldest_deleted_ = deleted;
}

void JobMemory::set_expiry(std::optional<TimePoint> result, std::optional<TimePoint> key) {
  std::lock_guard lock(mutex_);
  next_result_ = result;
  next_key_ = key;
}

void JobMemory::keep_first(std::optional<TimePoint>& first, TimePoint at) {
  std::lock_guard lock(mutex_);
  keep_least(first, std::optional(at));
}

void JobMemory::hold(std::int64_t worker_row, std::int64_t lane, const std::string& job,
                     const Held& held) {
  std::lock_guard lock(mutex_);
  tallies_[lane].in_progress += 1;
  if (LiveWorker* live = find_row(worker_row)) take_up(*live, job, held);
}

void JobMemory::take_up(LiveWorker& live, const std::string& job, const Held& held) {
  let_go(live, job);
  live.held.emplace(job, held);
  if (const auto end = held.end()) ends_.emplace(*end, live.row, job);
}

void JobMemory::let_go(LiveWorker& live, std::string_view job) {
  const auto held = live.held.find(job);
  if (held == live.held.end()) return;
  if (const auto end = held->second.end()) ends_.erase({*end, live.row, held->first});
  live.held.erase(held);
}

void JobMemory::told(std::int64_t worker_row, std::string_view job,
                     const std::optional<jobs::Progress>& progress, TimePoint now) {
  std::lock_guard lock(mutex_);
  LiveWorker* live = find_row(worker_row);
  if (live == nullptr) return;
  const auto held = live->held.find(job);
  if (held != live->held.end()) note(*live, held->first, held->second, progress, now);
}

// Each word gives it the time of its progress limit anew.
void JobMemory::note(LiveWorker& live, const std::string& job, Held& held,
                     const std::optional<jobs::Progress>& progress, TimePoint now) {
  if (const auto end = held.end()) ends_.erase({*end, live.row, job});
  held.told = std::max(held.told, now);
  if (progress) held.progress = progress;
  if (const auto end = held.end()) ends_.emplace(*end, live.row, job);
}

std::vector<JobMemory::Choice> JobMemory::choices(std::span<const std::string> queues,
                                                  std::span<const std::string> kinds) const {
  std::vector<Choice> found;
  std::size_t rank = 0;
  for (const QueueCounts* queue : chosen(queues)) {
    if (queue->paused) continue;
    int priority = -1;
    for (const std::int64_t id : queue->lanes) {
      const Lane& lane = lanes_.at(id);
      if (lane.enqueued == 0 || !takes(kinds, lane.kind)) continue;
      if (lane.priority != priority) ++rank;
      priority = lane.priority;
      found.push_back({id, rank});
    }
  }
  return found;
}

std::vector<const QueueCounts*> JobMemory::chosen(std::span<const std::string> queues) const {
  if (queues.empty()) return ordered();
  std::vector<const QueueCounts*> found;
  for (const std::string& name : queues) {
    if (const QueueCounts* known = queue(name)) found.push_back(known);
  }
  return found;
}

// Those of the configured order first, then the others by name.
std::vector<const QueueCounts*> JobMemory::ordered() const {
  std::vector<const QueueCounts*> found;
  for (const std::string& name : order_) {
    if (const QueueCounts* known = queue(name)) found.push_back(known);
  }
  for (const auto& [name, id] : queue_ids_) {
    if (std::find(order_.begin(), order_.end(), name) == order_.end()) {
      found.push_back(&queues_.at(id));
    }
  }
  return found;
}

void JobMemory::set_next_run(const std::string& recurring, std::optional<TimePoint> next) {
  std::lock_guard lock(mutex_);
  if (next) {
    next_runs_.insert_or_assign(recurring, *next);
  } else {
    next_runs_.erase(recurring);
  }
}

void JobMemory::clear_next_runs() {
  std::lock_guard lock(mutex_);
  next_runs_.clear();
}

std::vector<std::string> JobMemory::due_recurring(TimePoint now) const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, next] : next_runs_) {
    if (next <= now) ids.push_back(id);
  }
  return ids;
}

std::optional<TimePoint> JobMemory::next_run() const {
  std::lock_guard lock(mutex_);
  std::optional<TimePoint> next;
  for (const auto& [id, at] : next_runs_) keep_least(next, std::optional(at));
  return next;
}

// --- workers -------------------------------------------------------------------------------------

LiveWorker* JobMemory::find(std::string_view id) {
  const auto it = workers_.find(id);
  return it == workers_.end() ? nullptr : &it->second;
}

LiveWorker* JobMemory::find_row(std::int64_t row) {
  const auto it = worker_ids_.find(row);
  return it == worker_ids_.end() ? nullptr : find(it->second);
}

void JobMemory::set_workers(std::vector<LiveWorker> workers) {
  std::lock_guard lock(mutex_);
  auto before = std::move(workers_);
  workers_.clear();
  worker_ids_.clear();
  ends_.clear();
  for (LiveWorker& live : workers) {
    const std::string id = live.worker.id;
    if (const auto known = before.find(id); known != before.end()) {
      live.worker.last_beat = known->second.worker.last_beat;
      live.cancelled = std::move(known->second.cancelled);
    }
    worker_ids_.emplace(live.row, id);
    workers_.emplace(id, std::move(live));
  }
}

void JobMemory::add_worker(LiveWorker live) {
  std::lock_guard lock(mutex_);
  const std::string id = live.worker.id;
  worker_ids_.emplace(live.row, id);
  workers_.emplace(id, std::move(live));
}

void JobMemory::remove_worker(std::string_view id) {
  std::lock_guard lock(mutex_);
  const auto it = workers_.find(id);
  if (it == workers_.end()) return;
  while (!it->second.held.empty()) let_go(it->second, it->second.held.begin()->first);
  worker_ids_.erase(it->second.row);
  workers_.erase(it);
}

Status JobMemory::set_state(std::string_view id, WorkerState state,
                            std::optional<TimePoint> drain_until) {
  std::lock_guard lock(mutex_);
  LiveWorker* live = find(id);
  if (live == nullptr) return fail(Code::NotFound, "unknown worker " + std::string(id));
  live->worker.state = state;
  live->worker.drain_until = drain_until;
  return {};
}

std::optional<Worker> JobMemory::worker(std::string_view id) const {
  std::lock_guard lock(mutex_);
  const auto it = workers_.find(id);
  if (it == workers_.end()) return std::nullopt;
  return it->second.worker;
}

std::optional<std::int64_t> JobMemory::worker_row(std::string_view id) const {
  std::lock_guard lock(mutex_);
  const auto it = workers_.find(id);
  if (it == workers_.end()) return std::nullopt;
  return it->second.row;
}

std::vector<std::int64_t> JobMemory::held(std::string_view id) const {
  std::lock_guard lock(mutex_);
  const auto it = workers_.find(id);
  if (it == workers_.end()) return {};
  std::vector<std::int64_t> seqs;
  seqs.reserve(it->second.held.size());
  for (const auto& [job, held] : it->second.held) seqs.push_back(held.seq);
  return seqs;
}

bool JobMemory::touch(std::string_view id, TimePoint now) {
  std::lock_guard lock(mutex_);
  LiveWorker* live = find(id);
  if (live == nullptr) return false;
  live->worker.last_beat = std::max(live->worker.last_beat, now);
  return true;
}

std::optional<JobMemory::Beat> JobMemory::beat(std::string_view id,
                                               std::span<const jobs::Report> running, TimePoint now,
                                               TimePoint unseen_since) {
  std::lock_guard lock(mutex_);
  LiveWorker* live = find(id);
  if (live == nullptr) return std::nullopt;
  live->worker.last_beat = std::max(live->worker.last_beat, now);

  Beat beat;
  beat.answer.state = live->worker.state;
  beat.answer.drain_until = live->worker.drain_until;
  for (const jobs::Report& report : running) {
    const auto found = live->held.find(report.job_id);
    const auto token = lock_token(report.lock_token);
    if (found != live->held.end() && token && token->token == found->second.token) {
      Held& held = found->second;
      held.seen = now;
      if (!report.logs.empty() || (report.progress && report.progress != held.progress)) {
        note(*live, found->first, held, report.progress, now);
        beat.news.push_back(&report);
      }
      const auto end = held.end();
      if (end && *end <= now) beat.answer.cancel.push_back({report.job_id, "timeout"});
      continue;
    }
    const auto reason = live->cancelled.find(report.job_id);
    beat.answer.cancel.push_back(
        {report.job_id, reason == live->cancelled.end() ? "lost" : reason->second});
  }
  // What was told, or is no longer run, needs no more telling.
  std::erase_if(live->cancelled, [&](const auto& cancelled) {
    return std::none_of(running.begin(), running.end(), [&](const jobs::Report& report) {
      return report.job_id == cancelled.first;
    });
  });
  for (const auto& [job, held] : live->held) {
    if (held.seen >= unseen_since) continue;
    jobs::Settlement release;
    release.kind = jobs::Settlement::Kind::Release;
    release.job_id = job;
    release.lock_token = to_text(LockToken{held.seq, held.token});
    release.reason = "the worker does not know of it";
    beat.forgotten.push_back(std::move(release));
  }
  return beat;
}

std::vector<std::string> JobMemory::expired(TimePoint deadline) const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, live] : workers_) {
    if (live.worker.last_beat <= deadline) ids.push_back(id);
  }
  return ids;
}

Worker JobMemory::describe(const LiveWorker& live) {
  Worker worker = live.worker;
  worker.occupied = static_cast<int>(live.held.size());
  for (const auto& [job, held] : live.held) {
    worker.oldest_start = std::min(worker.oldest_start.value_or(held.started), held.started);
  }
  return worker;
}

std::vector<Worker> JobMemory::workers(TimePoint deadline) const {
  std::lock_guard lock(mutex_);
  std::vector<Worker> found;
  for (const auto& [id, live] : workers_) {
    if (live.worker.last_beat > deadline) found.push_back(describe(live));
  }
  return found;
}

std::optional<TimePoint> JobMemory::oldest_beat() const {
  std::lock_guard lock(mutex_);
  std::optional<TimePoint> oldest;
  for (const auto& [id, live] : workers_) {
    keep_least(oldest, std::optional(live.worker.last_beat));
  }
  return oldest;
}

JobMemory::WorkerName JobMemory::worker_name(std::int64_t row) const {
  std::lock_guard lock(mutex_);
  const auto it = worker_ids_.find(row);
  if (it == worker_ids_.end()) return {};
  return {it->second, workers_.at(it->second).worker.spec.name};
}

std::optional<TimePoint> JobMemory::last_beat(std::int64_t worker_row) const {
  std::lock_guard lock(mutex_);
  const auto it = worker_ids_.find(worker_row);
  if (it == worker_ids_.end()) return std::nullopt;
  return workers_.at(it->second).worker.last_beat;
}

// --- metrics -------------------------------------------------------------------------------------

std::vector<jobs::QueueStats> JobMemory::stats() const {
  std::lock_guard lock(mutex_);
  std::vector<jobs::QueueStats> all;
  for (const QueueCounts* queue : ordered()) {
    jobs::QueueStats stats;
    stats.queue = queue->name;
    stats.priority = static_cast<int>(all.size());
    stats.scheduled = queue->scheduled;
    stats.processing = queue->processing;
    stats.succeeded = queue->succeeded;
    stats.failed = queue->failed;
    stats.deleted = queue->deleted;
    stats.paused = queue->paused;
    for (const std::int64_t id : queue->lanes) {
      const Lane& lane = lanes_.at(id);
      stats.enqueued += lane.enqueued;
      keep_least(stats.oldest, lane.oldest);
    }
    all.push_back(std::move(stats));
  }
  return all;
}

std::vector<jobs::Tally> JobMemory::tallies() const {
  std::lock_guard lock(mutex_);
  jobs::Tallies all;
  for (const auto& [id, tally] : tallies_) {
    const auto lane = lanes_.find(id);
    if (lane == lanes_.end()) continue;
    all.of(queues_.at(lane->second.queue).name, lane->second.kind).merge(tally);
  }
  return all.all();
}

jobs::Tally JobMemory::tally(std::int64_t queue, std::string_view kind) const {
  std::lock_guard lock(mutex_);
  jobs::Tally sum;
  for (const std::int64_t id : queues_.at(queue).lanes) {
    const auto tally = tallies_.find(id);
    if (tally != tallies_.end() && lanes_.at(id).kind == kind) sum.merge(tally->second);
  }
  return sum;
}

std::optional<TimePoint> JobMemory::next_end() const {
  std::lock_guard lock(mutex_);
  return ends_.empty() ? std::nullopt : std::optional(std::get<0>(*ends_.begin()));
}

std::vector<std::int64_t> JobMemory::ended(TimePoint until, int most) const {
  std::lock_guard lock(mutex_);
  std::vector<std::int64_t> seqs;
  for (const auto& [end, row, job] : ends_) {
    if (end > until || seqs.size() == static_cast<std::size_t>(most)) break;
    seqs.push_back(workers_.at(worker_ids_.at(row)).held.at(job).seq);
  }
  return seqs;
}

std::optional<TimePoint> JobMemory::next_result() const {
  std::lock_guard lock(mutex_);
  return next_result_;
}

std::optional<TimePoint> JobMemory::next_key() const {
  std::lock_guard lock(mutex_);
  return next_key_;
}

std::optional<TimePoint> JobMemory::next_due() const {
  std::lock_guard lock(mutex_);
  std::optional<TimePoint> next;
  for (const auto& [id, queue] : queues_) keep_least(next, queue.next_due);
  return next;
}

JobMemory::Scheduled JobMemory::scheduled_until(std::string_view name, TimePoint until) const {
  std::lock_guard lock(mutex_);
  Scheduled scheduled;
  for (const auto& [id, queue] : queues_) {
    if (!name.empty() && queue.name != name) continue;
    for (const auto& [second, bucket] : queue.due) {
      if (bucket.first > until) break;
      if (bucket.last <= until) {
        scheduled.count += bucket.count;
      } else {
        scheduled.partial.push_back(id);
      }
    }
  }
  return scheduled;
}

std::optional<TimePoint> JobMemory::oldest_succeeded() const {
  std::lock_guard lock(mutex_);
  return oldest_succeeded_;
}

std::optional<TimePoint> JobMemory::oldest_deleted() const {
  std::lock_guard lock(mutex_);
  return oldest_deleted_;
}

bool JobMemory::ready(std::span<const std::string> queues,
                      std::span<const std::string> kinds) const {
  std::lock_guard lock(mutex_);
  return !choices(queues, kinds).empty();
}

}  // namespace jobmill::sqlite
