// SPDX-License-Identifier: Apache-2.0
#include "scale/autoscaler.h"

#include <algorithm>

#include "scale/loop.h"

namespace jobmill::scale {

Autoscaler::Autoscaler(const Options& options) : options_(options) {}

Autoscaler::~Autoscaler() = default;

void Autoscaler::put(const ScaledObjectSpec& spec, const Origin& origin,
                     std::vector<Trigger> triggers, TimePoint now) {
  auto& loop = loops_[spec.key];
  if (!loop) loop = std::make_unique<Loop>(spec.key, options_, now);
  loop->put(spec, origin, triggers, now);
}

void Autoscaler::remove(const Key& key) { loops_.erase(key); }

Loop* Autoscaler::find(const Key& key) const {
  const auto it = loops_.find(key);
  return it == loops_.end() ? nullptr : it->second.get();
}

void Autoscaler::sample(const Read& read, Result<Sample> sample, TimePoint now) {
  if (Loop* loop = find(read.object)) loop->sample(read, std::move(sample), now);
}

void Autoscaler::built(const Read& read, const MetricSpec& metric) {
  if (Loop* loop = find(read.object)) loop->built(read, metric);
}

void Autoscaler::replicas(const Key& key, Result<Replicas> replicas, TimePoint now) {
  if (Loop* loop = find(key)) loop->replicas(std::move(replicas), now);
}

Autoscaler::Actions Autoscaler::tick(TimePoint now) {
  Actions actions;
  for (auto& [key, loop] : loops_) loop->tick(now, tickets_, actions);
  return actions;
}

std::optional<TimePoint> Autoscaler::next() const {
  std::optional<TimePoint> next;
  for (const auto& [key, loop] : loops_)
    if (const auto at = loop->next()) next = next ? std::min(*next, *at) : *at;
  return next;
}

const Decision* Autoscaler::latest(const Key& key) const {
  const Loop* loop = find(key);
  return loop ? loop->latest() : nullptr;
}

const Decision* Autoscaler::last_change(const Key& key) const {
  const Loop* loop = find(key);
  return loop ? loop->last_change() : nullptr;
}

const ScaleStatus* Autoscaler::status(const Key& key) const {
  const Loop* loop = find(key);
  return loop ? &loop->status() : nullptr;
}

}  // namespace jobmill::scale
