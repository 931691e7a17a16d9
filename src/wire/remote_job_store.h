// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/document.h"
#include "base/secret.h"
#include "http/client.h"
#include "jobs/job_store.h"

namespace jobmill::wire {

struct RemoteOptions {
  std::string url = "http://127.0.0.1:8000";  // of a control server; may have a path
  Secret token;                               // wins over user and password; all empty: none
  std::string user;
  Secret password;
  Duration timeout = std::chrono::seconds(30);  // of one request; a claim's wait comes on top
};

// A control server's jobs, over the worker protocol. Held to the same contract as the databases.
//
// Unavailable: the server could not be reached or did not answer; whether the request took effect
// is then unknown. Safe from many threads.
class RemoteJobStore final : public jobs::JobStore {
 public:
  // The clock is compared with the server's answers, which tell ages; it decides nothing.
  RemoteJobStore(const RemoteOptions& options, const Clock& clock);

  Result<jobs::InsertResult> insert(std::span<const jobs::JobSpec> specs, TimePoint now,
                                    std::string_view idempotency_key = {}) override;
  Result<jobs::Registration> announce(const jobs::WorkerSpec& worker, TimePoint now) override;
  Result<jobs::Claimed> claim(const jobs::ClaimRequest& request, TimePoint now) override;
  Result<jobs::BeatAnswer> beat(std::string_view worker_id, std::span<const jobs::Report> running,
                                TimePoint now) override;
  Status report(const jobs::Report& report, TimePoint now) override;
  Result<std::vector<jobs::Settled>> settle(std::string_view worker_id,
                                            std::span<const jobs::Settlement> settlements,
                                            TimePoint now) override;
  Status leave(std::string_view worker_id, TimePoint now) override;
  Result<jobs::Job> get(std::string_view id) override;
  Result<std::vector<jobs::JobEvent>> history(std::string_view id) override;
  Result<jobs::JobPage> list(const jobs::JobQuery& query) override;
  Result<jobs::JobLog> log(std::string_view id, int attempt, std::int64_t after) override;
  Result<jobs::Outcome> result(std::string_view id, TimePoint now) override;
  Status requeue(std::string_view id, TimePoint now) override;
  Status remove(std::string_view id, std::string_view reason, TimePoint now) override;
  Result<std::vector<jobs::Worker>> workers(TimePoint now) override;
  Result<std::vector<jobs::QueueStats>> queues(TimePoint now) override;
  Result<std::int64_t> scheduled_until(std::string_view queue, TimePoint until) override;
  Result<bool> put_recurring(const jobs::RecurringSpec& spec, TimePoint now) override;
  Result<std::vector<jobs::RecurringJob>> recurring() override;
  Status remove_recurring(std::string_view id, TimePoint now) override;
  Result<std::string> trigger_recurring(std::string_view id, TimePoint now) override;

 private:
  struct Poll;

  http::ClientRequest request(std::string method, const std::string& path, std::string body,
                              const std::string& worker_id) const;
  Result<http::Response> send(const http::ClientRequest& request, const std::string& worker_id);
  Result<http::Response> call(std::string method, const std::string& path, std::string body = {},
                              const std::string& worker_id = {});
  Result<Node> read(std::string method, const std::string& path, std::string body = {},
                    const std::string& worker_id = {});
  Result<http::Response> long_poll(http::ClientRequest request, const std::string& worker_id,
                                   std::stop_token stop);
  void give_back(const http::Response& response, const std::string& worker_id);
  Secret authorization(const std::string& worker_id) const;
  Result<std::vector<jobs::Settled>> settle_each(std::span<const jobs::Settlement> settlements);

  const std::string url_;
  const Duration timeout_;
  const Secret authorization_;  // of whoever started us; empty: none
  const Clock& clock_;
  mutable std::mutex mutex_;              // guards tokens_
  std::map<std::string, Secret> tokens_;  // by worker: what its registration returned
  http::Client client_;                   // last: its thread uses all of the above
};

}  // namespace jobmill::wire
