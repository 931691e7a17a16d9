// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"
#include "k8s/client.h"
#include "manifest/object.h"

namespace jobmill::app {

// Events on objects of a cluster, as `kubectl describe` shows them. The same words of the same
// object are told again only after ten minutes. On the client's thread.
class ClusterEvents {
 public:
  enum class Type { Normal, Warning };

  ClusterEvents(k8s::Client& client, const Clock& clock, Log& log)
      : client_(client), clock_(clock), log_(log) {}

  // `object`: the one that it is about, with apiVersion, kind, metadata.
  void tell(const Node& object, Type type, std::string_view reason, const std::string& message);

 private:
  k8s::Client& client_;
  const Clock& clock_;
  Log& log_;
  std::set<std::string> told_;
  std::deque<std::pair<TimePoint, std::string>> when_;  // in the order of telling
};

}  // namespace jobmill::app
