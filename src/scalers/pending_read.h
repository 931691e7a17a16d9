// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <optional>
#include <utility>

#include "scale/scaler.h"

namespace jobmill::scalers {

// The answer that a scaler owes. It is given once, from any thread, and never after close().
class PendingRead {
 public:
  void begin(scale::Scaler::Done done) {
    const std::lock_guard lock(mutex_);
    if (!closed_) done_ = std::move(done);
  }

  bool open() const {
    const std::lock_guard lock(mutex_);
    return done_ != nullptr;
  }

  // The mutex is held while `done` runs, so that close() on another thread returns only after it;
  // it is recursive, so that `done` itself may destroy the scaler or start the next read.
  void finish(Result<scale::Sample> sample) {
    const std::lock_guard lock(mutex_);
    if (auto done = std::exchange(done_, nullptr)) done(std::move(sample));
  }

  // The same with what `decide` answers, unless that is nothing. `decide` is called only while an
  // answer is owed, and by one thread at a time.
  template <class Decide>
  void finish_with(Decide decide) {
    const std::lock_guard lock(mutex_);
    if (!done_) return;
    if (std::optional<Result<scale::Sample>> sample = decide()) finish(*std::move(sample));
  }

  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    done_ = nullptr;
  }

 private:
  mutable std::recursive_mutex mutex_;
  scale::Scaler::Done done_;  // guarded by mutex_, as the next one
  bool closed_ = false;
};

}  // namespace jobmill::scalers
