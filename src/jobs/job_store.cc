// SPDX-License-Identifier: Apache-2.0
#include "jobs/job_store.h"

#include <array>

namespace jobmill::jobs {
namespace {

constexpr std::array<std::string_view, 3> kWorkerStates{"run", "quiet", "stop"};

}  // namespace

std::string_view to_string(WorkerState state) {
  return kWorkerStates[static_cast<std::size_t>(state)];
}

std::optional<WorkerState> worker_state(std::string_view text) {
  for (std::size_t i = 0; i < kWorkerStates.size(); ++i) {
    if (kWorkerStates[i] == text) return static_cast<WorkerState>(i);
  }
  return std::nullopt;
}

}  // namespace jobmill::jobs
