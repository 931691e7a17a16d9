// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/clock.h"
#include "scale/autoscaler.h"

namespace jobmill::scale {

// For tests: an Autoscaler with one object, a clock and a target that obeys at once. Reads wait
// until the test answers them.
class AutoscalerRig {
 public:
  using Read = Autoscaler::Read;

  explicit AutoscalerRig(const Autoscaler::Options& options = {}) : autoscaler(options) {
    spec.key = {"ScaledObject", "default", "jobrunr-scaling"};
    spec.target.name = "jobrunr-example";
  }

  // The triggers of the first walkthrough's ScaledObject.
  static std::vector<Autoscaler::Trigger> walkthrough() {
    return {metric("s0-metric-api-usage", MetricType::Value, 800),
            metric("s1-metric-api-count", MetricType::AverageValue, 8'000),
            metric("s2-metric-api-latency", MetricType::Value, 300'000'000)};
  }

  static Autoscaler::Trigger metric(std::string name, MetricType type, std::int64_t target_milli) {
    return {"metrics-api", "", MetricSpec{std::move(name), type, target_milli}};
  }

  static Autoscaler::Trigger per_replica(std::int64_t target) {
    return metric("s0-metric-api-count", MetricType::AverageValue, target * 1000);
  }

  void put(std::vector<Autoscaler::Trigger> triggers) {
    autoscaler.put(spec, {++generation, created.value_or(clock.now()), {}}, std::move(triggers),
                   clock.now());
    reads.clear();
    tick();
  }

  // The target has that many replicas, all ready.
  void ready(int replicas) { report({replicas, {.starting = 0, .ready = replicas}}); }

  void report(const Autoscaler::Replicas& replicas) {
    wanted = replicas.wanted;
    autoscaler.replicas(spec.key, replicas, clock.now());
    tick();
  }

  void answer(std::size_t trigger, double value, bool waits = false) {
    answer(trigger, Sample{value, value > 0, waits});
  }

  void answer(std::size_t trigger, Result<Sample> sample) {
    REQUIRE(reads.contains(trigger));
    const Read read = reads.extract(trigger).mapped();
    autoscaler.sample(read, std::move(sample), clock.now());
    tick();
  }

  // A trigger fails: its first read, and the one with a rebuilt scaler.
  void fail_twice(std::size_t trigger, const std::string& message) {
    answer(trigger, fail(Code::Unavailable, message));
    answer(trigger, fail(Code::Unavailable, message));
  }

  void tick() {
    const Autoscaler::Actions actions = autoscaler.tick(clock.now());
    for (const Read& read : actions.reads) {
      CHECK_FALSE(reads.contains(read.trigger));  // reads of one trigger never overlap
      reads.emplace(read.trigger, read);
      ++started;
    }
    for (const auto& scale_to : actions.scale_to) sizes.push_back(wanted = scale_to.replicas);
    for (const auto& [key, decision] : actions.decisions) records.push_back(decision);
    if (const auto next = autoscaler.next()) CHECK(*next > clock.now());
  }

  // Lets the time pass, calling at each instant that was asked for.
  void pass(Duration duration) {
    const TimePoint end = clock.now() + duration;
    for (auto next = autoscaler.next(); next && *next <= end; next = autoscaler.next()) {
      clock.set(*next);
      tick();
    }
    clock.set(end);
    tick();
  }

  // The same, with the trigger answering each read with that value.
  void pass_answering(Duration duration, double value) {
    const TimePoint end = clock.now() + duration;
    if (reads.contains(0)) answer(0, value);
    for (auto next = autoscaler.next(); next && *next <= end; next = autoscaler.next()) {
      clock.set(*next);
      tick();
      if (reads.contains(0)) answer(0, value);
    }
    clock.set(end);
    tick();
  }

  const Decision& latest() const {
    const Decision* decision = autoscaler.latest(spec.key);
    REQUIRE(decision);
    return *decision;
  }

  const ScaleStatus& status() const { return *autoscaler.status(spec.key); }

  std::string condition(std::string_view type) const {
    const Condition* known = status().find(type);
    REQUIRE(known);
    return std::string(to_string(known->status)) + "/" + known->reason;
  }

  ManualClock clock;
  Autoscaler autoscaler;
  ScaledObjectSpec spec;
  std::optional<TimePoint> created;
  std::int64_t generation = 0;
  std::map<std::size_t, Read> reads;  // unanswered
  std::size_t started = 0;            // reads so far
  std::vector<int> sizes;             // what the target was told
  std::vector<Decision> records;
  int wanted = 0;
};

}  // namespace jobmill::scale
