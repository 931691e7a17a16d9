// SPDX-License-Identifier: Apache-2.0
#include "scale/rule.h"

#include <array>
#include <utility>

namespace jobmill::scale {
namespace {

constexpr std::array<std::pair<Rule, std::string_view>, 18> kRules{{
    {Rule::None, "none"},
    {Rule::NotActive, "not-active"},
    {Rule::Tolerance, "tolerance"},
    {Rule::Min, "min"},
    {Rule::Max, "max"},
    {Rule::Cooldown, "cooldown"},
    {Rule::InitialCooldown, "initial-cooldown"},
    {Rule::ScaleUpWindow, "scale-up-window"},
    {Rule::ScaleDownWindow, "scale-down-window"},
    {Rule::ScaleUpPolicy, "scale-up-policy"},
    {Rule::ScaleDownPolicy, "scale-down-policy"},
    {Rule::StepLimit, "step-limit"},
    {Rule::Paused, "paused"},
    {Rule::PausedScaleIn, "paused-scale-in"},
    {Rule::PausedScaleOut, "paused-scale-out"},
    {Rule::Fallback, "fallback"},
    {Rule::TriggerFailed, "trigger-failed"},
    {Rule::Manual, "manual"},
}};

}  // namespace

std::string_view to_string(Rule rule) {
  for (const auto& [value, name] : kRules)
    if (value == rule) return name;
  return "none";
}

}  // namespace jobmill::scale
