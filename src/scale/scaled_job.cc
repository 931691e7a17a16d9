// SPDX-License-Identifier: Apache-2.0
#include "scale/scaled_job.h"

#include <array>

#include "scale/spec_fields.h"

namespace jobmill::scale {
namespace {

using manifest::Fields;
using manifest::Problems;

// In the order of the enums.
constexpr std::array<std::string_view, 4> kStrategies{"default", "custom", "accurate", "eager"};
constexpr std::array<std::string_view, 4> kCombinations{"max", "min", "avg", "sum"};
constexpr std::array<std::string_view, 2> kOldRollouts{"immediate", "gradual"};
constexpr std::array<std::string_view, 3> kRollouts{"immediate", "gradual", "default"};
constexpr std::array<std::string_view, 2> kPropagations{"background", "foreground"};

// Some fields may be written, and empty.
std::optional<std::size_t> word_or_empty(Fields& fields, std::string_view key,
                                         std::span<const std::string_view> words) {
  const Node* node = fields.any(key);
  if (node && node->is_string() && node->text.empty()) return std::nullopt;
  return fields.word(key, words);
}

void decode_job(Fields& fields, ScaledJobSpec& spec) {
  const Node* node = fields.any("jobTargetRef");
  if (!node) return fields.error("jobTargetRef", "required, and missing");
  spec.job = manifest::decode_job_spec(*node, fields.path_to("jobTargetRef"), fields.problems());
}

void decode_rollout(Fields& fields, ScaledJobSpec& spec) {
  fields.object("rollout", [&](Fields& rollout) {
    const bool gradual = word_or_empty(rollout, "strategy", kRollouts) == 1;
    spec.rollout = gradual ? Rollout::Gradual : Rollout::Immediate;
    spec.foreground = word_or_empty(rollout, "propagationPolicy", kPropagations) == 1;
  });
  // The older name wins, as with KEDA.
  if (const auto old = word_or_empty(fields, "rolloutStrategy", kOldRollouts))
    spec.rollout = Rollout(*old);
}

void decode_strategy(Fields& fields, ScaledJobSpec& spec) {
  if (const auto strategy = word_or_empty(fields, "strategy", kStrategies))
    spec.strategy = JobStrategy(*strategy);
  spec.deduction = fields.integer("customScalingQueueLengthDeduction");
  spec.percentage = fields.text("customScalingRunningJobPercentage");
  spec.combination = JobCombination(
      word_or_empty(fields, "multipleScalersCalculation", kCombinations).value_or(0));
  spec.pending_conditions = fields.text_list("pendingPodConditions");
  if (spec.pending_conditions.empty()) return;
  fields.problems().note(*fields.node().find("pendingPodConditions"),
                         fields.path_to("pendingPodConditions") +
                             ": no effect; without pods a job is pending until its process runs");
}

Trigger decode_job_trigger(Fields& fields) {
  Trigger trigger = decode_trigger(fields);
  if (!trigger.metric_type.empty())
    fields.error("metricType", "not for a ScaledJob, not even " + json_quote("AverageValue"));
  if (trigger.use_cached_metrics)
    fields.problems().note(*fields.node().find("useCachedMetrics"),
                           fields.path_to("useCachedMetrics") + ": no effect for a ScaledJob");
  trigger.use_cached_metrics = false;
  return trigger;
}

void decode_spec(Fields& fields, ScaledJobSpec& spec) {
  decode_job(fields, spec);
  spec.polling_interval = fields.seconds("pollingInterval", kPositive);
  spec.successful_history =
      fields.integer("successfulJobsHistoryLimit", kNotNegative).value_or(spec.successful_history);
  spec.failed_history =
      fields.integer("failedJobsHistoryLimit", kNotNegative).value_or(spec.failed_history);
  decode_rollout(fields, spec);
  spec.min_replicas = fields.integer("minReplicaCount", kNotNegative);
  spec.max_replicas = fields.integer("maxReplicaCount", kPositive);
  fields.object("scalingStrategy", [&](Fields& f) { decode_strategy(f, spec); });
  fields.each("triggers", [&](Fields& f) { spec.triggers.push_back(decode_job_trigger(f)); });
  spec.env_source_container = fields.text("envSourceContainerName");
  if (!spec.job.containers.empty() &&
      !manifest::find_container(spec.job.containers, spec.env_source_container))
    fields.error("envSourceContainerName",
                 "no container has the name " + json_quote(spec.env_source_container));
}

std::optional<JobSemantics> decode_semantics(const manifest::Object& object, Problems& problems) {
  const std::string* text = find_text(object.annotations, kSemantics);
  if (!text) return std::nullopt;
  if (*text == "bound") return JobSemantics::Bound;
  if (*text != "keda")
    problems.error(object.document, "annotation " + std::string(kSemantics) +
                                        ": expected bound or keda, found " + json_quote(*text));
  return JobSemantics::Keda;
}

}  // namespace

ScaledJobSpec decode_scaled_job(const manifest::Object& object, Problems& problems) {
  ScaledJobSpec spec;
  spec.key = object.key;
  spec.paused = is_asked_for(find_text(object.annotations, kPaused));
  spec.semantics = decode_semantics(object, problems);
  decode_document(object, problems, [&](Fields& fields) { decode_spec(fields, spec); });
  if (!problems.ok()) return spec;

  const Node& at = member_or_self(object.document, "spec");
  report(check_triggers(spec.triggers), member_or_self(at, "triggers"), problems);
  return spec;
}

}  // namespace jobmill::scale
