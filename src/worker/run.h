// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "jobmill/jobs.h"
#include "jobs/job_store.h"
#include "worker/run_log.h"
#include "worker/store.h"

namespace jobmill::worker {

// Why a run's stop token fired.
enum class Ending {
  None,
  Deleted,  // by a user
  Lost,     // it runs elsewhere, or will
  Timeout,  // it takes too long
  Drain,    // its worker must end
};
std::string_view to_string(Ending ending);  // "timeout"

// One job from its claim to its settlement: what the code that runs it is told, and what that code
// tells meanwhile, until somebody takes it to the server. Safe from any thread.
class Run final : public detail::Sink {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  Run(jobs::ClaimedJob job, const Store& store);

  const jobs::Job& job() const { return job_.job; }
  const std::string& lock_token() const { return job_.lock_token; }
  std::stop_token stop() const { return stop_.get_token(); }
  Ending ending() const { return ending_; }

  void log(jobs::LineLevel level, std::string_view text);
  void progress(const jobs::Progress& progress);
  // JSON that goes with the job's success; the last one counts.
  void result(std::string json) override;

  void log(Severity level, std::string_view text) override;
  void progress(std::int64_t done, std::int64_t total, std::int64_t failed) override;

  // --- for the runner ------------------------------------------------------------------------
  // Fires the token. The first reason counts.
  void end(Ending why);
  std::optional<Instant> ended_at() const;

  // What it tells from now on is not taken: one that cannot be ended may go on for ever.
  void seal();

  // When it will have taken too long, by its timeout or by its silence.
  std::optional<Instant> deadline() const;

  bool has_news() const;
  jobs::Report take_news(std::size_t log_bytes);
  void put_back(jobs::Report news);
  std::string take_result();

 private:
  const jobs::ClaimedJob job_;
  const Store& store_;
  const Instant began_ = std::chrono::steady_clock::now();
  std::stop_source stop_;
  std::atomic<Ending> ending_ = Ending::None;

  mutable std::mutex mutex_;  // guards the rest
  RunLog log_;
  bool sealed_ = false;
  std::optional<jobs::Progress> progress_;  // not sent yet
  Instant spoke_at_ = began_;
  std::optional<Instant> ended_at_;
  std::string result_;
};

// What runs a job: says how it ended. Whose job it is and under which token is filled in.
using Work = std::function<jobs::Settlement(Run& run)>;

}  // namespace jobmill::worker
