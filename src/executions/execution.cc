// SPDX-License-Identifier: Apache-2.0
#include "executions/execution.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/text.h"
#include "executions/job_fields.h"

namespace jobmill::executions {
namespace {

constexpr std::array<std::string_view, 7> kStatuses{"Processing", "Running",  "Succeeded", "Failed",
                                                    "Stopped",    "Degraded", "Unknown"};
constexpr std::array<std::string_view, 8> kStates{"Pending",   "Starting", "Running", "Stopping",
                                                  "Succeeded", "Failed",   "Stopped", "Lost"};

}  // namespace

std::string_view to_string(ExecutionStatus status) {
  return kStatuses[static_cast<std::size_t>(status)];
}

std::string_view to_string(ReplicaState state) { return kStates[static_cast<std::size_t>(state)]; }

std::optional<ExecutionStatus> execution_status_named(std::string_view text) {
  for (std::size_t i = 0; i < kStatuses.size(); ++i)
    if (same_letters(kStatuses[i], text)) return ExecutionStatus(i);
  return std::nullopt;
}

std::optional<ReplicaState> replica_state_named(std::string_view text) {
  const auto at = std::find(kStates.begin(), kStates.end(), text);
  if (at == kStates.end()) return std::nullopt;
  return ReplicaState(at - kStates.begin());
}

std::string_view to_string(TriggerType type) {
  return kTriggerTypes[static_cast<std::size_t>(type)];
}

std::string_view to_string(Semantics semantics) {
  return kSemantics[static_cast<std::size_t>(semantics)];
}

}  // namespace jobmill::executions
