// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "store/postgres/claim_line.h"
#include "store/postgres/connection.h"
#include "store/postgres/job_tables.h"
#include "store/postgres/lanes.h"

namespace jobmill::postgres {

// Everything that one process writes, over one connection: whatever waits when the connection is
// free goes out together, as one transaction and one round trip. More connections gain nothing.
// Who finds nobody writing writes at once, on its own thread; what comes meanwhile is for ours.
//
// Without a connection calls fail at once with Unavailable, and one of them tries to connect anew
// from time to time.
class JobWriter {
 public:
  struct Options {
    Url url;
    ConnectOptions connect;
    const Clock* clock = nullptr;  // tests: stands in for the database's clock
    // After each commit, on the thread that wrote. Must not block.
    std::function<void(const Effects&)> committed;
  };

  JobWriter(Options options, Lanes& lanes, ClaimLine& line);
  ~JobWriter();
  JobWriter(const JobWriter&) = delete;
  JobWriter& operator=(const JobWriter&) = delete;

  Status open();  // the first connection; the only failure that is told as it is

  // All of these wait for the commit; not from what it calls.
  Status insert(std::span<const NewJob> jobs);
  Result<std::vector<std::size_t>> complete(std::span<const Completion> completions);  // the lost
  Result<ClaimAnswer> claim(const Claim& claim);

  // A transaction of several round trips.
  using Work = std::function<Status(Connection& connection, Effects& effects)>;
  Status run(const Work& work);

  // Since when nothing can be written: the database is away, read-only, or its disk is full.
  std::optional<jobs::Outage> outage() const;

  int backend() const;  // the process in the server, 0 for none: notifications from it are ours
  std::int64_t shard() const { return backend(); }  // of the counters; while it writes

 private:
  struct Request {
    enum class Kind { Insert, Complete, Claim, Alone };
    Kind kind = Kind::Alone;
    std::span<const NewJob> jobs{};
    std::span<const Completion> completions{};
    const Claim* asked = nullptr;
    const Work* work = nullptr;
    // The answer.
    Status status{};
    ClaimAnswer claimed{};
    std::vector<std::size_t> lost{};
    bool done = false;
  };
  using Batch = std::vector<Request*>;

  Status wait_for(Request& request);
  void write(std::unique_lock<std::mutex>& lock, const std::function<void()>& work);
  void serve();
  void commit(const Batch& batch);
  void commit_bulk(const Batch& bulk);
  void commit_one_by_one(const Batch& bulk);
  Status try_bulk(const Batch& bulk, std::span<const NewJob> jobs, const ClaimLine::Served& served);
  Status write_bulk(const Batch& bulk, std::span<const NewJob> jobs,
                    const ClaimLine::Served& served, Effects& effects);
  Status run_alone(const Request& request);
  Status attempt_alone(const Request& request, Effects& effects);
  Status ready();
  Status set_clock();
  void tell(Pipeline& pipeline, const Effects& effects);
  void tell_late();
  void finish(const Batch& batch);
  void note_outcome(const Status& status);
  std::optional<std::chrono::steady_clock::time_point> next_look() const;
  void try_again();
  Status try_to_write();

  const Options options_;
  Lanes& lanes_;
  ClaimLine& line_;
  // These are of the thread that writes; at first the opener's.
  std::optional<Connection> connection_;
  std::atomic<int> backend_{0};
  Fault away_ = fail(Code::Unavailable, "the database was not reached yet");
  std::chrono::steady_clock::time_point next_try_{};
  std::chrono::milliseconds backoff_{0};
  std::chrono::steady_clock::time_point told_workers_{};
  bool workers_untold_ = false;
  std::chrono::steady_clock::time_point tried_{};  // the last write of an outage

  mutable std::mutex outage_mutex_;  // guards outage_
  std::optional<jobs::Outage> outage_;

  std::mutex mutex_;   // guards the next four, and `done` of requests
  bool busy_ = false;  // somebody writes
  Batch waiting_;
  bool stopping_ = false;
  std::optional<std::chrono::steady_clock::time_point> sleeps_until_;  // our thread; if it does
  std::condition_variable arrived_;
  std::condition_variable answered_;
  std::thread thread_;
};

}  // namespace jobmill::postgres
