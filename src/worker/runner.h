// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/log.h"
#include "worker/run.h"
#include "worker/store.h"

namespace jobmill::worker {

struct RunnerOptions {
  jobs::WorkerSpec spec;
  // How long runs may go on after the worker was told to end, and after their own time is over.
  Duration grace = std::chrono::seconds(25);
  // How long the work needs to force its end after that, when it can: what goes back then has
  // ended. Zero: it cannot be forced, and what goes back may still run for a while.
  Duration force{};
};

// Called by each slot, on its thread, before its first job: what the slot needs lives as long as
// it.
using MakeWork = std::function<Work()>;

// One worker while it runs: a claimer that waits for jobs and takes as many as slots are free, the
// slots, a beat that also carries what the runs tell, and a settler that reports in batches
// whatever has ended. Each is a thread; what they share is guarded by one mutex.
//
// A server that is away is waited for: jobs run on, and their ends are reported when it is back.
class Runner {
 public:
  Runner(Store& store, MakeWork make_work, RunnerOptions options);

  // Until the token fires, or the server says so; then drains. Throws Error when the server refuses
  // the worker at its first registration.
  void run(std::stop_token stop);

 private:
  using Instant = Run::Instant;

  // A job in our hands: claimed, and not yet known to be settled.
  struct Held {
    Held(jobs::ClaimedJob job, const Store& store) : run(std::move(job), store) {}
    Run run;
    bool decided = false;    // how it ends is settled or to be settled: its result is not taken
    bool telling = false;    // in closing_
    bool in_flight = false;  // what it told is on its way
  };
  using HeldJobs = std::map<std::string, std::shared_ptr<Held>>;  // by lock token
  struct Closing {
    std::shared_ptr<Held> held;
    jobs::Settlement settlement;
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
  void finished(const std::shared_ptr<Held>& held, jobs::Settlement settlement);
  void close(const std::shared_ptr<Held>& held, jobs::Settlement settlement);

  // The settler.
  void settle_jobs(const std::stop_token& stop);
  std::vector<jobs::Settlement> next_batch(const std::stop_token& stop);
  void settle(std::vector<jobs::Settlement> batch, const std::stop_token& stop);
  void forget(const std::vector<jobs::Settlement>& batch);

  // The beat.
  void keep_alive(const std::stop_token& stop);
  void end_overdue(Instant now);
  Instant next_look(Instant next_beat) const;
  Duration beat_interval() const;
  Duration beat(const jobs::Registration& current);
  std::vector<jobs::Report> news();
  void put_back(std::vector<jobs::Report> news);
  void told();
  void tell_no_more();
  void obey(const jobs::BeatAnswer& answer);
  void worker_gone(const std::string& worker_id);
  void lose_all();
  void lose(HeldJobs::iterator which, Ending why);
  void set_state(jobs::WorkerState state, std::optional<TimePoint> drain_until);

  // The end.
  void wait_for_end(std::stop_token stop);
  void drain();
  void force_ends();
  void release_rest();
  void leave();

  void pause(Duration& backoff, const std::stop_token& stop);
  void complain(std::string_view what, const Fault& why);
  void rejoice();

  Store& store_;
  jobs::JobStore& jobs_;
  const MakeWork make_work_;
  const RunnerOptions options_;
  SystemClock log_clock_;
  Log log_{log_clock_, {.level = LogLevel::Warn}};

  std::mutex mutex_;  // guards all of the following
  std::optional<jobs::Registration> registration_;
  std::optional<Fault> refused_;  // the first registration was
  bool ever_registered_ = false;
  bool away_ = false;  // the server did not answer last time
  bool told_to_stop_ = false;
  std::optional<TimePoint> drain_until_;     // with told_to_stop_
  std::deque<std::shared_ptr<Held>> ready_;  // claimed, not yet in a slot
  int busy_ = 0;                             // jobs in ready_ or in a slot
  HeldJobs held_;                            // those that are ours
  std::deque<Closing> closing_;              // have something to tell before they end
  std::deque<jobs::Settlement> ended_;       // to be reported
  bool look_ = false;                        // the beat has to think again
  std::size_t reporting_ = 0;                // taken out of ended_, not yet answered

  std::condition_variable_any work_;     // ready_ grew
  std::condition_variable_any free_;     // busy_ fell
  std::condition_variable_any reports_;  // ended_ grew
  std::condition_variable_any life_;     // registration, refusal, end, look_
  std::condition_variable_any drained_;  // held_ or reporting_ fell
};

}  // namespace jobmill::worker
