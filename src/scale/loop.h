// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "scale/autoscaler.h"
#include "scale/memory.h"
#include "scale/poll.h"

namespace jobmill::scale {

// The loop of one ScaledObject: when its triggers are read, when it is decided, what a decision
// leaves behind. The Autoscaler is many of these.
class Loop {
 public:
  using Key = Autoscaler::Key;

  Loop(Key key, const Autoscaler::Options& options, TimePoint now);

  void put(const ScaledObjectSpec& spec, const Autoscaler::Origin& origin,
           const std::vector<Autoscaler::Trigger>& triggers, TimePoint now);
  void sample(const Autoscaler::Read& read, Result<Sample> sample, TimePoint now);
  void built(const Autoscaler::Read& read, const MetricSpec& metric);
  void replicas(Result<Autoscaler::Replicas> replicas, TimePoint now);
  void set(int replicas) { set_to_ = replicas; }

  void tick(TimePoint now, std::uint64_t& tickets, Autoscaler::Actions& actions);
  std::optional<TimePoint> next() const;

  const Decision* latest() const { return latest_ ? &*latest_ : nullptr; }
  const Decision* last_change() const { return change_ ? &*change_ : nullptr; }
  const ScaleStatus& status() const { return status_; }

 private:
  // A clock of keda semantics: at its instants all triggers are read, and when they have answered
  // one of the two functions runs.
  struct Round {
    Duration period{};
    TimePoint due{};
    std::optional<TimePoint> started;

    bool begins(TimePoint now);
  };

  enum class Part { Both, Activation, Arithmetic };

  bool keda() const { return spec_.semantics == Semantics::Keda; }
  Poll* awaiting(const Autoscaler::Read& read);
  bool known() const;
  bool known_since(TimePoint since) const;

  void decide_by_hand(TimePoint now, Autoscaler::Actions& actions);
  void decide_paused(TimePoint now, Autoscaler::Actions& actions);
  void decide_direct(TimePoint now, Autoscaler::Actions& actions);
  void decide_keda(TimePoint now, Autoscaler::Actions& actions);
  void run_round(Round& round, Part part, TimePoint now, Autoscaler::Actions& actions);
  void start_reads(TimePoint now, std::uint64_t& tickets, Autoscaler::Actions& actions);
  void pace_reads();

  void evaluate(Part part, TimePoint now, Autoscaler::Actions& actions);
  DecisionInput look(Part part, TimePoint now);
  ActivateInput look_for_activation(const std::vector<Reading>& readings, TimePoint now) const;
  DesiredInput look_for_arithmetic(const std::vector<Reading>& readings, TimePoint now) const;
  void resize(const Decision& decision, Autoscaler::Actions& actions);
  void record(Decision decision, Autoscaler::Actions& actions);
  const Decision* to_continue() const;
  void describe_triggers();

  Key key_;
  Autoscaler::Options options_;
  ScaledObjectSpec spec_;
  Autoscaler::Origin origin_;
  std::vector<Poll> polls_;
  std::vector<bool> cached_;
  Round activation_;
  Round arithmetic_;

  std::optional<Autoscaler::Replicas> replicas_;
  std::optional<TimePoint> last_active_;
  Memory memory_;
  bool active_ = false;        // as of the last evaluation
  bool changed_ = true;        // something that a decision looks at
  bool set_pause_ = false;     // paused-replicas are still to be set
  std::optional<int> set_to_;  // by hand, and not done yet
  bool undecidable_ = true;    // at the last tick not everything was known
  std::optional<TimePoint> next_check_;

  std::optional<Decision> latest_;  // with `repeated` and `until` of its record
  std::optional<Decision> change_;
  std::uint64_t records_ = 0;
  ScaleStatus status_;
  bool status_changed_ = true;
};

}  // namespace jobmill::scale
