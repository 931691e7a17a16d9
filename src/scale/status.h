// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "scale/activate.h"
#include "scale/decision.h"
#include "scale/spec.h"

namespace jobmill::scale {

// A line of status.conditions.
struct Condition {
  std::string type;  // Ready, Active, Fallback, Paused
  Truth status = Truth::Unknown;
  std::string reason;
  std::string message;
  TimePoint last_transition{};  // of the status
};

// What `get scaledobject` shows of an object.
struct ScaleStatus {
  struct Trigger {
    std::string name;    // of the trigger, else of its metric
    std::string metric;  // empty while its scaler cannot be built
    bool active = false;
    int failures = 0;   // in a row
    std::string error;  // of the last read; empty = good
    std::optional<double> value;
    std::optional<TimePoint> read_at;
  };
  std::vector<Condition> conditions;
  std::vector<Trigger> triggers;
  std::optional<TimePoint> last_active;
  std::optional<int> paused_replicas;

  const Condition* find(std::string_view type) const;
};

// An object that nobody has looked at: everything unknown, not paused.
ScaleStatus new_status(TimePoint now);

// Each returns whether a condition changed.
bool set_condition(ScaleStatus& status, std::string_view type, Verdict verdict, std::string message,
                   TimePoint now);
bool set_paused(ScaleStatus& status, const Pause& pause, TimePoint now);
bool set_decided(ScaleStatus& status, const Decision& decision);
bool set_unreadable(ScaleStatus& status, const std::string& error, TimePoint now);

}  // namespace jobmill::scale
