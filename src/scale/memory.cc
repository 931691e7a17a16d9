// SPDX-License-Identifier: Apache-2.0
#include "scale/memory.h"

#include <algorithm>

namespace jobmill::scale {
namespace {

Duration window_of(const std::optional<ScalingRules>& rules, Duration fallback) {
  return rules ? rules->stabilization_window.value_or(fallback) : fallback;
}

Duration longest_period(const DesiredInput& in) {
  Duration longest{};
  for (const auto* rules : {&in.up, &in.down}) {
    if (!*rules) continue;
    for (const ScalingPolicy& policy : (*rules)->policies)
      longest = std::max(longest, policy.period);
  }
  return longest;
}

}  // namespace

void Memory::recall(DesiredInput& in, bool standing) {
  forget(in);
  if (standing && !recommendations_.empty()) recommendations_.back().until = in.now;
  // As the HPA does: the size that was found is the first recommendation.
  if (recommendations_.empty() && in.current > 0) recommend(in.now, in.current);
  in.recommendations = recommendations_;
  in.events = events_;
}

void Memory::learn(const Decision& decision) {
  const TimePoint now = decision.input.at;
  // Policies count what the arithmetic adds to the size that activation sets.
  const int before = decision.activation.replicas.value_or(decision.from);
  if (decision.activation.step == Activation::Step::Activate) {
    recommendations_.clear();
    recommend(now, before);
  }
  if (decision.recommendation) recommend(now, *decision.recommendation);
  if (decision.to == 0) recommendations_.clear();
  if (decision.to > 0 && decision.to != before) events_.push_back({now, decision.to - before});
}

void Memory::recommend(TimePoint at, int replicas) {
  if (!recommendations_.empty() && recommendations_.back().replicas == replicas)
    recommendations_.back().until = at;
  else
    recommendations_.push_back({at, replicas});
}

// Of two recommendations the older counts only if it is more extreme: higher for the way down,
// lower for the way up.
void Memory::forget(const DesiredInput& in) {
  const Duration up = window_of(in.up, Duration{});
  const Duration window = std::max(up, window_of(in.down, in.down_window));
  std::vector<Recommendation> kept;
  for (auto it = recommendations_.rbegin(); it != recommendations_.rend(); ++it) {
    const auto covers = [&](auto less) {
      return std::any_of(kept.begin(), kept.end(), [&](const Recommendation& later) {
        return !less(later.replicas, it->replicas);
      });
    };
    const bool useful = !covers(std::less<>()) || (up > Duration{} && !covers(std::greater<>()));
    const bool last = it == recommendations_.rbegin();
    if (last || (useful && it->until >= in.now - window)) kept.push_back(*it);
  }
  recommendations_.assign(kept.rbegin(), kept.rend());
  std::erase_if(events_, [period = longest_period(in), now = in.now](const ScaleEvent& event) {
    return event.at <= now - period;
  });
}

}  // namespace jobmill::scale
