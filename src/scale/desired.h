// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "scale/rule.h"
#include "scale/scaler.h"
#include "scale/spec.h"

namespace jobmill::scale {

// What one trigger said, as a decision sees it. An error makes it no vote, never a zero.
struct Reading {
  std::string name;    // of the trigger, else of its metric
  std::string source;  // type of the trigger: "metrics-api"
  std::string metric;  // "s1-metric-api-count"; empty while its scaler cannot be built
  MetricType type = MetricType::AverageValue;
  std::int64_t target_milli = 0;
  double value = 0;
  std::int64_t value_milli = 0;  // the value as the HPA sees it, three decimals
  bool active = false;
  Duration age{};
  std::string error;
};

// A number that was asked for, and the time until which nothing newer replaced it.
struct Recommendation {
  TimePoint until{};
  int replicas = 0;
};

// A change of size that policies count: positive added, negative removed.
struct ScaleEvent {
  TimePoint at{};
  int change = 0;
};

// The API's defaults for what a direction leaves unwritten: up {0 s, Max, 4 pods or 100 % in 15 s},
// down {`window`, Max, 100 % in 15 s}.
ScalingRules up_with_defaults(ScalingRules written);
ScalingRules down_with_defaults(ScalingRules written, Duration window);

struct DesiredInput {
  TimePoint now{};
  int current = 0;  // what the target wants to be
  int status = 0;   // replicas that exist
  int ready = 0;
  int min = 1;
  int max = 100;
  double tolerance = 0.1;      // where behavior names no other
  bool step_limit = false;     // max(2 x current, 4) a step, where no behavior is written
  bool window_raises = false;  // the plain HPA takes the highest of the window even above current
  Duration down_window = std::chrono::seconds(300);  // where no scaleDown is written
  std::optional<ScalingRules> up;    // behavior with its defaults; none: not limited
  std::optional<ScalingRules> down;  // none: only the window
  bool up_disabled = false;          // paused-scale-out
  bool down_disabled = false;        // paused-scale-in
  std::vector<Reading> readings;
  std::vector<Recommendation> recommendations;
  std::vector<ScaleEvent> events;
};

struct Proposal {
  int replicas = 0;
  double ratio = 0;        // of the value to what the target allows
  bool tolerated = false;  // within the tolerance: the size is kept
};

// What one reading asks for. Nothing if it failed, or its target is not positive.
std::optional<Proposal> propose(const Reading& reading, const DesiredInput& input);

// Whether the reading is no vote: its read failed, or nothing can be held against its target.
bool failed(const Reading& reading);

struct Desired {
  int replicas = 0;
  Rule rule = Rule::None;               // the last rule that changed the number
  std::optional<int> recommendation{};  // to be remembered for the windows; none: nothing was asked
  std::optional<TimePoint> next_check{};
  bool disabled = false;       // at zero with min > 0: not this function's affair
  bool out_of_bounds = false;  // current was outside [min, max]; metrics were not looked at
};

// The arithmetic of the HorizontalPodAutoscaler (autoscaling/v2) for external metrics: the highest
// proposal, windows, policies, bounds. `without` leaves one rule out, to say what it changed.
Desired desired(const DesiredInput& input, Rule without = Rule::None);

}  // namespace jobmill::scale
