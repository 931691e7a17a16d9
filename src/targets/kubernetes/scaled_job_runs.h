// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/document.h"
#include "manifest/object.h"
#include "targets/kubernetes/job_object.h"

namespace jobmill::targets {

// The Jobs of a cluster that ScaledJobs started, with their pods, as watches tell of them. Knows of
// each ScaledJob how many of its Jobs run and wait, and which of them are one too many.
// Synchronous; does no I/O.
class ScaledJobRuns {
 public:
  struct Counts {
    int unfinished = 0;
    int pending = 0;  // of them
    bool operator==(const Counts&) const = default;
  };
  struct History {
    int succeeded = 100;
    int failed = 100;
  };
  // Whose Jobs or pods are other ones now.
  using Changed = std::set<manifest::ObjectKey>;

  // A list is all that there is.
  Changed jobs_listed(const std::vector<Node>& jobs);
  Changed job_put(const Node& job);
  Changed job_removed(const Node& job);
  Changed pods_listed(const std::vector<Node>& pods);
  Changed pod_put(const Node& pod);
  Changed pod_removed(const Node& pod);
  // Counts cannot be told before both were.
  bool listed() const { return jobs_known_ && pods_known_; }

  // `conditions`: pendingPodConditions.
  Counts counts(const manifest::ObjectKey& scaled_job,
                const std::vector<std::string>& conditions) const;

  // Names of those that can be deleted, oldest first. What is on its way out is none of them.
  std::vector<std::string> surplus(const manifest::ObjectKey& scaled_job,
                                   const History& history) const;
  std::vector<std::string> of_other_generations(const manifest::ObjectKey& scaled_job,
                                                std::int64_t generation) const;

 private:
  using Name = std::pair<std::string, std::string>;  // namespace, name

  Changed owners_of(const Name& job) const;
  void put_pod(PodState pod);

  std::map<manifest::ObjectKey, std::map<std::string, JobState>> jobs_;  // by ScaledJob and name
  std::map<Name, manifest::ObjectKey> owners_;                           // by Job
  std::map<Name, std::map<std::string, scale::JobPod>> pods_;            // by Job and name
  bool jobs_known_ = false;
  bool pods_known_ = false;
};

}  // namespace jobmill::targets
