// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace jobmill::targets {

struct ReplicaLeader {
  std::string replica;
  pid_t pid = 0;  // leads a session
};

// Which replica opened the connection that comes from `peer` ("127.0.0.1:40312", "[::1]:40312"):
// the one whose session has a process that holds the socket. Nothing when there is none, or a
// doubt, or the connection is gone. Looks through /proc: a few milliseconds.
std::optional<std::string> replica_of_socket(std::string_view peer,
                                             std::span<const ReplicaLeader> leaders);

}  // namespace jobmill::targets
