// SPDX-License-Identifier: Apache-2.0
#include "app/replica_name.h"

namespace jobmill::app {

ReplicaName read_replica_name(std::string_view replica) {
  constexpr std::string_view kInNamespaces = "abcdefghijklmnopqrstuvwxyz0123456789-";
  const auto slash = replica.find('/');
  if (slash == std::string_view::npos) return {.ns = {}, .name = replica};
  const std::string_view ns = replica.substr(0, slash);
  const bool is_one = ns.find_first_not_of(kInNamespaces) == std::string_view::npos;
  return {.ns = is_one ? ns : std::string_view(), .name = replica.substr(slash + 1)};
}

}  // namespace jobmill::app
