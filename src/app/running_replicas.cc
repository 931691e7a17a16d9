// SPDX-License-Identifier: Apache-2.0
#include "app/running_replicas.h"

#include <vector>

#include "targets/process/socket_owner.h"

namespace jobmill::app {

void RunningReplicas::put(const std::string& name, Replica replica) {
  const std::lock_guard lock(mutex_);
  replicas_[name] = replica;
}

void RunningReplicas::remove(std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (const auto it = replicas_.find(name); it != replicas_.end()) replicas_.erase(it);
}

std::optional<broker::Holder> RunningReplicas::named(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto it = replicas_.find(name);
  if (it == replicas_.end()) return std::nullopt;
  return broker::Holder{it->first, it->second.locks_until};
}

std::optional<broker::Holder> RunningReplicas::at(const std::string& peer) const {
  std::vector<targets::ReplicaLeader> processes;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, replica] : replicas_)
      if (replica.pid > 0) processes.push_back({name, static_cast<pid_t>(replica.pid)});
  }
  if (processes.empty()) return std::nullopt;
  const auto owner = targets::replica_of_socket(peer, processes);
  return owner ? named(*owner) : std::nullopt;
}

}  // namespace jobmill::app
