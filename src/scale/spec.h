// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "manifest/object.h"

// What KEDA's manifests say, decoded and checked, before anything is looked up elsewhere. The
// field names and defaults are those of keda.sh/v1alpha1.
namespace jobmill::scale {

// `behavior` of autoscaling/v2: how fast, and after how long, replicas may change.
enum class SelectPolicy { Max, Min, Disabled };
enum class PolicyType { Pods, Percent };

struct ScalingPolicy {
  PolicyType type = PolicyType::Pods;
  int value = 0;
  Duration period = std::chrono::seconds(15);
};

// As written; what is not written stays empty. The arithmetic fills in the API's defaults.
struct ScalingRules {
  std::optional<Duration> stabilization_window;
  std::optional<SelectPolicy> select;
  std::vector<ScalingPolicy> policies;
  std::optional<double> tolerance;  // 0.1 = a tenth
};

struct Behavior {
  std::optional<ScalingRules> scale_up;
  std::optional<ScalingRules> scale_down;
  bool written() const { return scale_up || scale_down; }
};

// When activation and arithmetic run: at every evaluation and straight to the size that is
// needed (Direct), or at KEDA's and the HPA's own clocks and in their steps (Keda).
enum class Semantics { Direct, Keda };

// What the annotations of an object ask for.
struct Pause {
  bool paused = false;          // the loop stands still
  bool has_paused = false;      // some pause is written, perhaps with the value "false"
  bool in = false;              // paused-scale-in: replicas do not go down
  bool out = false;             // paused-scale-out: replicas do not go up
  bool force = false;           // force-activation: leave zero as if a trigger were active
  std::optional<int> replicas;  // paused-replicas: set once, then stand still
  bool replicas_error = false;  // paused-replicas is there and is no integer
};

Pause read_pause(const manifest::Texts& annotations);

struct ScaleTargetRef {
  std::string api_version = "apps/v1";
  std::string kind = "Deployment";
  std::string name;
  std::string env_source_container;  // empty: the first one
  bool operator==(const ScaleTargetRef&) const = default;
};

struct AuthenticationRef {
  std::string name;
  std::string kind = "TriggerAuthentication";  // or ClusterTriggerAuthentication
};

struct Trigger {
  std::string type;
  std::string name;
  std::string metric_type;  // as written
  manifest::Texts metadata;
  bool use_cached_metrics = false;
  std::optional<AuthenticationRef> authentication;
};

struct ScaledObjectSpec {
  manifest::ObjectKey key;
  ScaleTargetRef target;
  std::optional<Duration> polling_interval;
  std::optional<Duration> cooldown_period;
  Duration initial_cooldown_period{};
  std::optional<int> idle_replicas;
  std::optional<int> min_replicas;
  std::optional<int> max_replicas;
  bool restore_to_original_replicas = false;
  std::string hpa_name;  // empty: keda-hpa-<name>
  Behavior behavior;
  std::vector<Trigger> triggers;
  Pause pause;
  Semantics semantics = Semantics::Direct;

  // With the defaults filled in.
  Duration interval() const { return polling_interval.value_or(std::chrono::seconds(30)); }
  Duration cooldown() const { return cooldown_period.value_or(std::chrono::seconds(300)); }
  int min() const { return min_replicas.value_or(0); }
  int max() const { return max_replicas.value_or(100); }
  int hpa_min() const { return min() > 0 ? min() : 1; }  // the arithmetic never answers zero
  manifest::ObjectKey target_key() const { return {target.kind, key.ns, target.name}; }
};

struct TriggerAuthenticationSpec {
  struct Reference {  // secretTargetRef and configMapTargetRef
    std::string parameter;
    std::string name;
    std::string key;
  };
  struct Variable {  // env
    std::string parameter;
    std::string name;
    std::string container;  // empty: the target's envSourceContainerName
  };
  std::vector<Reference> secrets;
  std::vector<Reference> config_maps;
  std::vector<Variable> env;
};

// Decode one manifest. Everything wrong with it goes to `problems`, with lines; the result is to
// be used only when they are ok(). Fields that we do not build yet are refused by name.
ScaledObjectSpec decode_scaled_object(const manifest::Object& object, manifest::Problems& problems);
TriggerAuthenticationSpec decode_trigger_authentication(const manifest::Object& object,
                                                        manifest::Problems& problems);

// The checks that need more than the schema. Each is one rule of KEDA's admission.
Status check_replica_bounds(std::optional<int> min, std::optional<int> max,
                            std::optional<int> idle);
Status check_triggers(std::span<const Trigger> triggers);
Status check_trigger_types(std::span<const Trigger> triggers,
                           std::span<const std::string_view> known_types);
Status check_names(const ScaledObjectSpec& spec);
// Whether triggers of this type measure what the target's own pods use: cpu and memory. Without
// pods there is nothing to measure, so they can neither wake their object nor let it sleep.
bool is_resource(std::string_view trigger_type);
// An object that has no other triggers is always active.
bool only_resources(std::span<const Trigger> triggers);
Status check_resources(const ScaledObjectSpec& spec);
// Another ScaledObject must not have the same target or the same HPA name.
Status check_no_rival(const ScaledObjectSpec& spec, std::span<const ScaledObjectSpec> others);
Status check_scaled_object(const ScaledObjectSpec& spec, std::span<const ScaledObjectSpec> others,
                           std::span<const std::string_view> known_types);

// What is accepted and yet has no effect, as sentences.
std::vector<std::string> warnings_of(const ScaledObjectSpec& spec);

// "cron,metrics-api": each type once, in the order of the triggers.
std::string trigger_types(std::span<const Trigger> triggers);

}  // namespace jobmill::scale
