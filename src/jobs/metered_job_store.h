// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>

#include "jobs/job_store.h"
#include "jobs/tally.h"

namespace jobmill::jobs {

// What the calls of a store came to in this process, for metrics.
struct StorageMeter {
  struct Operation {
    Histogram seconds{};       // claims that may wait for work are not among them
    std::uint64_t errors = 0;  // faults of the storage, not of its callers
  };
  std::map<std::string_view, Operation> operations{};  // by the name of the call
  std::uint64_t workers_lost = 0;                      // their lease ran out, or their process died
};

// A store that measures another one. Safe from many threads, as that one is.
class MeteredJobStore final : public JobStoreOwner {
 public:
  // `elapsed`: a clock that only goes forward.
  MeteredJobStore(std::unique_ptr<JobStoreOwner> store, std::function<Duration()> elapsed)
      : store_(std::move(store)), elapsed_(std::move(elapsed)) {}

  StorageMeter meter() const;

  Result<InsertResult> insert(std::span<const JobSpec> specs, TimePoint now,
                              std::string_view idempotency_key) override;
  Result<Registration> announce(const WorkerSpec& worker, TimePoint now) override;
  Result<Claimed> claim(const ClaimRequest& request, TimePoint now) override;
  Result<BeatAnswer> beat(std::string_view worker_id, std::span<const Report> running,
                          TimePoint now) override;
  Status report(const Report& report, TimePoint now) override;
  Result<std::vector<Settled>> settle(std::string_view worker_id,
                                      std::span<const Settlement> settlements,
                                      TimePoint now) override;
  Status leave(std::string_view worker_id, TimePoint now) override;
  Result<Job> get(std::string_view id) override;
  Result<std::vector<JobEvent>> history(std::string_view id) override;
  Result<JobPage> list(const JobQuery& query) override;
  Result<JobLog> log(std::string_view id, int attempt, std::int64_t after) override;
  Result<Outcome> result(std::string_view id, TimePoint now) override;
  Status requeue(std::string_view id, TimePoint now) override;
  Status remove(std::string_view id, std::string_view reason, TimePoint now) override;
  Result<std::vector<Worker>> workers(TimePoint now) override;
  Result<std::vector<QueueStats>> queues(TimePoint now) override;
  Result<std::int64_t> scheduled_until(std::string_view queue, TimePoint until) override;
  Result<bool> put_recurring(const RecurringSpec& spec, TimePoint now) override;
  Result<std::vector<RecurringJob>> recurring() override;
  Status remove_recurring(std::string_view id, TimePoint now) override;
  Result<std::string> trigger_recurring(std::string_view id, TimePoint now) override;

  void on_change(Listener listener) override { store_->on_change(std::move(listener)); }
  std::optional<Outage> outage() const override { return store_->outage(); }
  Status set_worker_state(std::string_view worker_id, WorkerState state,
                          std::optional<TimePoint> drain_until, TimePoint now) override;
  Status worker_died(std::string_view worker_id, const Crash& crash, TimePoint now) override;
  Result<std::int64_t> promote_due(TimePoint now) override;
  Result<std::int64_t> rescue(TimePoint now) override;
  Result<std::int64_t> time_out(TimePoint now) override;
  Result<std::int64_t> expire(TimePoint now) override;
  Result<std::int64_t> plan_recurring(TimePoint now) override;
  Result<std::optional<TimePoint>> next_chore(TimePoint now) override;
  Result<std::optional<TimePoint>> next_due(std::string_view queue, TimePoint after) override;
  bool leads() const override { return store_->leads(); }
  Result<std::vector<Status>> alter(std::span<const std::string> ids, const Alteration& alteration,
                                    TimePoint now) override;
  Status pause_queue(std::string_view queue, bool paused, TimePoint now) override;
  Status pause_recurring(std::string_view id, bool paused, TimePoint now) override;
  Result<std::vector<Tally>> tallies() override;

 private:
  template <class Call>
  auto measure(std::string_view operation, const Call& call) -> decltype(call());
  void lost(std::int64_t workers);

  const std::unique_ptr<JobStoreOwner> store_;
  const std::function<Duration()> elapsed_;
  mutable std::mutex mutex_;  // guards meter_
  StorageMeter meter_;
};

}  // namespace jobmill::jobs
