// SPDX-License-Identifier: Apache-2.0
#include "jobs/metered_job_store.h"

#include <utility>

namespace jobmill::jobs {
namespace {

bool unreachable(const Fault& fault) {
  return fault.code == Code::Unavailable || fault.code == Code::Timeout;
}

// All others are what the caller asked for.
bool of_storage(const Fault& fault) {
  return unreachable(fault) || fault.code == Code::Internal || fault.code == Code::PermissionDenied;
}

}  // namespace

StorageMeter MeteredJobStore::meter() const {
  const std::lock_guard lock(mutex_);
  return meter_;
}

template <class Call>
auto MeteredJobStore::measure(std::string_view operation, const Call& call) -> decltype(call()) {
  const Duration start = elapsed_();
  auto result = call();
  const Duration took = elapsed_() - start;
  const std::lock_guard lock(mutex_);
  auto& measured = meter_.operations[operation];
  measured.seconds.add(took);
  if (!result && of_storage(result.error())) ++measured.errors;
  return result;
}

void MeteredJobStore::lost(std::int64_t workers) {
  const std::lock_guard lock(mutex_);
  meter_.workers_lost += static_cast<std::uint64_t>(workers);
}

Result<InsertResult> MeteredJobStore::insert(std::span<const JobSpec> specs, TimePoint now,
                                             std::string_view idempotency_key) {
  return measure("insert", [&] { return store_->insert(specs, now, idempotency_key); });
}

Result<Registration> MeteredJobStore::announce(const WorkerSpec& worker, TimePoint now) {
  return measure("announce", [&] { return store_->announce(worker, now); });
}

Result<Claimed> MeteredJobStore::claim(const ClaimRequest& request, TimePoint now) {
  if (request.wait == Duration::zero())
    return measure("claim", [&] { return store_->claim(request, now); });
  auto claimed = store_->claim(request, now);
  if (!claimed && of_storage(claimed.error())) {
    const std::lock_guard lock(mutex_);
    ++meter_.operations["claim"].errors;
  }
  return claimed;
}

Result<BeatAnswer> MeteredJobStore::beat(std::string_view worker_id,
                                         std::span<const Report> running, TimePoint now) {
  return measure("beat", [&] { return store_->beat(worker_id, running, now); });
}

Status MeteredJobStore::report(const Report& report, TimePoint now) {
  return measure("report", [&] { return store_->report(report, now); });
}

Result<std::vector<Settled>> MeteredJobStore::settle(std::string_view worker_id,
                                                     std::span<const Settlement> settlements,
                                                     TimePoint now) {
  return measure("settle", [&] { return store_->settle(worker_id, settlements, now); });
}

Status MeteredJobStore::leave(std::string_view worker_id, TimePoint now) {
  return measure("leave", [&] { return store_->leave(worker_id, now); });
}

Result<Job> MeteredJobStore::get(std::string_view id) {
  return measure("get", [&] { return store_->get(id); });
}

Result<std::vector<JobEvent>> MeteredJobStore::history(std::string_view id) {
  return measure("history", [&] { return store_->history(id); });
}

Result<JobPage> MeteredJobStore::list(const JobQuery& query) {
  return measure("list", [&] { return store_->list(query); });
}

Result<JobLog> MeteredJobStore::log(std::string_view id, int attempt, std::int64_t after) {
  return measure("log", [&] { return store_->log(id, attempt, after); });
}

Result<Outcome> MeteredJobStore::result(std::string_view id, TimePoint now) {
  return measure("result", [&] { return store_->result(id, now); });
}

Status MeteredJobStore::requeue(std::string_view id, TimePoint now) {
  return measure("requeue", [&] { return store_->requeue(id, now); });
}

Status MeteredJobStore::remove(std::string_view id, std::string_view reason, TimePoint now) {
  return measure("remove", [&] { return store_->remove(id, reason, now); });
}

Result<std::vector<Worker>> MeteredJobStore::workers(TimePoint now) {
  return measure("workers", [&] { return store_->workers(now); });
}

Result<std::vector<QueueStats>> MeteredJobStore::queues(TimePoint now) {
  return measure("queues", [&] { return store_->queues(now); });
}

Result<std::int64_t> MeteredJobStore::scheduled_until(std::string_view queue, TimePoint until) {
  return measure("scheduled_until", [&] { return store_->scheduled_until(queue, until); });
}

Result<bool> MeteredJobStore::put_recurring(const RecurringSpec& spec, TimePoint now) {
  return measure("put_recurring", [&] { return store_->put_recurring(spec, now); });
}

Result<std::vector<RecurringJob>> MeteredJobStore::recurring() {
  return measure("recurring", [&] { return store_->recurring(); });
}

Status MeteredJobStore::remove_recurring(std::string_view id, TimePoint now) {
  return measure("remove_recurring", [&] { return store_->remove_recurring(id, now); });
}

Result<std::string> MeteredJobStore::trigger_recurring(std::string_view id, TimePoint now) {
  return measure("trigger_recurring", [&] { return store_->trigger_recurring(id, now); });
}

Status MeteredJobStore::set_worker_state(std::string_view worker_id, WorkerState state,
                                         std::optional<TimePoint> drain_until, TimePoint now) {
  return measure("set_worker_state",
                 [&] { return store_->set_worker_state(worker_id, state, drain_until, now); });
}

Status MeteredJobStore::worker_died(std::string_view worker_id, const Crash& crash, TimePoint now) {
  const Status died =
      measure("worker_died", [&] { return store_->worker_died(worker_id, crash, now); });
  if (died) lost(1);
  return died;
}

Result<std::int64_t> MeteredJobStore::promote_due(TimePoint now) {
  return measure("promote_due", [&] { return store_->promote_due(now); });
}

Result<std::int64_t> MeteredJobStore::rescue(TimePoint now) {
  const auto rescued = measure("rescue", [&] { return store_->rescue(now); });
  if (rescued) lost(*rescued);
  return rescued;
}

Result<std::int64_t> MeteredJobStore::time_out(TimePoint now) {
  return measure("time_out", [&] { return store_->time_out(now); });
}

Result<std::int64_t> MeteredJobStore::expire(TimePoint now) {
  return measure("expire", [&] { return store_->expire(now); });
}

Result<std::int64_t> MeteredJobStore::plan_recurring(TimePoint now) {
  return measure("plan_recurring", [&] { return store_->plan_recurring(now); });
}

Result<std::optional<TimePoint>> MeteredJobStore::next_chore(TimePoint now) {
  return measure("next_chore", [&] { return store_->next_chore(now); });
}

Result<std::vector<Status>> MeteredJobStore::alter(std::span<const std::string> ids,
                                                   const Alteration& alteration, TimePoint now) {
  return measure("alter", [&] { return store_->alter(ids, alteration, now); });
}

Status MeteredJobStore::pause_queue(std::string_view queue, bool paused, TimePoint now) {
  return measure("pause_queue", [&] { return store_->pause_queue(queue, paused, now); });
}

Status MeteredJobStore::pause_recurring(std::string_view id, bool paused, TimePoint now) {
  return measure("pause_recurring", [&] { return store_->pause_recurring(id, paused, now); });
}

Result<std::optional<TimePoint>> MeteredJobStore::next_due(std::string_view queue,
                                                           TimePoint after) {
  return measure("next_due", [&] { return store_->next_due(queue, after); });
}

Result<std::vector<Tally>> MeteredJobStore::tallies() {
  return measure("tallies", [&] { return store_->tallies(); });
}

}  // namespace jobmill::jobs
