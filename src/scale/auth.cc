// SPDX-License-Identifier: Apache-2.0
#include "scale/auth.h"

#include <functional>
#include <optional>
#include <utility>

#include "manifest/core_kinds.h"
#include "manifest/environment.h"

namespace jobmill::scale {
namespace {

using manifest::Catalog;
using manifest::Object;
using manifest::Texts;

// Whose trigger it is.
struct Owner {
  std::string ns;
  std::string target;  // what has the containers, for messages
  Duration interval;
  std::optional<ScaleTargetRef> scales;
  // The variables of a container; of envSourceContainerName for "".
  std::function<Result<Texts>(std::string_view container)> environment;
};

// A target that is not there has no variables; it is the autoscaler's affair.
Owner owner_of(const Catalog& catalog, const ScaledObjectSpec& object) {
  const auto environment = [&](std::string_view container) -> Result<Texts> {
    const Object* target = catalog.find(object.target_key());
    if (!target) return Texts();
    manifest::Problems unused(target->source);  // it was checked when it was applied
    return resolve_environment(catalog, manifest::decode_deployment(*target, unused),
                               container.empty() ? object.target.env_source_container : container);
  };
  return {object.key.ns, to_string(object.target_key()), object.interval(), object.target,
          environment};
}

Owner owner_of(const Catalog& catalog, const ScaledJobSpec& job) {
  const std::string target = to_string(job.key);
  const auto environment = [&catalog, &job, target](std::string_view name) -> Result<Texts> {
    const auto* container = manifest::find_container(
        job.job.containers, name.empty() ? std::string_view(job.env_source_container) : name);
    if (!container) return fail(Code::NotFound, target + " has no container " + std::string(name));
    return resolve_environment(catalog, job.key.ns, *container, target);
  };
  return {job.key.ns, target, job.interval(), std::nullopt, environment};
}

// Fills auth parameters in KEDA's order: env, ConfigMaps, Secrets, a later one replacing an
// earlier one.
class Authenticator {
 public:
  Authenticator(const Catalog& catalog, const Owner& owner, ResolvedTrigger& out)
      : catalog_(catalog), owner_(owner), out_(out) {}

  void resolve(const AuthenticationRef& reference, std::string_view cluster_ns) {
    const bool cluster = manifest::is_cluster_scoped(reference.kind);
    const Object* found = catalog_.find(reference.kind, cluster ? "" : owner_.ns, reference.name);
    if (!found) return warn("there is no " + reference.kind + "/" + reference.name);

    manifest::Problems unused(found->source);
    const TriggerAuthenticationSpec spec = decode_trigger_authentication(*found, unused);
    const std::string_view ns = cluster ? cluster_ns : owner_.ns;
    for (const auto& variable : spec.env) add(variable);
    for (const auto& config : spec.config_maps) add(config, "ConfigMap", ns);
    for (const auto& secret : spec.secrets) add(secret, "Secret", ns);
  }

 private:
  void add(const TriggerAuthenticationSpec::Variable& variable) {
    std::string& value = out_.spec.auth[variable.parameter];
    value.clear();
    const auto environment = owner_.environment(variable.container);
    if (!environment) return warn(environment.error().message);
    const auto it = environment->find(variable.name);
    if (it == environment->end()) return warn(owner_.target + " has no variable " + variable.name);
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
  const Owner& owner_;
  ResolvedTrigger& out_;
};

Result<ResolvedTrigger> resolve(const Catalog& catalog, const Owner& owner, const Trigger& trigger,
                                std::size_t index, std::string_view cluster_ns) {
  ResolvedTrigger out;
  out.spec.type = trigger.type;
  out.spec.name = trigger.name;
  out.spec.metric_type = trigger.metric_type;
  out.spec.metadata = trigger.metadata;
  out.spec.index = static_cast<int>(index);
  out.spec.polling_interval = owner.interval;
  out.spec.ns = owner.ns;
  out.spec.target = owner.scales;
  TRY(out.spec.env, owner.environment(""));
  if (trigger.authentication)
    Authenticator(catalog, owner, out).resolve(*trigger.authentication, cluster_ns);
  return out;
}

}  // namespace

Result<ResolvedTrigger> resolve_trigger(const Catalog& catalog, const ScaledObjectSpec& object,
                                        std::size_t index, std::string_view cluster_ns) {
  return resolve(catalog, owner_of(catalog, object), object.triggers.at(index), index, cluster_ns);
}

Result<ResolvedTrigger> resolve_trigger(const Catalog& catalog, const ScaledJobSpec& job,
                                        std::size_t index, std::string_view cluster_ns) {
  return resolve(catalog, owner_of(catalog, job), job.triggers.at(index), index, cluster_ns);
}

}  // namespace jobmill::scale
