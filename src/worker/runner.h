// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/log.h"
#include "worker/run_job.h"
#include "worker/store.h"

namespace jobmill::worker {

struct RunnerOptions {
  jobs::WorkerSpec spec;
  Duration grace = std::chrono::seconds(25);
};

// One worker while it runs: a claimer that waits for jobs and takes as many as slots are free, the
// slots, a beat, and a settler that reports in batches whatever has ended. Each is a thread; what
// they share is guarded by one mutex.
//
// A server that is away is waited for: jobs run on, and their ends are reported when it is back.
class Runner {
 public:
  Runner(Store& store, Registry registry, RunnerOptions options);

  // Until the token fires, or the server says so; then drains. Throws Error when the server refuses
  // the worker at its first registration.
  void run(std::stop_token stop);

 private:
  // A job in our hands: claimed, and not yet known to be settled.
  struct Held {
    jobs::ClaimedJob job;
    std::stop_source stop;
    bool abandoned = false;  // its result is not wanted any more
  };

  // The claimer.
  void claim_jobs(const std::stop_token& stop);
  bool announce(const std::stop_token& stop);
  int wait_for_free_slots(const std::stop_token& stop);
  void accept(jobs::Claimed claimed);
  bool refused(const Fault& why);
  std::optional<jobs::Registration> registration();

  // A slot.
  void run_jobs(const std::stop_token& stop);
  std::shared_ptr<Held> next_job(const std::stop_token& stop);
  void finished(const Held& held, jobs::Settlement settlement);

  // The settler.
  void settle_jobs(const std::stop_token& stop);
  std::vector<jobs::Settlement> next_batch(const std::stop_token& stop);
  void settle(std::vector<jobs::Settlement> batch, const std::stop_token& stop);
  void forget(const std::vector<jobs::Settlement>& batch);

  // The beat.
  void keep_alive(const std::stop_token& stop);
  void beat(const jobs::Registration& current);
  void obey(const jobs::BeatAnswer& answer);
  void worker_gone(const std::string& worker_id);
  void set_state(jobs::WorkerState state, std::optional<TimePoint> drain_until);

  // The end.
  void wait_for_end(std::stop_token stop);
  void drain();
  void put_back();
  void leave();

  void pause(Duration& backoff, const std::stop_token& stop);
  void complain(std::string_view what, const Fault& why);
  void rejoice();

  Store& store_;
  jobs::JobStore& jobs_;
  const Registry registry_;
  const RunnerOptions options_;
  SystemClock log_clock_;
  Log log_{log_clock_, {.level = LogLevel::Warn}};

  std::mutex mutex_;  // guards all of the following
  std::optional<jobs::Registration> registration_;
  std::optional<Fault> refused_;  // the first registration was
  bool ever_registered_ = false;
  bool away_ = false;  // the server did not answer last time
  bool told_to_stop_ = false;
  std::optional<TimePoint> drain_until_;               // with told_to_stop_
  std::deque<std::shared_ptr<Held>> ready_;            // claimed, not yet in a slot
  int busy_ = 0;                                       // jobs in ready_ or in a slot
  std::map<std::string, std::shared_ptr<Held>> held_;  // by lock token
  std::deque<jobs::Settlement> ended_;                 // to be reported
  std::size_t reporting_ = 0;                          // taken out of ended_, not yet answered

  std::condition_variable_any work_;     // ready_ grew
  std::condition_variable_any free_;     // busy_ fell
  std::condition_variable_any reports_;  // ended_ grew
  std::condition_variable_any life_;     // registration, refusal, end
  std::condition_variable_any drained_;  // held_ or reporting_ fell
};

}  // namespace jobmill::worker
