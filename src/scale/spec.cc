// SPDX-License-Identifier: Apache-2.0
#include "scale/spec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "manifest/fields.h"
#include "manifest/quantity.h"
#include "scale/spec_fields.h"

namespace jobmill::scale {
namespace {

using manifest::Fields;
using manifest::IntegerRange;
using manifest::Problems;
using manifest::Texts;

constexpr std::string_view kPausedReplicas = "autoscaling.keda.sh/paused-replicas";
constexpr std::string_view kPausedIn = "autoscaling.keda.sh/paused-scale-in";
constexpr std::string_view kPausedOut = "autoscaling.keda.sh/paused-scale-out";
constexpr std::string_view kForce = "autoscaling.keda.sh/force-activation";

std::optional<int> integer_of(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  int value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

// `behavior` ---------------------------------------------------------------------------------

ScalingPolicy decode_policy(Fields& fields) {
  constexpr std::array<std::string_view, 2> kTypes{"Pods", "Percent"};
  ScalingPolicy policy;
  if (!fields.has("type")) fields.error("type", "required, and missing");
  policy.type = static_cast<PolicyType>(fields.word("type", kTypes).value_or(0));
  policy.value = fields.required_integer("value", kPositive).value_or(1);
  const IntegerRange half_hour{.least = 1, .most = 1800};
  fields.required_integer("periodSeconds", half_hour);
  policy.period = fields.seconds("periodSeconds", half_hour).value_or(policy.period);
  return policy;
}

std::optional<double> decode_tolerance(Fields& fields) {
  const Node* node = fields.any("tolerance");
  if (!node) return std::nullopt;
  const auto quantity = manifest::Quantity::parse(node->text);
  if (quantity && quantity->to_double() >= 0) return quantity->to_double();
  fields.error("tolerance", "expected a quantity that is not negative, such as 0.1");
  return std::nullopt;
}

ScalingRules decode_rules(Fields& fields) {
  constexpr std::array<std::string_view, 3> kSelects{"Max", "Min", "Disabled"};
  ScalingRules rules;
  rules.stabilization_window =
      fields.seconds("stabilizationWindowSeconds", {.least = 0, .most = 3600});
  if (const auto select = fields.word("selectPolicy", kSelects))
    rules.select = static_cast<SelectPolicy>(*select);
  fields.each("policies", [&](Fields& f) { rules.policies.push_back(decode_policy(f)); });
  rules.tolerance = decode_tolerance(fields);
  return rules;
}

Behavior decode_behavior(Fields& fields) {
  Behavior behavior;
  fields.object("scaleUp", [&](Fields& f) { behavior.scale_up = decode_rules(f); });
  fields.object("scaleDown", [&](Fields& f) { behavior.scale_down = decode_rules(f); });
  return behavior;
}

// The rest of a ScaledObject -----------------------------------------------------------------

ScaleTargetRef decode_target(Fields& fields) {
  ScaleTargetRef target;
  target.name = fields.required_text("name");
  if (const auto kind = fields.text("kind"); !kind.empty()) target.kind = kind;
  if (const auto version = fields.text("apiVersion"); !version.empty())
    target.api_version = version;
  target.env_source_container = fields.text("envSourceContainerName");
  return target;
}

void decode_advanced(Fields& fields, ScaledObjectSpec& spec) {
  spec.restore_to_original_replicas =
      fields.boolean("restoreToOriginalReplicaCount").value_or(false);
  fields.object("horizontalPodAutoscalerConfig", [&](Fields& hpa) {
    spec.hpa_name = hpa.text("name");
    hpa.object("behavior", [&](Fields& f) { spec.behavior = decode_behavior(f); });
  });
  fields.not_supported_yet({"scalingModifiers"});
}

void decode_spec(Fields& fields, ScaledObjectSpec& spec) {
  fields.required_object("scaleTargetRef", [&](Fields& f) { spec.target = decode_target(f); });
  spec.polling_interval = fields.seconds("pollingInterval", kPositive);
  spec.cooldown_period = fields.seconds("cooldownPeriod");
  spec.initial_cooldown_period =
      fields.seconds("initialCooldownPeriod").value_or(spec.initial_cooldown_period);
  spec.idle_replicas = fields.integer("idleReplicaCount", kNotNegative);
  spec.min_replicas = fields.integer("minReplicaCount", kNotNegative);
  spec.max_replicas = fields.integer("maxReplicaCount", kPositive);
  fields.object("advanced", [&](Fields& f) { decode_advanced(f, spec); });
  fields.each("triggers", [&](Fields& f) { spec.triggers.push_back(decode_trigger(f)); });
  fields.not_supported_yet({"fallback"});
}

Semantics decode_semantics(const manifest::Object& object, Problems& problems) {
  const std::string* text = find_text(object.annotations, kSemantics);
  if (!text || *text == "direct") return Semantics::Direct;
  if (*text != "keda")
    problems.error(object.document, "annotation " + std::string(kSemantics) +
                                        ": expected direct or keda, found " + json_quote(*text));
  return Semantics::Keda;
}

// TriggerAuthentication ----------------------------------------------------------------------

TriggerAuthenticationSpec::Reference decode_reference(Fields& fields) {
  TriggerAuthenticationSpec::Reference reference;
  reference.parameter = fields.required_text("parameter");
  reference.name = fields.required_text("name");
  reference.key = fields.required_text("key");
  return reference;
}

TriggerAuthenticationSpec::Variable decode_variable(Fields& fields) {
  TriggerAuthenticationSpec::Variable variable;
  variable.parameter = fields.required_text("parameter");
  variable.name = fields.required_text("name");
  variable.container = fields.text("containerName");
  return variable;
}

// "none" is what an object without the block has.
void decode_pod_identity(Fields& fields) {
  const std::string provider = fields.required_text("provider");
  fields.accept({"identityAuthorityHost", "identityId", "identityOwner", "identityTenantId",
                 "roleArn", "externalID"});
  if (provider != "none" && !provider.empty())
    fields.error("provider", json_quote(provider) + " is not supported yet");
}

void decode_authentication(Fields& fields, TriggerAuthenticationSpec& spec) {
  fields.each("secretTargetRef", [&](Fields& f) { spec.secrets.push_back(decode_reference(f)); });
  fields.each("configMapTargetRef",
              [&](Fields& f) { spec.config_maps.push_back(decode_reference(f)); });
  fields.each("env", [&](Fields& f) { spec.env.push_back(decode_variable(f)); });
  fields.object("podIdentity", decode_pod_identity);
  fields.not_supported_yet({"awsSecretManager", "azureKeyVault", "boundServiceAccountToken",
                            "filePath", "gcpSecretManager", "hashiCorpVault", "oauth2"});
}

// The bounds as sentences need them.
std::string shown(std::optional<int> value, std::string_view otherwise) {
  return value ? std::to_string(*value) : std::string(otherwise);
}

Fault refused(std::string text) { return fail(Code::InvalidArgument, std::move(text)); }

bool is_one_of(std::string_view text, std::span<const std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

std::string hpa_name_of(const ScaledObjectSpec& spec) {
  return spec.hpa_name.empty() ? "keda-hpa-" + spec.key.name : spec.hpa_name;
}

}  // namespace

Pause read_pause(const Texts& annotations) {
  Pause pause;
  const std::string* replicas = find_text(annotations, kPausedReplicas);
  if (replicas) pause.replicas = integer_of(*replicas);
  pause.replicas_error = replicas && !pause.replicas;
  pause.paused = replicas || is_asked_for(find_text(annotations, kPaused));
  pause.has_paused = replicas || find_text(annotations, kPaused);
  pause.in = is_asked_for(find_text(annotations, kPausedIn));
  pause.out = is_asked_for(find_text(annotations, kPausedOut));
  pause.force = is_asked_for(find_text(annotations, kForce));
  return pause;
}

ScaledObjectSpec decode_scaled_object(const manifest::Object& object, Problems& problems) {
  ScaledObjectSpec spec;
  spec.key = object.key;
  spec.pause = read_pause(object.annotations);
  spec.semantics = decode_semantics(object, problems);
  decode_document(object, problems, [&](Fields& fields) { decode_spec(fields, spec); });
  if (!problems.ok()) return spec;

  const Node& at = member_or_self(object.document, "spec");
  report(check_replica_bounds(spec.min_replicas, spec.max_replicas, spec.idle_replicas), at,
         problems);
  report(check_triggers(spec.triggers), member_or_self(at, "triggers"), problems);
  report(check_names(spec), member_or_self(object.document, "metadata"), problems);
  for (std::string& warning : warnings_of(spec)) problems.note(at, std::move(warning));
  return spec;
}

TriggerAuthenticationSpec decode_trigger_authentication(const manifest::Object& object,
                                                        Problems& problems) {
  TriggerAuthenticationSpec spec;
  decode_document(object, problems, [&](Fields& fields) { decode_authentication(fields, spec); });
  return spec;
}

Status check_replica_bounds(std::optional<int> min, std::optional<int> max,
                            std::optional<int> idle) {
  // A written minimum of 0 counts as 1 here: the arithmetic never answers less.
  const int least = min ? std::max(*min, 1) : 0;
  if (least > max.value_or(100))
    return refused("minReplicaCount " + shown(min, "0") + " is above maxReplicaCount " +
                   shown(max, "100"));
  if (idle && *idle >= least)
    return refused("idleReplicaCount " + std::to_string(*idle) +
                   " must be below minReplicaCount, which is " + shown(min, "not set"));
  return {};
}

Status check_triggers(std::span<const Trigger> triggers) {
  constexpr std::array<std::string_view, 3> kNeverCached{"cpu", "memory", "cron"};
  if (triggers.empty()) return refused("triggers: at least one is needed");
  std::set<std::string_view> names;
  for (const Trigger& trigger : triggers) {
    if (trigger.use_cached_metrics && is_one_of(trigger.type, kNeverCached))
      return refused("trigger " + trigger.type + ": useCachedMetrics is not for this type");
    if (!trigger.name.empty() && !names.insert(trigger.name).second)
      return refused("two triggers have the name " + json_quote(trigger.name));
  }
  return {};
}

Status check_trigger_types(std::span<const Trigger> triggers,
                           std::span<const std::string_view> known_types) {
  for (const Trigger& trigger : triggers) {
    if (is_one_of(trigger.type, known_types)) continue;
    std::string known;
    for (const std::string_view type : known_types)
      known += (known.empty() ? "" : ", ") + std::string(type);
    return refused("trigger type " + json_quote(trigger.type) +
                   " is not supported yet; known: " + known);
  }
  return {};
}

Status check_names(const ScaledObjectSpec& spec) {
  constexpr std::size_t kLongest = 63;  // they become values of labels
  if (spec.key.name.size() > kLongest)
    return refused("the name " + json_quote(spec.key.name) + " has more than 63 characters");
  if (const std::string hpa = hpa_name_of(spec); hpa.size() > kLongest)
    return refused("the name of its HorizontalPodAutoscaler, " + json_quote(hpa) +
                   ", has more than 63 characters");
  return {};
}

bool is_resource(std::string_view trigger_type) {
  return trigger_type == "cpu" || trigger_type == "memory";
}

bool only_resources(std::span<const Trigger> triggers) {
  return !triggers.empty() && std::all_of(triggers.begin(), triggers.end(),
                                          [](const Trigger& t) { return is_resource(t.type); });
}

// Of kinds that are not Kubernetes' own KEDA does not ask it.
Status check_resources(const ScaledObjectSpec& spec) {
  const bool own = spec.target.kind == "Deployment" || spec.target.kind == "StatefulSet";
  if (!own || spec.min() > 0 || !only_resources(spec.triggers)) return {};
  return refused("minReplicaCount must be at least 1, since there are only triggers of type " +
                 trigger_types(spec.triggers) +
                 ": without pods they measure nothing, so they cannot scale from zero");
}

Status check_no_rival(const ScaledObjectSpec& spec, std::span<const ScaledObjectSpec> others) {
  for (const ScaledObjectSpec& other : others) {
    if (other.key == spec.key || other.key.ns != spec.key.ns) continue;
    if (other.target_key() == spec.target_key())
      return refused(to_string(other.key) + " scales " + to_string(spec.target_key()) + " already");
    if (hpa_name_of(other) == hpa_name_of(spec))
      return refused(to_string(other.key) + " has the HorizontalPodAutoscaler name " +
                     json_quote(hpa_name_of(spec)) + " already");
  }
  return {};
}

Status check_scaled_object(const ScaledObjectSpec& spec, std::span<const ScaledObjectSpec> others,
                           std::span<const std::string_view> known_types) {
  TRY_VOID(check_replica_bounds(spec.min_replicas, spec.max_replicas, spec.idle_replicas));
  TRY_VOID(check_triggers(spec.triggers));
  TRY_VOID(check_trigger_types(spec.triggers, known_types));
  TRY_VOID(check_names(spec));
  TRY_VOID(check_resources(spec));
  return check_no_rival(spec, others);
}

std::vector<std::string> warnings_of(const ScaledObjectSpec& spec) {
  std::vector<std::string> warnings;
  const bool always_above_zero = spec.min() > 0 && !spec.idle_replicas;
  const bool cached = std::any_of(spec.triggers.begin(), spec.triggers.end(),
                                  [](const Trigger& t) { return t.use_cached_metrics; });
  if (spec.polling_interval && always_above_zero && !cached)
    warnings.push_back(
        "pollingInterval has no effect: with minReplicaCount above 0 nothing is to be activated");
  if (spec.cooldown_period && always_above_zero)
    warnings.push_back(
        "cooldownPeriod has no effect: with minReplicaCount above 0 it never scales to zero");
  return warnings;
}

std::string trigger_types(std::span<const Trigger> triggers) {
  std::vector<std::string_view> seen;
  std::string joined;
  for (const Trigger& trigger : triggers) {
    if (is_one_of(trigger.type, seen)) continue;
    seen.push_back(trigger.type);
    joined += (joined.empty() ? "" : ",") + trigger.type;
  }
  return joined;
}

}  // namespace jobmill::scale
