// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "broker/broker.h"

namespace jobmill::app {

// The replicas of executions whose processes live, for those who ask on whose behalf a connection
// speaks. Safe from any thread: the control thread keeps it, the loop thread asks.
class RunningReplicas {
 public:
  struct Replica {
    std::int64_t pid = 0;  // 0: not known yet
    // Locks of its deliveries last until then; none: they are as anybody's.
    std::optional<TimePoint> locks_until{};
  };

  void put(const std::string& name, Replica replica);
  void remove(std::string_view name);

  std::optional<broker::Holder> named(std::string_view name) const;
  // By the address of the client's socket, "127.0.0.1:40312": which of the processes has it open.
  std::optional<broker::Holder> at(const std::string& peer) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Replica, std::less<>> replicas_;
};

}  // namespace jobmill::app
