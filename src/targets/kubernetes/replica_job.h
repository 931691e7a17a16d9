// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/document.h"
#include "executions/runner.h"

// A replica of an execution as a Job of a cluster that runs one pod once, and what this pod tells.
// Pure functions.
namespace jobmill::targets {

inline constexpr std::string_view kReplicaLabel = "jobmill/replica";
// Of the server whose replica it is: others leave it alone.
inline constexpr std::string_view kServerLabel = "jobmill/server";

struct ReplicaJobOptions {
  std::string ns;
  std::string server;   // value of kServerLabel
  std::string address;  // of this server, seen from pods: that of its local names; empty: none
};

struct ReplicaJob {
  Node job;
  // Has the variables that have secrets in them, by which the pod refers to it: who may read pods
  // need not see them. Has to be there before the Job is.
  std::optional<Node> secret;
};

// All have the replica's name. The time-out of the pod is later than the replica's: it is for when
// this server is gone.
ReplicaJob make_replica_job(const executions::RunReplica& replica,
                            const ReplicaJobOptions& options);

// Whose the Secret is, as a patch: it goes with the Job.
Node owned_by_job(const Node& job);

// What a pod of such a Job says.
struct ReplicaPod {
  std::string name;
  std::string replica;             // by its label; empty: it is none
  std::vector<std::string> begun;  // containers that run, or did
  std::vector<std::string> over;   // of them
  bool leaving = false;            // it is being deleted
  // It does not come up, and why: "ImageNotRunnable: …". Empty: it may.
  std::string obstacle = {};
  std::optional<executions::ReplicaEnd> end;  // of all its containers
};
ReplicaPod read_replica_pod(const Node& pod);

// A Job that has failed without a pod: why. Empty: it has not.
std::string failure_of_job(const Node& job);
std::string execution_of(const Node& job);  // by its label

}  // namespace jobmill::targets
