// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "manifest/object.h"
#include "scale/decision.h"
#include "scale/scaler.h"
#include "scale/spec.h"
#include "scale/status.h"
#include "scale/target.h"

namespace jobmill::scale {

class Loop;

// Decides how many replicas each ScaledObject's target shall have. An engine: it does no I/O and
// knows no clock. It is told samples, replicas and objects, each with the time, and answers with
// actions at tick(). Owned by one thread.
//
//   autoscaler.put(spec, origin, triggers, now);
//   for (;;) {
//     Autoscaler::Actions actions = autoscaler.tick(now);   // after each call below, and at next()
//     ... carry them out; answers come back by sample() and replicas() ...
//   }
class Autoscaler {
 public:
  using Key = manifest::ObjectKey;

  struct Options {
    Duration sync = std::chrono::seconds(15);  // the arithmetic's own clock in keda semantics
    Duration down_window = std::chrono::seconds(300);  // where no behavior.scaleDown is written
    double tolerance = 0.1;
  };

  // What is known of an object beyond its spec.
  struct Origin {
    std::int64_t generation = 1;
    TimePoint created{};
    std::optional<TimePoint> last_active;  // from before a restart, as the next two
    std::optional<Decision> latest{};
    std::optional<Decision> change{};  // the last one that changed the number
  };

  // One entry of `triggers:`, after its scaler was built or could not be.
  struct Trigger {
    std::string type;
    std::string name;
    Result<MetricSpec> metric;
    Duration timeout = std::chrono::seconds(3);
    bool cached = false;  // useCachedMetrics
  };

  // What a target reports.
  struct Replicas {
    int wanted = 0;
    ReplicaCounts counts;
    int busy = 0;  // replicas that hold a lease
  };

  struct Read {
    Key object;
    std::size_t trigger = 0;
    bool rebuild = false;      // build the scaler anew first: its secrets may have changed
    std::uint64_t ticket = 0;  // an answer to another ticket than the trigger's last is dropped
  };

  struct ScaleTo {
    Key object;
    int replicas = 0;
  };

  struct Actions {
    std::vector<Read> reads;
    std::vector<ScaleTo> scale_to;
    std::vector<Key> statuses;                        // whose status() changed
    std::vector<std::pair<Key, Decision>> decisions;  // new records for the ledger
    std::vector<Key> repeats;                         // whose latest() repeats its record
  };

  Autoscaler() : Autoscaler(Options{}) {}
  explicit Autoscaler(const Options& options);
  ~Autoscaler();
  Autoscaler(const Autoscaler&) = delete;
  Autoscaler& operator=(const Autoscaler&) = delete;

  // Adds an object, or replaces it: a new generation or other annotations are checked at once.
  void put(const ScaledObjectSpec& spec, const Origin& origin, std::vector<Trigger> triggers,
           TimePoint now);
  void remove(const Key& key);

  // The answer to a read. If the scaler could not be built again, that error is the answer.
  void sample(const Read& read, Result<Sample> sample, TimePoint now);
  // A rebuilt scaler may measure against another target. To be told before its sample.
  void built(const Read& read, const MetricSpec& metric);
  // The state of the target, after each change; an error if there is no such target.
  void replicas(const Key& key, Result<Replicas> replicas, TimePoint now);

  // Somebody wants this number, once: a decision of its own, after which the rules go on. The
  // caller keeps to the bounds.
  void set(const Key& key, int replicas);

  // What is to be done now. Never asks for the same read or size twice.
  Actions tick(TimePoint now);

  // When tick() must be called if nothing is told in the meantime. After a tick this is later
  // than its time.
  std::optional<TimePoint> next() const;

  // Null if there is none (yet). Valid until the next call that changes the object.
  const Decision* latest(const Key& key) const;       // of the last evaluation
  const Decision* last_change(const Key& key) const;  // that set the present number
  const ScaleStatus* status(const Key& key) const;

 private:
  struct Watched {
    std::unique_ptr<Loop> loop;
    std::optional<TimePoint> due;  // as it stands in due_
  };
  using Objects = std::map<Key, Watched>;

  Loop* find(const Key& key) const;
  void told(Objects::value_type& object);
  void schedule(Objects::value_type& object);

  Options options_;
  Objects objects_;
  // A tick costs what has happened, not how many objects there are.
  std::set<Key> told_;                       // since their last tick
  std::set<std::pair<TimePoint, Key>> due_;  // whose time comes
  std::uint64_t tickets_ = 0;
};

}  // namespace jobmill::scale
