// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>

namespace jobmill {

// Microseconds: what PostgreSQL stores, and finer than anything we decide by.
using Duration = std::chrono::microseconds;
using TimePoint = std::chrono::sys_time<Duration>;

// The only source of time in the engines, so that a test can own the time.
// Safe to read from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
};

class SystemClock final : public Clock {
 public:
  TimePoint now() const override {
    return std::chrono::floor<Duration>(std::chrono::system_clock::now());
  }
};

// Stands still until it is told otherwise. Starts at 2024-01-01T00:00:00Z, so that
// differences into the past stay representable and texts look like dates.
class ManualClock final : public Clock {
 public:
  TimePoint now() const override { return TimePoint(Duration(now_.load())); }
  void advance(Duration by) { now_ += by.count(); }
  void set(TimePoint at) { now_ = at.time_since_epoch().count(); }

 private:
  std::atomic<Duration::rep> now_{1'704'067'200'000'000};
};

}  // namespace jobmill
