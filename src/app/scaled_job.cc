// SPDX-License-Identifier: Apache-2.0
#include "app/scaled_job.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/core.h>

#include "manifest/environment.h"

namespace jobmill::app {
namespace {

using executions::ContainerJob;
using executions::Texts;
using manifest::EnvFrom;
using manifest::EnvVar;

// Longer than any server lives: history goes by number only.
constexpr Duration kForever = std::chrono::hours(24 * 36525);
// The fields of a pod that are known here. No variable has such a name.
constexpr std::string_view kPodName = "metadata.name";
constexpr std::string_view kPodNamespace = "metadata.namespace";

// --- containers ---------------------------------------------------------------------------------

// A text in which $(NAME) is meant as it is written.
std::string as_written(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '$' ? "$$" : std::string(1, c);
  return out;
}

// Turns the containers of a pod template into those of a job.
class Converter {
 public:
  Converter(const manifest::Catalog& catalog, ConvertedScaledJob& out)
      : catalog_(catalog), out_(out) {}

  executions::Container convert(const manifest::Container& from) {
    executions::Container container{.name = from.name,
                                    .image = from.image,
                                    .command = from.command,
                                    .args = from.args,
                                    .env = {},
                                    .cpu_milli = from.limits.cpu_milli,
                                    .memory_bytes = from.limits.memory_bytes};
    env_ = &container.env;
    for (const EnvFrom& all : from.env_from) add(all);
    for (const EnvVar& variable : from.env) add(variable);
    return container;
  }

 private:
  const std::string& ns() const { return out_.job.key.group; }

  // A later variable replaces an earlier one.
  void set(executions::EnvVar variable) {
    std::erase_if(*env_, [&](const auto& other) { return other.name == variable.name; });
    env_->push_back(std::move(variable));
  }

  void set_secret(const std::string& name, std::string_view object, std::string_view key,
                  std::string value) {
    const std::string secret = fmt::format("Secret/{}/{}", object, key);
    out_.job.secrets[secret] = Secret(std::move(value));
    set({.name = name, .value = {}, .secret = secret});
  }

  void set_text(const std::string& name, std::string value) {
    set({.name = name, .value = std::move(value), .secret = {}});
  }

  // A replica that is started by hand all the same waits for the value.
  void miss(const std::string& variable, const std::string& reference, std::string what) {
    set({.name = variable, .value = {}, .secret = reference});
    if (std::ranges::find(out_.missing, what) == out_.missing.end())
      out_.missing.push_back(std::move(what));
  }

  void add(const EnvFrom& from) {
    const bool secret = from.source == EnvFrom::Source::Secret;
    const std::string kind = secret ? "Secret" : "ConfigMap";
    auto values = manifest::values_of(catalog_, kind, ns(), from.name);
    if (!values && from.optional) return;
    if (!values) return miss("envFrom", kind + "/" + from.name, values.error().message);
    for (auto& [key, value] : *values) {
      if (secret)
        set_secret(from.prefix + key, from.name, key, std::move(value));
      else
        set_text(from.prefix + key, as_written(value));
    }
  }

  void add(const EnvVar& variable) {
    switch (variable.source) {
      case EnvVar::Source::Value:
        return set_text(variable.name, variable.value);
      case EnvVar::Source::Secret:
        return add_referenced(variable, "Secret");
      case EnvVar::Source::ConfigMap:
        return add_referenced(variable, "ConfigMap");
      case EnvVar::Source::Field:
        if (variable.value == kPodName || variable.value == kPodNamespace)
          set_text(variable.name, "$(" + variable.value + ")");
        return;
      case EnvVar::Source::None:
        return;
    }
  }

  void add_referenced(const EnvVar& variable, std::string_view kind) {
    auto values = manifest::values_of(catalog_, kind, ns(), variable.object);
    const std::string reference = fmt::format("{}/{}/{}", kind, variable.object, variable.key);
    const auto it = values ? values->find(variable.key) : Texts::iterator();
    const bool there = values && it != values->end();
    if (!there && variable.optional) return;
    if (!values) return miss(variable.name, reference, values.error().message);
    if (!there)
      return miss(variable.name, reference,
                  fmt::format("{}/{} has no key {}", kind, variable.object, variable.key));
    if (kind == "Secret")
      set_secret(variable.name, variable.object, variable.key, std::move(it->second));
    else
      set_text(variable.name, as_written(it->second));
  }

  const manifest::Catalog& catalog_;
  ConvertedScaledJob& out_;
  std::vector<executions::EnvVar>* env_ = nullptr;
};

// --- the rest -----------------------------------------------------------------------------------

executions::ScaleRule rule_of(const scale::Trigger& trigger, std::size_t index) {
  return {.name = trigger.name.empty() ? fmt::format("s{}-{}", index, trigger.type) : trigger.name,
          .type = trigger.type,
          .metadata = trigger.metadata,
          .auth = {},
          .identity = {}};
}

// A strategy that is named asks for KEDA's arithmetic, and the annotation is above that.
std::optional<executions::Semantics> semantics_of(const scale::ScaledJobSpec& spec) {
  if (spec.semantics)
    return *spec.semantics == scale::JobSemantics::Bound ? executions::Semantics::Bound
                                                         : executions::Semantics::Cloud;
  if (spec.strategy) return executions::Semantics::Cloud;
  return std::nullopt;
}

// One number for both: what ended well and what failed are one history here.
int kept(const scale::ScaledJobSpec& spec) {
  const std::int64_t both = std::int64_t{spec.successful_history} + spec.failed_history;
  return static_cast<int>(std::min<std::int64_t>(both, std::numeric_limits<int>::max()));
}

ScaledJobRules rules_of(const scale::ScaledJobSpec& spec) {
  return {.min = spec.min_replicas,
          .max = spec.max_replicas,
          .strategy = spec.strategy.value_or(scale::JobStrategy::Default),
          .combination = spec.combination,
          .deduction = spec.deduction,
          .percentage = spec.percentage,
          .keeps_running = spec.rollout == scale::Rollout::Gradual};
}

Node rule_document(const executions::ScaleRule& rule) {
  Node node = Node::object();
  node.set("name", Node::string(rule.name));
  node.set("type", Node::string(rule.type));
  Node metadata = Node::object();
  for (const auto& [key, value] : rule.metadata) metadata.set(key, Node::string(value));
  node.set("metadata", std::move(metadata));
  return node;
}

Node event_document(const ContainerJob& job) {
  Node rules = Node::array();
  for (const executions::ScaleRule& rule : job.rules) rules.push(rule_document(rule));
  Node scale = Node::object();
  scale.set("pollingInterval", Node::integer(job.polling_interval / std::chrono::seconds(1)));
  scale.set("minExecutions", Node::integer(job.min_executions));
  scale.set("maxExecutions", Node::integer(job.max_executions));
  scale.set("rules", std::move(rules));
  Node event = Node::object();
  event.set("replicaCompletionCount", Node::integer(job.completions));
  event.set("parallelism", Node::integer(job.parallelism));
  event.set("scale", std::move(scale));
  return event;
}

Node configuration_document(const ContainerJob& job) {
  Node node = Node::object();
  node.set("triggerType", Node::string(executions::to_string(job.trigger)));
  if (job.replica_timeout)
    node.set("replicaTimeout", Node::integer(*job.replica_timeout / std::chrono::seconds(1)));
  node.set("replicaRetryLimit", Node::integer(job.retry_limit));
  node.set("eventTriggerConfig", event_document(job));
  Node secrets = Node::array();
  for (const auto& [name, value] : job.secrets) {
    Node secret = Node::object();
    secret.set("name", Node::string(name));
    secrets.push(std::move(secret));
  }
  node.set("secrets", std::move(secrets));
  return node;
}

// As the commands for jobs of Container Apps show it.
Node document_of(const ContainerJob& job) {
  Node ours = Node::object();
  ours.set("scaledJob", Node::string(job.key.group + "/" + job.key.name));
  Node properties = Node::object();
  properties.set("configuration", configuration_document(job));
  properties.set("template", executions::to_document(job.pod));
  properties.set("jobmill", std::move(ours));
  properties.set("provisioningState", Node::string("Succeeded"));
  Node node = Node::object();
  node.set("id", Node::string(fmt::format("/subscriptions/00000000-0000-0000-0000-000000000000/"
                                          "resourceGroups/{}/providers/Microsoft.App/jobs/{}",
                                          job.key.group, job.key.name)));
  node.set("name", Node::string(job.key.name));
  node.set("type", Node::string("Microsoft.App/jobs"));
  node.set("properties", std::move(properties));
  return node;
}

// --- variables of a replica ---------------------------------------------------------------------

bool is_ours(std::string_view variable) {
  return variable.starts_with("JOBMILL_") || variable.starts_with("CONTAINER_APP_");
}

// What the plan changed is no longer the manifest's, such as a path that it prepended to.
void expand(const executions::Container& container, const Texts& fields,
            executions::RunContainer& run) {
  Texts provided = fields;
  for (const auto& [name, value] : run.environment)
    if (is_ours(name)) provided[name] = value;
  Texts declared;
  for (const executions::EnvVar& variable : container.env) {
    std::string& value = run.environment[variable.name];
    if (variable.secret.empty() && value == variable.value)
      value = manifest::expand_variables(value, declared, provided);
    declared[variable.name] = value;
  }
  for (auto* words : {&run.command, &run.args})
    for (std::string& word : *words) word = manifest::expand_variables(word, declared, provided);
}

}  // namespace

ConvertedScaledJob to_container_job(const scale::ScaledJobSpec& spec,
                                    const manifest::Object& object,
                                    const manifest::Catalog& catalog) {
  ConvertedScaledJob out;
  ContainerJob& job = out.job;
  job.key = {spec.key.ns, spec.key.name};
  job.trigger = executions::TriggerType::Event;
  job.replica_timeout = spec.job.deadline;
  job.retry_limit = spec.job.backoff_limit;
  job.completions = spec.job.completions;
  job.parallelism = spec.job.parallelism;
  job.polling_interval = spec.interval();
  job.min_executions = spec.min_replicas.value_or(job.min_executions);
  job.max_executions = spec.max_replicas.value_or(job.max_executions);
  for (std::size_t i = 0; i < spec.triggers.size(); ++i)
    job.rules.push_back(rule_of(spec.triggers[i], i));
  job.generation = object.generation;
  job.created = job.updated = object.created;

  Converter converter(catalog, out);
  for (const manifest::Container& container : spec.job.containers)
    job.pod.containers.push_back(converter.convert(container));
  for (const manifest::Container& container : spec.job.init_containers)
    job.pod.init_containers.push_back(converter.convert(container));

  job.options.workdir = spec.job.containers.front().working_dir;
  job.options.semantics = semantics_of(spec);
  job.options.stop_grace = spec.job.grace;
  job.options.history = {.keep = kept(spec), .age = kForever};
  job.options.suspended = spec.paused || !out.missing.empty();
  job.document = document_of(job);
  out.rules = rules_of(spec);
  return out;
}

void expand_variables(const executions::Template& pod, const executions::JobKey& job,
                      executions::RunReplica& replica) {
  const Texts fields{{std::string(kPodName), replica.replica},
                     {std::string(kPodNamespace), job.group}};
  if (pod.containers.empty()) return;
  expand(pod.containers.front(), fields, replica.main);
  for (std::size_t i = 1; i < pod.containers.size() && i <= replica.beside.size(); ++i)
    expand(pod.containers[i], fields, replica.beside[i - 1]);
  for (std::size_t i = 0; i < pod.init_containers.size() && i < replica.init.size(); ++i)
    expand(pod.init_containers[i], fields, replica.init[i]);
}

}  // namespace jobmill::app
