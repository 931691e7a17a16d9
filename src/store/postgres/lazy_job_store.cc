// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/lazy_job_store.h"

#include <mutex>
#include <utility>

namespace jobmill::postgres {
namespace {

using namespace jobs;

class LazyJobStore final : public JobStore {
 public:
  LazyJobStore(const Url& url, JobStoreOptions options) : url_(url), options_(std::move(options)) {}

  Result<InsertResult> insert(std::span<const JobSpec> specs, TimePoint now,
                              std::string_view key) override {
    TRY(JobStore * store, opened());
    return store->insert(specs, now, key);
  }
  Result<Registration> announce(const WorkerSpec& worker, TimePoint now) override {
    TRY(JobStore * store, opened());
    return store->announce(worker, now);
  }
  Result<Claimed> claim(const ClaimRequest& request, TimePoint now) override {
    TRY(JobStore * store, opened());
    return store->claim(request, now);
  }
  Result<BeatAnswer> beat(std::string_view worker_id, std::span<const Report> running,
                          TimePoint now) override {
    TRY(JobStore * store, opened());
    return store->beat(worker_id, running, now);
  }
  Status report(const Report& report, TimePoint now) override {
    TRY(JobStore * store, opened());
    return store->report(report, now);
  }
  Result<std::vector<Settled>> settle(std::string_view worker_id,
                                      std::span<const Settlement> settlements,
                                      TimePoint now) override {
    TRY(JobStore * store, opened());
    return store->settle(worker_id, settlements, now);
  }
  Status leave(std::string_view worker_id, TimePoint now) override {
    TRY(JobStore * store, opened());
    return store->leave(worker_id, now);
  }
  Result<Job> get(std::string_view id) override {
    TRY(JobStore * store, opened());
    return store->get(id);
  }
  Result<std::vector<JobEvent>> history(std::string_view id) override {
    TRY(JobStore * store, opened());
    return store->history(id);
  }
  Result<JobPage> list(const JobQuery& query) override {
    TRY(JobStore * store, opened());
    return store->list(query);
  }
  Result<JobLog> log(std::string_view id, int attempt, std::int64_t after) override {
    TRY(JobStore * store, opened());
    return store->log(id, attempt, after);
  }
  Result<Outcome> result(std::string_view id, TimePoint now) override {
    TRY(JobStore * store, opened());
    return store->result(id, now);
  }
  Status requeue(std::string_view id, TimePoint now) override {
    TRY(JobStore * store, opened());
    return store->requeue(id, now);
  }
  Status remove(std::string_view id, std::string_view reason, TimePoint now) override {
    TRY(JobStore * store, opened());
    return store->remove(id, reason, now);
  }
  Result<std::vector<Worker>> workers(TimePoint now) override {
    TRY(JobStore * store, opened());
    return store->workers(now);
  }
  Result<std::vector<QueueStats>> queues(TimePoint now) override {
    TRY(JobStore * store, opened());
    return store->queues(now);
  }
  Result<std::int64_t> scheduled_until(std::string_view queue, TimePoint until) override {
    TRY(JobStore * store, opened());
    return store->scheduled_until(queue, until);
  }
  Result<bool> put_recurring(const RecurringSpec& spec, TimePoint now) override {
    TRY(JobStore * store, opened());
    return store->put_recurring(spec, now);
  }
  Result<std::vector<RecurringJob>> recurring() override {
    TRY(JobStore * store, opened());
    return store->recurring();
  }
  Status remove_recurring(std::string_view id, TimePoint now) override {
    TRY(JobStore * store, opened());
    return store->remove_recurring(id, now);
  }
  Result<std::string> trigger_recurring(std::string_view id, TimePoint now) override {
    TRY(JobStore * store, opened());
    return store->trigger_recurring(id, now);
  }

 private:
  Result<JobStore*> opened() {
    const std::lock_guard lock(mutex_);
    if (!store_) {
      TRY(store_, open_job_store(url_, options_));
    }
    return static_cast<JobStore*>(store_.get());
  }

  const Url url_;
  const JobStoreOptions options_;
  std::mutex mutex_;  // guards store_ until it is there
  std::unique_ptr<JobStoreOwner> store_;
};

}  // namespace

std::shared_ptr<JobStore> lazy_job_store(const Url& url, JobStoreOptions options) {
  return std::make_shared<LazyJobStore>(url, std::move(options));
}

}  // namespace jobmill::postgres
