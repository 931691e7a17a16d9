// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/document.h"
#include "manifest/object.h"
#include "scale/executions.h"

// Jobs of batch/v1 as a ScaledJob has them made, and what they tell of themselves. Pure functions;
// labels and annotations are KEDA's, so that either finds what the other made.
namespace jobmill::targets {

inline constexpr std::string_view kScaledJobLabel = "scaledjob.keda.sh/name";

// The Job that a ScaledJob of a cluster starts: its jobTargetRef as it is written. The object has
// to have its uid, by which the cluster deletes its Jobs with it. `version`: of this program.
Node make_job(const manifest::Object& scaled_job, std::string_view version);

struct JobState {
  std::string ns;
  std::string name;
  std::string scaled_job;                  // by its label; empty: none
  std::optional<std::int64_t> generation;  // of the ScaledJob that it was made from
  scale::FinishedJob::Result result = scale::FinishedJob::Result::Running;
  std::string ended_at;  // sorts as text: when it was complete or failed, else when it was made
  bool leaving = false;  // it is being deleted
  bool finished() const { return result != scale::FinishedJob::Result::Running; }
};
JobState read_job(const Node& job);

struct PodState {
  std::string ns;
  std::string name;
  std::string job;  // name; empty: no Job's
  scale::JobPod pod;
};
PodState read_pod(const Node& pod);

}  // namespace jobmill::targets
