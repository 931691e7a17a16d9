// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "scale/desired.h"
#include "scale/scaler.h"

namespace jobmill::scale {

// When one trigger is read, and what its last answer is worth. Knows no scaler: it is told that a
// read starts and what came of it.
//
// A failed read is repeated once with a rebuilt scaler; only the second failure counts. A source
// that waits for changes is read again as soon as it has answered, at most every 100 ms; all
// others at their interval. An answer is trusted for two polling intervals and the timeout.
class Poll {
 public:
  struct Source {
    std::string name;  // of the trigger; may be empty
    std::string type;
    Result<MetricSpec> metric;
    Duration polling_interval;
    Duration timeout;
  };

  // `phase` in [0, 1) spreads the reads of many triggers over the interval.
  Poll(Source source, double phase, TimePoint now);

  // Reads from now on this often; nothing: only when asked, or when the source waits.
  void pace(std::optional<Duration> interval);
  void ask(TimePoint at);

  bool due(TimePoint now) const { return !in_flight_ && next_ && *next_ <= now; }
  // Returns whether the scaler is to be rebuilt first.
  bool start(TimePoint now, std::uint64_t ticket);
  bool awaits(std::uint64_t ticket) const { return in_flight_ && ticket_ == ticket; }

  enum class Heard { Retry, Same, Changed };
  Heard answer(Result<Sample> sample, TimePoint now);
  void rebuilt(const MetricSpec& metric);

  // Whether by the passing of time alone the last answer lost its worth. To be called before
  // reading().
  bool expire(TimePoint now);

  bool known() const { return sample_ || !error_.empty() || stale_; }
  // Known to be as it is at `since` or later.
  bool known_since(TimePoint since) const;
  Reading reading(TimePoint now) const;

  std::string name() const;
  std::string metric() const { return metric_ ? metric_->name : std::string(); }
  const std::optional<Sample>& sample() const { return sample_; }
  std::optional<TimePoint> read_at() const { return answered_; }
  const std::string& error() const { return error_; }
  int failures() const { return failures_; }

  // When a read is due or the last answer loses its worth, whichever is sooner.
  std::optional<TimePoint> next() const;

 private:
  bool held() const { return in_flight_ && sample_ && sample_->waits; }
  Duration hold() const;
  TimePoint trusted_until() const;
  std::optional<TimePoint> scheduled() const;
  Heard good(const Sample& sample, TimePoint now);
  Heard bad(std::string message, TimePoint now);

  Source source_;
  std::optional<MetricSpec> metric_;
  std::optional<Duration> interval_;
  TimePoint anchor_;  // reads lie whole intervals apart from here
  std::optional<TimePoint> next_;

  std::uint64_t ticket_ = 0;
  bool in_flight_ = false;
  bool retrying_ = false;
  bool rebuild_ = false;
  TimePoint poll_started_;  // the first of its tries
  TimePoint read_started_;

  std::optional<Sample> sample_;  // the last good one
  std::optional<TimePoint> good_at_;
  std::optional<TimePoint> answered_;  // good or bad
  std::string error_;
  int failures_ = 0;
  bool stale_ = false;
};

}  // namespace jobmill::scale
