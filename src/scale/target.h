// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace jobmill::scale {

// starting: runs, but is not ready. draining: takes no new work and leaves when it is done; no
// longer counted as a replica. Ended replicas are not listed.
enum class ReplicaPhase { Starting, Ready, Draining };

struct Replica {
  std::string name;  // jobrunr-example-x7k2p
  ReplicaPhase phase = ReplicaPhase::Starting;
  TimePoint started{};
  int restarts = 0;
  std::int64_t pid = 0;
  std::string detail;  // "waits 4 s before it starts again (exit code 1)", or empty
};

struct ReplicaCounts {
  int starting = 0;
  int ready = 0;
  int draining = 0;
  int current() const { return starting + ready; }
};

// What is scaled: a Deployment's local processes, or a workload of Kubernetes. Each has one wanted
// number and works towards it by itself; how it shrinks without interrupting work is its affair.
class ScaleTarget {
 public:
  virtual ~ScaleTarget() = default;
  virtual int wanted() const = 0;
  virtual void scale_to(int replicas) = 0;
  virtual ReplicaCounts counts() const = 0;
  virtual std::vector<Replica> replicas() const = 0;
};

}  // namespace jobmill::scale
