// SPDX-License-Identifier: Apache-2.0
#include "scale/auth.h"

#include <utility>

#include "manifest/core_kinds.h"
#include "manifest/environment.h"

namespace jobmill::scale {
namespace {

using manifest::Catalog;
using manifest::Object;
using manifest::Texts;

// The target's variables, as far as it can be found. A target that is not there is the
// autoscaler's affair.
Result<Texts> environment_of(const Catalog& catalog, const ScaledObjectSpec& object,
                             std::string_view container) {
  const Object* target = catalog.find(object.target_key());
  if (!target) return Texts();
  manifest::Problems unused(target->source);  // it was checked when it was applied
  return resolve_environment(catalog, manifest::decode_deployment(*target, unused), container);
}

// Fills auth parameters in KEDA's order: env, ConfigMaps, Secrets, a later one replacing an
// earlier one.
class Authenticator {
 public:
  Authenticator(const Catalog& catalog, const ScaledObjectSpec& object, ResolvedTrigger& out)
      : catalog_(catalog), object_(object), out_(out) {}

  void resolve(const AuthenticationRef& reference, std::string_view cluster_ns) {
    const bool cluster = manifest::is_cluster_scoped(reference.kind);
    const Object* found =
        catalog_.find(reference.kind, cluster ? "" : object_.key.ns, reference.name);
    if (!found) return warn("there is no " + reference.kind + "/" + reference.name);

    manifest::Problems unused(found->source);
    const TriggerAuthenticationSpec spec = decode_trigger_authentication(*found, unused);
    const std::string_view ns = cluster ? cluster_ns : object_.key.ns;
    for (const auto& variable : spec.env) add(variable);
    for (const auto& config : spec.config_maps) add(config, "ConfigMap", ns);
    for (const auto& secret : spec.secrets) add(secret, "Secret", ns);
  }

 private:
  void add(const TriggerAuthenticationSpec::Variable& variable) {
    std::string& value = out_.spec.auth[variable.parameter];
    value.clear();
    const auto environment = environment_of(
        catalog_, object_,
        variable.container.empty() ? object_.target.env_source_container : variable.container);
    if (!environment) return warn(environment.error().message);
    const auto it = environment->find(variable.name);
    if (it == environment->end())
      return warn(to_string(object_.target_key()) + " has no variable " + variable.name);
    value = it->second;
  }

  void add(const TriggerAuthenticationSpec::Reference& reference, std::string_view kind,
           std::string_view ns) {
    std::string& value = out_.spec.auth[reference.parameter];
    value.clear();
    const auto values = values_of(catalog_, kind, ns, reference.name);
    if (!values) return warn(values.error().message + " (key " + reference.key + ")");
    const auto it = values->find(reference.key);
    if (it == values->end())
      return warn(std::string(kind) + "/" + reference.name + " has no key " + reference.key);
    value = it->second;
  }

  void warn(std::string text) { out_.warnings.push_back(std::move(text)); }

  const Catalog& catalog_;
  const ScaledObjectSpec& object_;
  ResolvedTrigger& out_;
};

}  // namespace

Result<ResolvedTrigger> resolve_trigger(const Catalog& catalog, const ScaledObjectSpec& object,
                                        std::size_t index, std::string_view cluster_ns) {
  const Trigger& trigger = object.triggers.at(index);
  ResolvedTrigger out;
  out.spec.type = trigger.type;
  out.spec.name = trigger.name;
  out.spec.metric_type = trigger.metric_type;
  out.spec.metadata = trigger.metadata;
  out.spec.index = static_cast<int>(index);
  out.spec.polling_interval = object.interval();
  TRY(out.spec.env, environment_of(catalog, object, object.target.env_source_container));
  if (trigger.authentication)
    Authenticator(catalog, object, out).resolve(*trigger.authentication, cluster_ns);
  return out;
}

}  // namespace jobmill::scale
