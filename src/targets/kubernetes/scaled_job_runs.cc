// SPDX-License-Identifier: Apache-2.0
#include "targets/kubernetes/scaled_job_runs.h"

#include <algorithm>
#include <iterator>

namespace jobmill::targets {

using manifest::ObjectKey;

namespace {

ObjectKey key_of(const JobState& job) { return {"ScaledJob", job.ns, job.scaled_job}; }

}  // namespace

ScaledJobRuns::Changed ScaledJobRuns::owners_of(const Name& job) const {
  const auto owner = owners_.find(job);
  return owner != owners_.end() ? Changed{owner->second} : Changed{};
}

ScaledJobRuns::Changed ScaledJobRuns::jobs_listed(const std::vector<Node>& jobs) {
  Changed changed;
  for (const auto& [key, own] : jobs_) changed.insert(key);
  jobs_.clear();
  owners_.clear();
  for (const Node& job : jobs) changed.merge(job_put(job));
  jobs_known_ = true;
  return changed;
}

ScaledJobRuns::Changed ScaledJobRuns::job_put(const Node& job) {
  JobState state = read_job(job);
  if (state.scaled_job.empty()) return job_removed(job);  // its label was taken away
  const ObjectKey key = key_of(state);
  owners_.insert_or_assign({state.ns, state.name}, key);
  jobs_[key].insert_or_assign(state.name, std::move(state));
  return {key};
}

ScaledJobRuns::Changed ScaledJobRuns::job_removed(const Node& job) {
  const JobState state = read_job(job);
  const Changed changed = owners_of({state.ns, state.name});
  for (const ObjectKey& key : changed) {
    jobs_[key].erase(state.name);
    if (jobs_[key].empty()) jobs_.erase(key);
  }
  owners_.erase({state.ns, state.name});
  return changed;
}

ScaledJobRuns::Changed ScaledJobRuns::pods_listed(const std::vector<Node>& pods) {
  Changed changed;
  for (const auto& [key, own] : jobs_) changed.insert(key);
  pods_.clear();
  for (const Node& pod : pods) put_pod(read_pod(pod));
  pods_known_ = true;
  return changed;
}

void ScaledJobRuns::put_pod(PodState pod) {
  if (!pod.job.empty()) pods_[{pod.ns, pod.job}].insert_or_assign(pod.name, std::move(pod.pod));
}

ScaledJobRuns::Changed ScaledJobRuns::pod_put(const Node& pod) {
  PodState state = read_pod(pod);
  const Name job{state.ns, state.job};
  put_pod(std::move(state));
  return owners_of(job);
}

ScaledJobRuns::Changed ScaledJobRuns::pod_removed(const Node& pod) {
  const PodState state = read_pod(pod);
  const Name job{state.ns, state.job};
  const auto own = pods_.find(job);
  if (own == pods_.end()) return {};
  own->second.erase(state.name);
  if (own->second.empty()) pods_.erase(own);
  return owners_of(job);
}

ScaledJobRuns::Counts ScaledJobRuns::counts(const ObjectKey& scaled_job,
                                            const std::vector<std::string>& conditions) const {
  Counts counts;
  const auto own = jobs_.find(scaled_job);
  if (own == jobs_.end()) return counts;
  for (const auto& [name, job] : own->second) {
    if (job.finished()) continue;
    std::vector<scale::JobPod> pods;
    if (const auto found = pods_.find({job.ns, name}); found != pods_.end())
      for (const auto& [pod, state] : found->second) pods.push_back(state);
    ++counts.unfinished;
    counts.pending += scale::is_pending(conditions, pods, false) ? 1 : 0;
  }
  return counts;
}

std::vector<std::string> ScaledJobRuns::surplus(const ObjectKey& scaled_job,
                                                const History& history) const {
  std::vector<scale::FinishedJob> finished;
  if (const auto own = jobs_.find(scaled_job); own != jobs_.end())
    for (const auto& [name, job] : own->second)
      if (job.finished() && !job.leaving) finished.push_back({name, job.ended_at, job.result});
  return scale::jobs_to_delete(finished, history.succeeded, history.failed);
}

std::vector<std::string> ScaledJobRuns::of_other_generations(const ObjectKey& scaled_job,
                                                             std::int64_t generation) const {
  std::vector<std::string> names;
  if (const auto own = jobs_.find(scaled_job); own != jobs_.end())
    for (const auto& [name, job] : own->second)
      if (job.generation != generation && !job.leaving) names.push_back(name);
  return names;
}

}  // namespace jobmill::targets
