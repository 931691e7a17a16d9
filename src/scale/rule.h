// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace jobmill::scale {

// The rules that can hold a number of replicas back or push it.
enum class Rule {
  None,
  NotActive,
  Tolerance,
  Min,
  Max,
  Cooldown,
  InitialCooldown,
  ScaleUpWindow,
  ScaleDownWindow,
  ScaleUpPolicy,
  ScaleDownPolicy,
  StepLimit,
  Paused,
  PausedScaleIn,
  PausedScaleOut,
  Fallback,
  TriggerFailed,
  Manual,  // somebody set the number by hand
};

std::string_view to_string(Rule rule);  // "scale-down-window"

}  // namespace jobmill::scale
