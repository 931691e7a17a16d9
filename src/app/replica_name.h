// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace jobmill::app {

// What a worker says with JOBMILL_REPLICA: NAMESPACE/POD, or a name alone, which may be in any
// namespace. It borrows the text.
struct ReplicaName {
  std::string_view ns;  // empty: not said
  std::string_view name;

  bool may_be_in(std::string_view where) const { return ns.empty() || ns == where; }
  bool operator==(const ReplicaName&) const = default;
};

// What cannot be a namespace says nothing: Kubernetes leaves $(POD_NAMESPACE) as it is where no
// such variable was declared before, and a worker that nobody knows would be taken for idle.
ReplicaName read_replica_name(std::string_view replica);

}  // namespace jobmill::app
