// SPDX-License-Identifier: Apache-2.0
#include "scale/autoscaler.h"

#include <utility>

#include "scale/loop.h"

namespace jobmill::scale {

Autoscaler::Autoscaler(const Options& options) : options_(options) {}

Autoscaler::~Autoscaler() = default;

void Autoscaler::put(const ScaledObjectSpec& spec, const Origin& origin,
                     std::vector<Trigger> triggers, TimePoint now) {
  auto& object = *objects_.try_emplace(spec.key).first;
  auto& loop = object.second.loop;
  if (!loop) loop = std::make_unique<Loop>(spec.key, options_, now);
  loop->put(spec, origin, triggers, now);
  told(object);
}

void Autoscaler::remove(const Key& key) {
  const auto it = objects_.find(key);
  if (it == objects_.end()) return;
  if (it->second.due) due_.erase({*it->second.due, key});
  told_.erase(key);
  objects_.erase(it);
}

Loop* Autoscaler::find(const Key& key) const {
  const auto it = objects_.find(key);
  return it == objects_.end() ? nullptr : it->second.loop.get();
}

void Autoscaler::told(Objects::value_type& object) {
  told_.insert(object.first);
  schedule(object);
}

void Autoscaler::schedule(Objects::value_type& object) {
  auto& [key, watched] = object;
  const auto next = watched.loop->next();
  if (next == watched.due) return;
  if (watched.due) due_.erase({*watched.due, key});
  if (next) due_.emplace(*next, key);
  watched.due = next;
}

void Autoscaler::sample(const Read& read, Result<Sample> sample, TimePoint now) {
  const auto it = objects_.find(read.object);
  if (it == objects_.end()) return;
  it->second.loop->sample(read, std::move(sample), now);
  told(*it);
}

void Autoscaler::built(const Read& read, const MetricSpec& metric) {
  if (Loop* loop = find(read.object)) loop->built(read, metric);
}

void Autoscaler::replicas(const Key& key, Result<Replicas> replicas, TimePoint now) {
  const auto it = objects_.find(key);
  if (it == objects_.end()) return;
  it->second.loop->replicas(std::move(replicas), now);
  told(*it);
}

void Autoscaler::set(const Key& key, int replicas) {
  const auto it = objects_.find(key);
  if (it == objects_.end()) return;
  it->second.loop->set(replicas);
  told(*it);
}

Autoscaler::Actions Autoscaler::tick(TimePoint now) {
  for (const auto& [at, key] : due_) {
    if (at > now) break;
    told_.insert(key);
  }
  Actions actions;
  for (const Key& key : std::exchange(told_, {})) {
    auto& object = *objects_.find(key);
    object.second.loop->tick(now, tickets_, actions);
    schedule(object);
  }
  return actions;
}

std::optional<TimePoint> Autoscaler::next() const {
  return due_.empty() ? std::nullopt : std::optional(due_.begin()->first);
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
