// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "manifest/core_kinds.h"
#include "manifest/object.h"
#include "scale/executions.h"
#include "scale/spec.h"

namespace jobmill::scale {

// What becomes of running jobs when the ScaledJob changes.
enum class Rollout { Immediate, Gradual };  // they are stopped; they go on

// A ScaledJob as it is written; what is not written stays empty where the arithmetic, or the choice
// of the semantics, depends on that.
struct ScaledJobSpec {
  manifest::ObjectKey key;
  manifest::JobSpec job;  // jobTargetRef
  std::optional<Duration> polling_interval;
  int successful_history = 100;
  int failed_history = 100;
  Rollout rollout = Rollout::Immediate;
  bool foreground = false;           // rollout.propagationPolicy: a Job goes after its pods
  std::string env_source_container;  // empty: the first one
  std::optional<int> min_replicas;
  std::optional<int> max_replicas;
  std::optional<JobStrategy> strategy;
  std::optional<int> deduction;                 // custom
  std::string percentage;                       // custom, as written
  std::vector<std::string> pending_conditions;  // of pods
  JobCombination combination = JobCombination::Max;
  std::vector<Trigger> triggers;

  bool paused = false;
  std::optional<JobSemantics> semantics;  // as the annotation says

  Duration interval() const { return polling_interval.value_or(std::chrono::seconds(30)); }
};

// Everything wrong with it goes to `problems`, with lines; the result is to be used only when they
// are ok().
ScaledJobSpec decode_scaled_job(const manifest::Object& object, manifest::Problems& problems);

}  // namespace jobmill::scale
