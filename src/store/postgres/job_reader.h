// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <mutex>
#include <optional>

#include "base/duration.h"
#include "base/result.h"
#include "store/postgres/connection.h"

namespace jobmill::postgres {

// One connection for what only reads, made when it is first needed and again when it was lost.
// Safe from many threads, one after the other.
class JobReader {
 public:
  JobReader(Url url, ConnectOptions options, const Clock* clock)
      : url_(std::move(url)), options_(std::move(options)), clock_(clock) {}

  // `read` is a function of a Connection that returns a Result.
  template <class Read>
  auto run(const Read& read) -> decltype(read(std::declval<Connection&>())) {
    const std::lock_guard lock(mutex_);
    TRY_VOID(ready());
    return read(*connection_);
  }

 private:
  Status ready() {
    if (!connection_ || !connection_->is_open()) {
      connection_.reset();
      // Whoever waited for this while another one tried need not try again at once.
      if (std::chrono::steady_clock::now() < next_try_) return *away_;
      auto connection = Connection::open(url_, options_);
      if (!connection) {
        away_ = connection.error();
        next_try_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
        return *away_;
      }
      connection_.emplace(*std::move(connection));
    }
    if (clock_ == nullptr) return {};
    static constexpr Statement kSetClock{"read_clock",
                                         "SELECT set_config('jobmill.now', $1, false)"};
    const std::string now = format_instant(clock_->now());
    TRY([[maybe_unused]] const auto set, connection_->run(kSetClock, Parameters().text(now)));
    return {};
  }

  const Url url_;
  const ConnectOptions options_;
  const Clock* const clock_;
  std::mutex mutex_;  // guards all of the following
  std::optional<Connection> connection_;
  std::optional<Fault> away_;
  std::chrono::steady_clock::time_point next_try_{};
};

}  // namespace jobmill::postgres
