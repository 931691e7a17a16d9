// SPDX-License-Identifier: Apache-2.0
#include "scale/executions.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace jobmill::scale {
namespace {

constexpr std::int64_t kDefaultMax = 100;
constexpr std::int64_t kDefaultHistory = 100;

std::optional<double> percentage_of(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

// Cut towards zero. A double holds whole numbers up to here without gaps.
std::int64_t whole(double value) {
  constexpr double kMost = 9e15;
  return static_cast<std::int64_t>(std::clamp(value, -kMost, kMost));
}

StrategyResult custom(const StrategyInput& in) {
  const auto share = percentage_of(in.percentage);
  if (!share) return {in.max_scale - in.running, in.scale_to};
  const std::int64_t busy = whole(static_cast<double>(in.running) * *share);
  return {std::min(in.max_scale - in.deduction.value_or(0) - busy, in.max), in.scale_to};
}

StrategyResult accurate(const StrategyInput& in) {
  const bool over = in.max_scale + in.running - in.pending > in.max;
  return {over ? in.max - in.running : in.max_scale - in.pending, in.scale_to};
}

bool votes(const JobTrigger& trigger) { return trigger.active && trigger.error.empty(); }

double scale_of(const JobTrigger& trigger, const JobBounds& bounds) {
  if (trigger.target == 0) return 0;
  return std::min(trigger.queue_length / trigger.target, static_cast<double>(bounds.max));
}

// max passes over an active trigger whose queue is empty; min takes a smallest queue of 0 for "none
// yet", so that the next trigger replaces it. Both are KEDA's, and job counts depend on them.
int choose(JobCombination combination, const std::vector<JobTrigger>& triggers) {
  const bool smallest = combination == JobCombination::Min;
  int chosen = -1;
  double length = 0;
  for (std::size_t i = 0; i < triggers.size(); ++i) {
    if (!votes(triggers[i])) continue;
    const double own = triggers[i].queue_length;
    if (smallest ? length != 0 && own >= length : own <= length) continue;
    chosen = static_cast<int>(i);
    length = own;
  }
  return chosen;
}

JobDemand of_one(JobCombination combination, const std::vector<JobTrigger>& triggers,
                 const JobBounds& bounds) {
  JobDemand demand;
  demand.chosen = choose(combination, triggers);
  demand.active = demand.chosen >= 0;
  if (!demand.active) return demand;
  const JobTrigger& trigger = triggers[static_cast<std::size_t>(demand.chosen)];
  demand.queue_length = trigger.queue_length;
  demand.max_scale = scale_of(trigger, bounds);
  return demand;
}

JobDemand of_all(JobCombination combination, const std::vector<JobTrigger>& triggers,
                 const JobBounds& bounds) {
  JobDemand demand;
  int voters = 0;
  for (const JobTrigger& trigger : triggers) {
    if (!votes(trigger)) continue;
    ++voters;
    demand.queue_length += trigger.queue_length;
    demand.max_scale += scale_of(trigger, bounds);
  }
  demand.active = voters > 0;
  if (combination == JobCombination::Sum || voters == 0) return demand;
  demand.queue_length /= voters;
  demand.max_scale /= voters;
  return demand;
}

void add_surplus(std::vector<FinishedJob> jobs, FinishedJob::Result result,
                 std::optional<std::int64_t> keep, std::vector<std::string>& names) {
  std::erase_if(jobs, [&](const FinishedJob& job) { return job.result != result; });
  std::ranges::stable_sort(jobs, {}, &FinishedJob::completed_at);
  const std::int64_t kept = std::max<std::int64_t>(keep.value_or(kDefaultHistory), 0);
  for (std::int64_t i = 0; i < std::ssize(jobs) - kept; ++i)
    names.push_back(jobs[static_cast<std::size_t>(i)].name);
}

bool has_all(const JobPod& pod, const std::vector<std::string>& conditions) {
  return std::ranges::all_of(conditions, [&](const std::string& wanted) {
    return std::ranges::find(pod.conditions, wanted) != pod.conditions.end();
  });
}

bool is_working(const JobPod& pod) { return pod.phase == "Running" || pod.phase == "Succeeded"; }

}  // namespace

JobBounds job_bounds(std::optional<std::int64_t> min, std::optional<std::int64_t> max) {
  const bool over = min && max && *min > *max;
  JobBounds bounds;
  bounds.min = over ? *max : min.value_or(0);
  bounds.max = !max ? kDefaultMax : over ? *max : *max - bounds.min;
  return bounds;
}

double job_target(const std::vector<std::optional<double>>& targets) {
  double sum = 0;
  for (const auto& target : targets) sum += target.value_or(0);
  return targets.empty() ? 0 : sum / static_cast<double>(targets.size());
}

JobDemand combine(JobCombination combination, const std::vector<JobTrigger>& triggers,
                  const JobBounds& bounds) {
  const bool one = combination == JobCombination::Max || combination == JobCombination::Min;
  JobDemand demand =
      one ? of_one(combination, triggers, bounds) : of_all(combination, triggers, bounds);
  demand.active |= bounds.min > 0;
  demand.max_scale = std::min(demand.max_scale, static_cast<double>(bounds.max));
  return demand;
}

StrategyResult apply_strategy(const StrategyInput& in) {
  switch (in.strategy) {
    case JobStrategy::Custom:
      return custom(in);
    case JobStrategy::Accurate:
      return accurate(in);
    case JobStrategy::Eager:
      return {std::min(in.max - in.running - in.pending, in.max_scale), in.max};
    case JobStrategy::Default:
      break;
  }
  return {in.max_scale - in.running, in.scale_to};
}

bool is_pending(const std::vector<std::string>& conditions, const std::vector<JobPod>& pods,
                bool finished) {
  if (finished) return false;
  if (conditions.empty()) return std::ranges::none_of(pods, is_working);
  return std::ranges::none_of(pods, [&](const JobPod& pod) { return has_all(pod, conditions); });
}

std::vector<std::string> jobs_to_delete(const std::vector<FinishedJob>& jobs,
                                        std::optional<std::int64_t> keep_succeeded,
                                        std::optional<std::int64_t> keep_failed) {
  std::vector<std::string> names;
  add_surplus(jobs, FinishedJob::Result::Complete, keep_succeeded, names);
  add_surplus(jobs, FinishedJob::Result::Failed, keep_failed, names);
  return names;
}

}  // namespace jobmill::scale
