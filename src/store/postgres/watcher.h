// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/result.h"
#include "store/postgres/connection.h"
#include "store/postgres/job_tables.h"
#include "store/postgres/wake.h"

namespace jobmill::postgres {

// What other processes did, told as it happens, and which server does the chores.
//
// One connection that listens. The leader is who holds an advisory lock on it, so leadership falls
// with its connection; the others try every few seconds, and at once when a leader says that it
// stops. For a moment there may be two: chores bear that.
class Watcher {
 public:
  struct Options {
    Url url;
    ConnectOptions connect;
    bool leads = true;  // false: a worker's process, which does no chores
    // All on the watcher's thread. Must not block.
    std::function<void(const Effects&, int sender)> told;
    std::function<void()> returned;  // connected anew: anything may have been missed
    std::function<void()> leading;   // from now on this process does the chores
  };

  explicit Watcher(Options options) : options_(std::move(options)) {}
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  Status open();  // listens, and leads if nobody else does
  bool leads() const { return leads_; }
  std::optional<jobs::Outage> outage() const;  // since when nothing is heard of the database
  // Whether this process was asleep less than that long ago: it, or its host, had been stopped, or
  // could not reach the database. It has heard of nobody meanwhile and shall judge nobody by that.
  bool slept_within(Duration time) const;

 private:
  Status connect();
  void note_outage(const Fault& why);
  Status try_to_lead();
  void resign();
  void watch(const std::stop_token& stop);
  Status watch_connected(const std::stop_token& stop);
  void note_time();
  void pause(std::chrono::milliseconds time, const std::stop_token& stop);

  const Options options_;
  Wake wake_;
  std::optional<Connection> connection_;
  std::string channel_;
  std::atomic<bool> leads_{false};
  mutable std::mutex mutex_;  // guards outage_
  std::optional<jobs::Outage> outage_;
  std::atomic<Duration> woke_at_{};  // of the clock that runs while the host sleeps; 0: never slept
  std::atomic<Duration> last_seen_{};
  std::jthread thread_;
};

}  // namespace jobmill::postgres
