// SPDX-License-Identifier: Apache-2.0
#include "scale/desired.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace jobmill::scale {
namespace {

constexpr int kMost = std::numeric_limits<int>::max();

int saturated(double replicas) {
  return replicas >= static_cast<double>(kMost) ? kMost : static_cast<int>(replicas);
}

int saturated(std::int64_t replicas) {
  return static_cast<int>(std::clamp<std::int64_t>(replicas, 0, kMost));
}

// Both numbers are thousandths, so this is exact.
int ceil_of_quotient(std::int64_t value, std::int64_t target) {
  return saturated(value / target + (value % target > 0 ? 1 : 0));
}

double tolerance_for(const DesiredInput& in, double ratio) {
  const auto& rules = ratio > 1 ? in.up : in.down;
  return rules && rules->tolerance ? *rules->tolerance : in.tolerance;
}

bool tolerated(const DesiredInput& in, double ratio) {
  return std::abs(1 - ratio) <= tolerance_for(in, ratio);
}

Proposal propose_average(const Reading& reading, const DesiredInput& in) {
  const double total = static_cast<double>(reading.value_milli);
  const double target = static_cast<double>(reading.target_milli);
  if (in.status == 0)
    return {ceil_of_quotient(reading.value_milli, reading.target_milli), total / target, false};

  const double ratio = total / (target * in.status);
  if (tolerated(in, ratio)) return {in.status, ratio, true};
  return {ceil_of_quotient(reading.value_milli, reading.target_milli), ratio, false};
}

// Only ready replicas are multiplied: those that still start have not yet had their effect.
Proposal propose_value(const Reading& reading, const DesiredInput& in) {
  const double ratio =
      static_cast<double>(reading.value_milli) / static_cast<double>(reading.target_milli);
  if (in.current == 0) return {saturated(std::ceil(ratio)), ratio, false};
  if (tolerated(in, ratio)) return {in.current, ratio, true};
  return {saturated(std::ceil(ratio * in.ready)), ratio, false};
}

// The highest proposal; none if nobody votes.
std::optional<int> highest(const DesiredInput& in, bool with_tolerance) {
  DesiredInput exact;
  const DesiredInput* seen = &in;
  if (!with_tolerance) {
    exact = in;
    exact.tolerance = 0;
    if (exact.up) exact.up->tolerance.reset();
    if (exact.down) exact.down->tolerance.reset();
    seen = &exact;
  }
  std::optional<int> most;
  for (const Reading& reading : in.readings)
    if (const auto proposal = propose(reading, *seen))
      most = std::max(most.value_or(0), proposal->replicas);
  return most;
}

// The number on its way through the rules. Remembers the last rule that changed it.
class Number {
 public:
  Number(int replicas, Rule without) : replicas_(replicas), without_(without) {}

  int operator*() const { return replicas_; }
  Rule rule() const { return rule_; }

  bool apply(Rule rule, int replicas) {
    if (rule == without_ || replicas == replicas_) return false;
    replicas_ = replicas;
    rule_ = rule;
    return true;
  }

 private:
  int replicas_;
  Rule without_;
  Rule rule_ = Rule::None;
};

void sooner(std::optional<TimePoint>& next, TimePoint at) {
  next = next ? std::min(*next, at) : at;
}

Duration up_window(const DesiredInput& in) {
  return in.up ? in.up->stabilization_window.value_or(Duration{}) : Duration{};
}

Duration down_window(const DesiredInput& in) {
  return in.down ? in.down->stabilization_window.value_or(in.down_window) : in.down_window;
}

// Calls for each recommendation of the window. One counts until its last instant; no window, none.
template <class Visit>
void in_window(const DesiredInput& in, Duration window, Visit visit) {
  for (const Recommendation& recommendation : in.recommendations)
    if (window > Duration{} && recommendation.until >= in.now - window) visit(recommendation);
}

// When the last recommendation of that size leaves the window.
TimePoint leaves_window(const DesiredInput& in, Duration window, int replicas) {
  TimePoint last = in.now;
  in_window(in, window, [&](const Recommendation& r) {
    if (r.replicas == replicas) last = std::max(last, r.until + window + Duration(1));
  });
  return last;
}

void hold_up(const DesiredInput& in, Number& number, std::optional<TimePoint>& next) {
  if (*number <= in.current || !in.up) return;
  int least = *number;
  in_window(in, up_window(in),
            [&](const Recommendation& r) { least = std::min(least, r.replicas); });
  if (number.apply(Rule::ScaleUpWindow, std::max(in.current, least)))
    sooner(next, leaves_window(in, up_window(in), least));
}

void hold_down(const DesiredInput& in, Number& number, std::optional<TimePoint>& next) {
  if (*number >= in.current && !in.window_raises) return;
  int most = *number;
  in_window(in, down_window(in),
            [&](const Recommendation& r) { most = std::max(most, r.replicas); });
  const int held = in.window_raises ? most : std::min(in.current, most);
  if (number.apply(Rule::ScaleDownWindow, held))
    sooner(next, leaves_window(in, down_window(in), most));
}

// How many replicas came (sign 1) or went (sign -1) within the period.
std::int64_t changed_within(const DesiredInput& in, Duration period, int sign) {
  std::int64_t sum = 0;
  for (const ScaleEvent& event : in.events)
    if (event.at > in.now - period && event.change * sign > 0) sum += event.change * sign;
  return sum;
}

std::int64_t limit_up(const DesiredInput& in, const ScalingPolicy& policy) {
  const std::int64_t start = in.current - changed_within(in, policy.period, 1);
  if (policy.type == PolicyType::Pods) return start + policy.value;
  return static_cast<std::int64_t>(
      std::ceil(static_cast<double>(start) * (1 + static_cast<double>(policy.value) / 100)));
}

std::int64_t limit_down(const DesiredInput& in, const ScalingPolicy& policy) {
  const std::int64_t start = in.current + changed_within(in, policy.period, -1);
  if (policy.type == PolicyType::Pods) return start - policy.value;
  return static_cast<std::int64_t>(static_cast<double>(start) *
                                   (1 - static_cast<double>(policy.value) / 100));
}

// When the first event that a policy counts leaves its period.
void policies_change(const DesiredInput& in, const ScalingRules& rules, int sign,
                     std::optional<TimePoint>& next) {
  for (const ScalingPolicy& policy : rules.policies)
    for (const ScaleEvent& event : in.events)
      if (event.change * sign > 0 && event.at + policy.period > in.now)
        sooner(next, event.at + policy.period);
}

void pace_up(const DesiredInput& in, Number& number, std::optional<TimePoint>& next) {
  if (*number <= in.current) return;
  if (in.up_disabled) number.apply(Rule::PausedScaleOut, in.current);
  if (!in.up) {
    const std::int64_t step = std::max<std::int64_t>(2 * std::int64_t{in.current}, 4);
    if (in.step_limit)
      number.apply(Rule::StepLimit, saturated(std::min<std::int64_t>(*number, step)));
    return;
  }
  const SelectPolicy select = in.up->select.value_or(SelectPolicy::Max);
  std::optional<std::int64_t> limit;
  for (const ScalingPolicy& policy : in.up->policies) {
    const std::int64_t one = limit_up(in, policy);
    limit = !limit                        ? one
            : select == SelectPolicy::Min ? std::min(*limit, one)
                                          : std::max(*limit, one);
  }
  if (select == SelectPolicy::Disabled) limit = in.current;
  if (!limit) return;
  const std::int64_t allowed = std::max<std::int64_t>(*limit, in.current);
  if (number.apply(Rule::ScaleUpPolicy, saturated(std::min<std::int64_t>(*number, allowed))))
    policies_change(in, *in.up, 1, next);
}

void pace_down(const DesiredInput& in, Number& number, std::optional<TimePoint>& next) {
  if (*number >= in.current) return;
  if (in.down_disabled) number.apply(Rule::PausedScaleIn, in.current);
  if (!in.down) return;
  const SelectPolicy select = in.down->select.value_or(SelectPolicy::Max);
  std::optional<std::int64_t> limit;
  for (const ScalingPolicy& policy : in.down->policies) {
    const std::int64_t one = limit_down(in, policy);
    limit = !limit                        ? one
            : select == SelectPolicy::Min ? std::max(*limit, one)
                                          : std::min(*limit, one);
  }
  if (select == SelectPolicy::Disabled) limit = in.current;
  if (!limit) return;
  const std::int64_t allowed = std::min<std::int64_t>(*limit, in.current);
  if (number.apply(Rule::ScaleDownPolicy, saturated(std::max<std::int64_t>(*number, allowed))))
    policies_change(in, *in.down, -1, next);
}

bool any_failed(const DesiredInput& in) {
  return std::any_of(in.readings.begin(), in.readings.end(), failed);
}

// Nobody votes: the size stays as it is.
Desired without_votes(const DesiredInput& in) {
  return {.replicas = in.current, .rule = any_failed(in) ? Rule::TriggerFailed : Rule::None};
}

Desired by_metrics(const DesiredInput& in, int wish, Rule without) {
  Number number(wish, without);
  Desired out;
  number.apply(Rule::Tolerance, *highest(in, true));
  // What a failed metric would have asked for is unknown, so nothing is recommended either.
  const bool failed_down = any_failed(in) && *number < in.current;
  if (failed_down) number.apply(Rule::TriggerFailed, in.current);
  if (!failed_down) out.recommendation = *number;

  // Before the windows too: what the minimum holds is not held by them.
  number.apply(Rule::Min, std::max(*number, in.min));
  hold_up(in, number, out.next_check);
  hold_down(in, number, out.next_check);
  pace_up(in, number, out.next_check);
  pace_down(in, number, out.next_check);
  number.apply(Rule::Max, std::min(*number, in.max));
  number.apply(Rule::Min, std::max(*number, in.min));
  out.replicas = *number;
  out.rule = number.rule();
  return out;
}

constexpr Duration kDefaultPeriod = std::chrono::seconds(15);

}  // namespace

ScalingRules up_with_defaults(ScalingRules written) {
  if (!written.stabilization_window) written.stabilization_window = Duration{};
  if (!written.select) written.select = SelectPolicy::Max;
  if (written.policies.empty())
    written.policies = {{PolicyType::Pods, 4, kDefaultPeriod},
                        {PolicyType::Percent, 100, kDefaultPeriod}};
  return written;
}

ScalingRules down_with_defaults(ScalingRules written, Duration window) {
  if (!written.stabilization_window) written.stabilization_window = window;
  if (!written.select) written.select = SelectPolicy::Max;
  if (written.policies.empty()) written.policies = {{PolicyType::Percent, 100, kDefaultPeriod}};
  return written;
}

bool failed(const Reading& reading) { return !reading.error.empty() || reading.target_milli <= 0; }

std::optional<Proposal> propose(const Reading& reading, const DesiredInput& input) {
  if (failed(reading)) return std::nullopt;
  return reading.type == MetricType::AverageValue ? propose_average(reading, input)
                                                  : propose_value(reading, input);
}

Desired desired(const DesiredInput& input, Rule without) {
  if (input.current == 0 && input.min != 0) return {.disabled = true};
  if (input.current > input.max && without != Rule::Max)
    return {.replicas = input.max, .rule = Rule::Max, .out_of_bounds = true};
  if (input.current < input.min && without != Rule::Min)
    return {.replicas = input.min, .rule = Rule::Min, .out_of_bounds = true};

  const auto wish = highest(input, false);
  return wish ? by_metrics(input, *wish, without) : without_votes(input);
}

}  // namespace jobmill::scale
