// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"
#include "scale/rule.h"

namespace jobmill::scale {

struct ActivateInput {
  TimePoint now{};
  int current = 0;  // what the target wants to be
  std::optional<int> min;
  std::optional<int> idle;
  bool active = false;          // some trigger is
  bool error = false;           // some trigger failed
  std::optional<int> fallback;  // fallback.replicas, where a fallback is written
  bool paused = false;
  bool paused_scale_in = false;
  bool paused_scale_out = false;
  bool forced = false;  // force-activation
  Duration cooldown = std::chrono::seconds(300);
  Duration initial_cooldown{};
  TimePoint created{};
  std::optional<TimePoint> last_active;
};

enum class Truth { True, False, Unknown };

std::string_view to_string(Truth truth);

// What a condition of the object becomes.
struct Verdict {
  Truth status = Truth::Unknown;
  std::string_view reason;
};

struct Activation {
  enum class Step {
    None,
    Paused,
    Activate,  // 0 -> 1 or min, or idle -> min
    ScaleIn,   // -> idle or min
    CoolDown,  // would scale in, but the cooldown is not over
    RaiseToMin,
  };
  Step step = Step::None;
  std::optional<int> replicas{};  // to set; none: the target is left alone
  bool touch_last_active = false;
  Verdict ready;
  std::optional<Verdict> active{};  // none: unchanged
  bool paused = false;
  Rule rule = Rule::None;                 // what held a step back
  std::optional<TimePoint> next_check{};  // end of a cooldown
};

// KEDA's decision table of one check: between zero (or idle) and the size at which the HPA
// arithmetic takes over.
Activation activate(const ActivateInput& input);

}  // namespace jobmill::scale
