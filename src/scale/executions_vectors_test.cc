// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include <doctest/doctest.h>

#include "scale/executions.h"
#include "vectors.h"

namespace jobmill::scale {
namespace {

using testing::flag;
using testing::has;
using testing::member;
using testing::number;
using testing::text;

std::int64_t integer(const Node& node, std::string_view key) {
  return std::llround(number(node, key));
}

std::int64_t rounded_up(double value) { return std::llround(std::ceil(value)); }

std::optional<std::int64_t> limit(const Node& node, std::string_view key) {
  if (!has(node, key)) return std::nullopt;
  return integer(node, key);
}

// Words that nobody knows are the defaults.
JobCombination combination(const std::string& word) {
  if (word == "min") return JobCombination::Min;
  if (word == "avg") return JobCombination::Avg;
  return word == "sum" ? JobCombination::Sum : JobCombination::Max;
}

JobStrategy strategy(const std::string& word) {
  if (word == "custom") return JobStrategy::Custom;
  if (word == "accurate") return JobStrategy::Accurate;
  return word == "eager" ? JobStrategy::Eager : JobStrategy::Default;
}

JobTrigger trigger(const Node& in, std::string_view active) {
  return {"queue-rule",
          "azure-servicebus",
          number(in, "queueLength"),
          number(in, "targetAverageValue"),
          flag(in, active),
          ""};
}

FinishedJob finished(const Node& in) {
  const std::string result = text(in, "result");
  return {text(in, "name"), text(in, "completedAt"),
          result == "Complete" ? FinishedJob::Result::Complete
          : result == "Failed" ? FinishedJob::Result::Failed
                               : FinishedJob::Result::Running};
}

std::vector<std::string> texts(const Node& list) {
  std::vector<std::string> out;
  for (const Node& item : list.items) out.push_back(item.text);
  return out;
}

std::vector<JobPod> pods(const Node& list) {
  std::vector<JobPod> out;
  for (const Node& item : list.items) {
    out.push_back({testing::text_or(item, "phase", ""), {}});
    if (has(item, "conditions")) out.back().conditions = texts(member(item, "conditions"));
  }
  return out;
}

void check_decision(const Node& in, const Node& expect) {
  ExecutionsInput input;
  input.semantics = JobSemantics::Keda;
  input.min = limit(in, "min");
  input.max = limit(in, "max");
  input.unfinished = integer(in, "runningJobs");
  input.pending = integer(in, "pendingJobs");
  input.triggers = {trigger(in, "scalerActive")};
  input.strategy = strategy(text(in, "strategy"));
  input.deduction = limit(in, "deduction");
  input.percentage = testing::text_or(in, "percentage", "");

  const JobBounds bounds = job_bounds(input.min, input.max);
  const JobDemand demand = combine(JobCombination::Max, input.triggers, bounds);
  CHECK(demand.active == flag(expect, "active"));
  CHECK(rounded_up(demand.queue_length) == integer(expect, "queueLength"));
  CHECK(rounded_up(demand.max_scale) == integer(expect, "maxScale"));
  CHECK(decide_executions(input).total() == integer(expect, "jobsCreated"));
}

}  // namespace

TEST_CASE("executions: vectors of the bounds") {
  for (const Node& vector : testing::vectors("autoscaler/scaledjob_bounds.json")) {
    CAPTURE(text(vector, "id"));
    const Node& in = member(vector, "in");
    const JobBounds bounds = job_bounds(limit(in, "min"), limit(in, "max"));
    CHECK(bounds.min == integer(member(vector, "expect"), "effectiveMin"));
    CHECK(bounds.max == integer(member(vector, "expect"), "effectiveMax"));
  }
}

TEST_CASE("executions: vectors of the target per execution") {
  for (const Node& vector : testing::vectors("autoscaler/job_target_average.json")) {
    CAPTURE(text(vector, "id"));
    std::vector<std::optional<double>> targets;
    for (const Node& value : member(member(vector, "in"), "averageValues").items)
      targets.push_back(value.as_double());
    const double expected = number(member(vector, "expect"), "target");
    CHECK(job_target(targets) == doctest::Approx(expected).epsilon(1e-9));
  }
}

TEST_CASE("executions: vectors of several triggers") {
  for (const Node& vector : testing::vectors("autoscaler/job_multi_scaler.json")) {
    CAPTURE(text(vector, "id"));
    const Node& in = member(vector, "in");
    const Node& expect = member(vector, "expect");
    std::vector<JobTrigger> triggers;
    for (const Node& item : member(in, "scalers").items)
      triggers.push_back(trigger(item, "active"));
    const JobDemand demand = combine(combination(text(in, "combination")), triggers,
                                     {integer(in, "effectiveMin"), integer(in, "effectiveMax")});
    CHECK(demand.active == flag(expect, "active"));
    CHECK(rounded_up(demand.queue_length) == integer(expect, "queueLength"));
    CHECK(rounded_up(demand.max_scale) == integer(expect, "maxScale"));
  }
}

TEST_CASE("executions: vectors of the strategies") {
  for (const Node& vector : testing::vectors("autoscaler/job_strategy.json")) {
    CAPTURE(text(vector, "id"));
    const Node& in = member(vector, "in");
    const StrategyResult result =
        apply_strategy({.strategy = strategy(text(in, "strategy")),
                        .max_scale = integer(in, "maxScale"),
                        .running = integer(in, "running"),
                        .pending = integer(in, "pending"),
                        .max = integer(in, "maxReplicaCount"),
                        .scale_to = integer(in, "scaleTo"),
                        .deduction = limit(in, "deduction"),
                        .percentage = testing::text_or(in, "percentage", "")});
    CHECK(result.effective == integer(member(vector, "expect"), "effectiveMaxScale"));
    CHECK(result.scale_to == integer(member(vector, "expect"), "scaleTo"));
  }
}

TEST_CASE("executions: vectors of whole decisions") {
  for (const Node& vector : testing::vectors("autoscaler/scaled_job_decision.json")) {
    CAPTURE(text(vector, "id"));
    check_decision(member(vector, "in"), member(vector, "expect"));
  }
}

TEST_CASE("executions: vectors of pending jobs") {
  for (const Node& vector : testing::vectors("autoscaler/job_pending.json")) {
    CAPTURE(text(vector, "id"));
    const Node& in = member(vector, "in");
    const bool pending = is_pending(texts(member(in, "pendingPodConditions")),
                                    pods(member(in, "pods")), flag(in, "jobFinished"));
    CHECK(int{pending} == integer(member(vector, "expect"), "pending"));
  }
}

TEST_CASE("executions: vectors of the history") {
  for (const Node& vector : testing::vectors("autoscaler/job_history.json")) {
    CAPTURE(text(vector, "id"));
    const Node& in = member(vector, "in");
    std::vector<FinishedJob> jobs;
    for (const Node& item : member(in, "jobs").items) jobs.push_back(finished(item));
    const auto deleted =
        jobs_to_delete(jobs, limit(in, "successfulLimit"), limit(in, "failedLimit"));
    CHECK(deleted == texts(member(member(vector, "expect"), "deleted")));
  }
}

}  // namespace jobmill::scale
