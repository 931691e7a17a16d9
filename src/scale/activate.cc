// SPDX-License-Identifier: Apache-2.0
#include "scale/activate.h"

#include <algorithm>

namespace jobmill::scale {
namespace {

constexpr Verdict kReady{Truth::True, "ScaledObjectReady"};
constexpr Verdict kActive{Truth::True, "ScalerActive"};
constexpr Verdict kNotActive{Truth::False, "ScalerNotActive"};
constexpr Verdict kCoolingDown{Truth::False, "ScalerCooldown"};

int min_of(const ActivateInput& in) { return in.min.value_or(0); }

bool below_activation(const ActivateInput& in) {
  return in.current == 0 || (in.idle && in.current < min_of(in));
}

bool above_rest(const ActivateInput& in) {
  return (in.idle && in.current > *in.idle) || (in.current > 0 && min_of(in) == 0);
}

Activation when_active(const ActivateInput& in) {
  Activation out{.ready = kReady, .active = kActive};
  if (below_activation(in)) {
    if (in.paused_scale_out) {
      out.rule = Rule::PausedScaleOut;
      return out;
    }
    out.step = Activation::Step::Activate;
    out.replicas = std::max(1, min_of(in));
    out.touch_last_active = true;
    return out;
  }
  if (in.error)
    out.ready = {Truth::Unknown, "PartialTriggerError"};
  else
    out.touch_last_active = true;
  return out;
}

// Both cooldowns are strict: at their last instant they still hold.
TimePoint cooldown_end(const ActivateInput& in) {
  return in.last_active ? *in.last_active + in.cooldown : in.created + in.initial_cooldown;
}

Activation scale_in(const ActivateInput& in) {
  Activation out{.ready = kReady, .active = kNotActive};
  if (in.paused_scale_in) {
    out.rule = Rule::PausedScaleIn;
  } else if (const TimePoint end = cooldown_end(in); end >= in.now) {
    out.step = Activation::Step::CoolDown;
    out.active = kCoolingDown;
    out.rule = in.last_active ? Rule::Cooldown : Rule::InitialCooldown;
    out.next_check = end + Duration(1);
  } else {
    out.step = Activation::Step::ScaleIn;
    out.replicas = in.idle.value_or(min_of(in));
  }
  return out;
}

Activation when_inactive(const ActivateInput& in) {
  Activation out{.ready = kReady, .active = kNotActive};
  if (in.error && in.fallback != 0) {
    if (!in.fallback) out.ready = {Truth::False, "TriggerError"};
    if (above_rest(in)) out.rule = Rule::TriggerFailed;
    return out;
  }
  if (above_rest(in)) return scale_in(in);
  if (!in.idle && in.current < min_of(in)) {
    out.step = Activation::Step::RaiseToMin;
    out.replicas = min_of(in);
  }
  return out;
}

}  // namespace

std::string_view to_string(Truth truth) {
  switch (truth) {
    case Truth::True:
      return "True";
    case Truth::False:
      return "False";
    case Truth::Unknown:
      break;
  }
  return "Unknown";
}

Activation activate(const ActivateInput& input) {
  if (input.paused)
    return {
        .step = Activation::Step::Paused, .ready = kReady, .paused = true, .rule = Rule::Paused};
  return input.active || input.forced ? when_active(input) : when_inactive(input);
}

}  // namespace jobmill::scale
