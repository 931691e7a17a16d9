// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/tally.h"

namespace jobmill::postgres {

// What this process has counted and not written yet. It is written some seconds after the first
// count, with all that came meanwhile; where nothing is counted nothing is written. What could not
// be written is kept for the next time.
class TallyBook {
 public:
  using Write = std::function<Status(const std::vector<jobs::Tally>& counted)>;

  explicit TallyBook(Write write, Duration delay = std::chrono::seconds(10));
  ~TallyBook() { close(); }
  TallyBook(const TallyBook&) = delete;
  TallyBook& operator=(const TallyBook&) = delete;

  void add(const jobs::Tally& counted);  // from any thread
  Status flush();                        // writes now what there is
  void close();                          // for the last time

 private:
  void run(const std::stop_token& stop);

  const Write write_;
  const Duration delay_;
  std::mutex mutex_;  // guards the next two
  jobs::Tallies counted_;
  bool some_ = false;
  std::condition_variable_any changed_;
  std::jthread thread_;
};

}  // namespace jobmill::postgres
