// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "scale/autoscaler.h"
#include "scale/executions.h"
#include "scale/scaler.h"

namespace jobmill::scale {

// Decides when the event jobs of this server start executions, and how many. An engine as
// Autoscaler is: told of samples, queues and executions, each with the time, it answers with
// actions at tick() and knows when it wants to be called next. Owned by one thread.
//
// Bound: decided after each change of a queue or of the job's executions, and at each polling
// interval for the min executions. Keda: all triggers are read at once and then every polling
// interval; when all have answered it is decided. A failed read is repeated once with a rebuilt
// scaler; a trigger that fails again starts nothing.
class JobScaler {
 public:
  using Key = std::string;  // of its owner's making

  struct Spec {
    Key key;
    JobSemantics semantics = JobSemantics::Bound;
    Duration polling_interval = std::chrono::seconds(30);
    std::optional<std::int64_t> min{};
    std::optional<std::int64_t> max{};
    bool suspended = false;
    JobCombination combination = JobCombination::Max;
    JobStrategy strategy = JobStrategy::Default;
    std::optional<std::int64_t> deduction{};
    std::string percentage{};
    // Keda: one for each rule. Bound: rules without the numbers that queue() tells.
    std::vector<Autoscaler::Trigger> triggers{};
    std::vector<BoundRule> rules{};
  };

  struct Read {
    Key job;
    std::size_t trigger = 0;
    bool rebuild = false;
    std::uint64_t ticket = 0;
  };
  struct Create {
    Key job;
    int rule = -1;
    int count = 0;
    std::string decision;  // id
  };
  struct Actions {
    std::vector<Read> reads;
    std::vector<Create> create;
    std::vector<Key> decided;  // whose latest() is another one than before
  };

  JobScaler();
  ~JobScaler();
  JobScaler(const JobScaler&) = delete;
  JobScaler& operator=(const JobScaler&) = delete;

  void put(Spec spec, TimePoint now);  // new or changed; decided at once
  void remove(const Key& key);

  // Keda.
  void sample(const Read& read, Result<Sample> sample, TimePoint now);
  void built(const Read& read, const MetricSpec& metric);

  // Bound: the queue of a rule, after each put() and each change. An error: its entity is missing,
  // its key wrong. Nothing is decided until all rules of the job were told of.
  struct Queue {
    std::int64_t ready = 0;
    std::int64_t locked = 0;
    bool sessions = false;
    bool receivable = true;  // neither disabled nor receive-disabled
  };
  void queue(const Key& key, std::size_t rule, Result<Queue> queue, TimePoint now);
  // What the executions of the job are. Nothing is decided before this was told once: after a
  // restart there may be some already. `reserved`: of each rule; `backing_off`: of those, for
  // executions that wait before a retry. To be told after each create as well; until then those
  // that were asked for count as if they were there, so that no message is counted twice.
  void executions(const Key& key, std::int64_t unfinished, std::int64_t pending,
                  std::vector<std::int64_t> reserved, TimePoint now,
                  std::vector<std::int64_t> backing_off = {});

  Actions tick(TimePoint now);
  std::optional<TimePoint> next() const;

  const ExecutionsDecision* latest(const Key& key) const;       // null: not decided yet
  const ExecutionsDecision* last_create(const Key& key) const;  // that created something

 private:
  struct Job;
  std::map<Key, std::unique_ptr<Job>> jobs_;
  std::uint64_t tickets_ = 0;
  std::uint64_t decisions_ = 0;
};

}  // namespace jobmill::scale
