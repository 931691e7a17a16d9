// SPDX-License-Identifier: Apache-2.0
#include "manifest/environment.h"

#include <optional>
#include <utility>
#include <vector>

namespace jobmill::manifest {
namespace {

class EnvironmentBuilder {
 public:
  EnvironmentBuilder(const Catalog& catalog, std::string_view ns, const Texts& fields,
                     const Texts& provided)
      : catalog_(catalog), ns_(ns), fields_(fields), provided_(provided) {}

  void add(const EnvFrom& from) {
    const bool secret = from.source == EnvFrom::Source::Secret;
    auto values = values_of(catalog_, secret ? "Secret" : "ConfigMap", ns_, from.name);
    if (!values) return miss(values.error().message, from.optional);
    for (auto& [key, value] : *values) variables_.insert_or_assign(from.prefix + key, value);
  }

  void add(const EnvVar& variable) {
    if (auto value = value_of(variable))
      variables_.insert_or_assign(variable.name, *std::move(value));
  }

  Result<Texts> take(const std::string& whose) {
    if (missing_.empty()) return std::move(variables_);
    return fail(Code::NotFound, "environment of " + whose + ": " + missing_);
  }

 private:
  std::optional<std::string> value_of(const EnvVar& variable) {
    switch (variable.source) {
      case EnvVar::Source::Value:
        return expand_variables(variable.value, variables_, provided_);
      case EnvVar::Source::Secret:
        return referenced(variable, "Secret");
      case EnvVar::Source::ConfigMap:
        return referenced(variable, "ConfigMap");
      case EnvVar::Source::Field:
        return field(variable.value);
      case EnvVar::Source::None:
        return std::nullopt;
    }
    return std::nullopt;
  }

  std::optional<std::string> field(const std::string& path) const {
    const auto it = fields_.find(path);
    if (it == fields_.end()) return std::nullopt;
    return it->second;
  }

  std::optional<std::string> referenced(const EnvVar& variable, std::string_view kind) {
    auto values = values_of(catalog_, kind, ns_, variable.object);
    if (!values) {
      miss(values.error().message, variable.optional);
      return std::nullopt;
    }
    const auto it = values->find(variable.key);
    if (it != values->end()) return it->second;
    miss(std::string(kind) + "/" + variable.object + " has no key " + variable.key,
         variable.optional);
    return std::nullopt;
  }

  void miss(const std::string& what, bool optional) {
    if (!optional) missing_ += (missing_.empty() ? "" : ", ") + what;
  }

  const Catalog& catalog_;
  std::string_view ns_;
  const Texts& fields_;
  const Texts& provided_;
  Texts variables_;
  std::string missing_;
};

const std::string* find(std::string_view name, const Texts& declared, const Texts& provided) {
  for (const Texts* variables : {&declared, &provided})
    if (const auto it = variables->find(name); it != variables->end()) return &it->second;
  return nullptr;
}

}  // namespace

Result<Texts> values_of(const Catalog& catalog, std::string_view kind, std::string_view ns,
                        std::string_view name) {
  const Object* object = catalog.find(kind, ns, name);
  if (!object)
    return fail(Code::NotFound, "there is no " + std::string(kind) + "/" + std::string(name));
  Problems unused(object->source);  // it was checked when it was applied
  return kind == "Secret" ? decode_secret(*object, unused) : decode_config_map(*object, unused);
}

Result<Texts> resolve_environment(const Catalog& catalog, const Deployment& deployment,
                                  std::string_view container, const Texts& fields,
                                  const Texts& provided) {
  const Container* chosen = deployment.container(container);
  if (!chosen)
    return fail(Code::NotFound,
                to_string(deployment.key) + " has no container " + std::string(container));
  return resolve_environment(catalog, deployment.key.ns, *chosen, to_string(deployment.key), fields,
                             provided);
}

Result<Texts> resolve_environment(const Catalog& catalog, std::string_view ns,
                                  const Container& container, const std::string& whose,
                                  const Texts& fields, const Texts& provided) {
  EnvironmentBuilder builder(catalog, ns, fields, provided);
  for (const EnvFrom& from : container.env_from) builder.add(from);
  for (const EnvVar& variable : container.env) builder.add(variable);
  return builder.take(whose);
}

std::string expand_variables(std::string_view text, const Texts& declared, const Texts& provided) {
  std::string out;
  while (!text.empty()) {
    const std::size_t dollar = std::min(text.find('$'), text.size());
    out += text.substr(0, dollar);
    text.remove_prefix(dollar);
    if (text.empty()) break;
    const std::size_t close = text.starts_with("$(") ? text.find(')') : text.npos;
    std::size_t used = text.starts_with("$$") ? 2 : 1;
    if (close == text.npos) {
      out += '$';
    } else {
      used = close + 1;
      const std::string* value = find(text.substr(2, close - 2), declared, provided);
      out += value == nullptr ? text.substr(0, used) : std::string_view(*value);
    }
    text.remove_prefix(used);
  }
  return out;
}

}  // namespace jobmill::manifest
