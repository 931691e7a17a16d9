// SPDX-License-Identifier: Apache-2.0
#include "app/execution_triggers.h"

#include <algorithm>
#include <set>

#include <fmt/core.h>

namespace jobmill::app {
namespace {

using executions::ContainerJob;
using executions::Semantics;

constexpr std::string_view kServiceBus = "azure-servicebus";
// It tries four times before it gives up.
constexpr Duration kServiceBusTimeout = std::chrono::seconds(25);

// Variables for parameters whose names end in FromEnv: those of the first container.
scale::TriggerSpec::Texts environment(const ContainerJob& job) {
  scale::TriggerSpec::Texts texts;
  if (job.pod.containers.empty()) return texts;
  for (const executions::EnvVar& variable : job.pod.containers.front().env) {
    const auto secret = job.secrets.find(variable.secret);
    texts[variable.name] = secret != job.secrets.end() ? secret->second.reveal() : variable.value;
  }
  return texts;
}

scale::TriggerSpec trigger_spec(const ContainerJob& job, std::size_t index,
                                const ExecutionTriggers::PrincipalOf& principal_of = {}) {
  const executions::ScaleRule& rule = job.rules[index];
  scale::TriggerSpec spec{.type = rule.type,
                          .name = rule.name,
                          .metric_type = {},
                          .metadata = {rule.metadata.begin(), rule.metadata.end()},
                          .auth = {},
                          .env = environment(job),
                          .pod_identity = rule.identity.empty() ? "" : "azure-workload",
                          .identity = rule.identity,
                          .principal = {},
                          .index = static_cast<int>(index),
                          .polling_interval = job.polling_interval};
  if (principal_of && !rule.identity.empty()) spec.principal = principal_of(job, rule.identity);
  for (const executions::ScaleRule::Auth& auth : rule.auth)
    if (const auto secret = job.secrets.find(auth.secret); secret != job.secrets.end())
      spec.auth[auth.parameter] = secret->second.reveal();
  return spec;
}

Result<scale::TriggerSpec> resolved(const ContainerJob& job, const ScaledJobRules* rules,
                                    std::size_t index,
                                    const ExecutionTriggers::PrincipalOf& principal_of) {
  if (rules != nullptr) return rules->resolve(index);
  return trigger_spec(job, index, principal_of);
}

Result<scalers::ServiceBusTrigger> parse_queue(const ContainerJob& job, const ScaledJobRules* rules,
                                               std::size_t index,
                                               const ExecutionTriggers::PrincipalOf& principal) {
  TRY(const scale::TriggerSpec spec, resolved(job, rules, index, principal));
  return scalers::parse_azure_servicebus(spec);
}

using Paths = QueueFeed::Paths;

bool is_foreign(const Result<Paths>& found) {
  return !found && found.error().code == Code::Unsupported;
}

bool same(const Result<Paths>& a, const Result<Paths>& b) {
  if (a && b) return *a == *b;
  return !a && !b && a.error().message == b.error().message;
}

using Operation = scalers::EntityOperation;

// Of a pattern's queues. One that went meanwhile has nothing; one that lets nobody receive does not
// count, unless all are so.
broker::QueueState sum_of(const std::map<std::string, Result<broker::QueueState>>& states) {
  broker::QueueState sum{.receivable = false};
  for (const auto& [path, state] : states) {
    if (!state || !state->receivable) continue;
    sum.receivable = true;
    sum.ready += state->ready;
    sum.locked += state->locked;
    sum.sessions = sum.sessions || state->sessions;
  }
  return sum;
}

}  // namespace

ExecutionTriggers::ExecutionTriggers(Parts parts, std::function<void()> changed)
    : parts_(std::move(parts)), changed_(std::move(changed)) {}

executions::JobKey ExecutionTriggers::key_of(std::string_view text) {
  const auto slash = text.rfind('/');
  return {std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
}

// --- jobs ---------------------------------------------------------------------------------------

Status ExecutionTriggers::check(const ContainerJob& job) {
  if (job.trigger != executions::TriggerType::Event) return {};
  for (std::size_t i = 0; i < job.rules.size(); ++i) {
    const scale::TriggerSpec spec = trigger_spec(job, i);
    Status known = scalers::check_scaler(spec);
    if (known) known = scalers::check_without_cluster(spec.type);
    if (!known)
      return fail(Code::InvalidArgument,
                  fmt::format("scale rule {}: {}", job.rules[i].name, known.error().message));
  }
  return {};
}

void ExecutionTriggers::put(const ContainerJob& job, const ScaledJobRules* rules) {
  remove(job.key);
  if (job.trigger != executions::TriggerType::Event || job.rules.empty()) return;
  Binding& binding = bindings_[job.key];
  binding.job = job;
  if (rules != nullptr) binding.rules = *rules;
  for (std::size_t i = 0; i < job.rules.size(); ++i) {
    Source& source = binding.sources.emplace_back();
    if (job.rules[i].type != kServiceBus || parts_.feed == nullptr) continue;
    auto trigger = parse_queue(job, rules, i, parts_.principal_of);
    if (trigger)
      source.queue = *std::move(trigger);
    else
      source.found.emplace(trigger.error());
  }
  locate(binding);
}

void ExecutionTriggers::remove(const JobKey& key) {
  const auto it = bindings_.find(key);
  if (it == bindings_.end()) return;
  unwatch(it->second);
  scaler_.remove(text(key));
  bindings_.erase(it);
}

void ExecutionTriggers::stop() {
  for (auto& [key, binding] : bindings_) {
    scaler_.remove(text(key));
    for (Source& source : binding.sources) source.scaler.reset();
  }
}

void ExecutionTriggers::entities_changed() {
  for (auto& [key, binding] : bindings_) locate(binding);
}

// --- whose queues -------------------------------------------------------------------------------

void ExecutionTriggers::locate(Binding& binding) {
  binding.round = ++rounds_;
  bool asked = false;
  for (std::size_t i = 0; i < binding.sources.size(); ++i) {
    if (!binding.sources[i].queue) continue;
    asked = true;
    parts_.feed->locate(*binding.sources[i].queue,
                        [this, key = binding.job.key, round = binding.round,
                         i](Result<Paths> found) { located(key, round, i, std::move(found)); });
  }
  if (!asked && !binding.semantics) decide(binding);
}

void ExecutionTriggers::located(const JobKey& key, std::uint64_t round, std::size_t rule,
                                Result<Paths> found) {
  const auto it = bindings_.find(key);
  if (it == bindings_.end() || it->second.round != round) return;
  Binding& binding = it->second;
  auto& before = binding.sources[rule].found;
  const bool news = !before || !same(*before, found);
  before = std::move(found);
  const bool all = std::ranges::all_of(
      binding.sources, [](const Source& one) { return !one.queue || one.found.has_value(); });
  if (all && (news || !binding.semantics)) decide(binding);
}

bool ExecutionTriggers::can_be_bound(const Binding& binding) const {
  if (binding.job.options.semantics == Semantics::Cloud) return false;
  const bool all_queues = std::ranges::all_of(
      binding.job.rules, [](const auto& rule) { return rule.type == kServiceBus; });
  return all_queues && std::ranges::all_of(binding.sources, [](const Source& source) {
           const bool sums = !source.queue || source.queue->operation == Operation::Sum;
           return sums && source.found && !is_foreign(*source.found);
         });
}

void ExecutionTriggers::decide(Binding& binding) {
  unwatch(binding);
  const bool bound = can_be_bound(binding);
  if (!bound && binding.job.options.semantics == Semantics::Bound)
    parts_.log.warn("a rule means no single queue of this server; counted as in the cloud",
                    {{"job", text(binding.job.key)}});
  binding.semantics = bound ? Semantics::Bound : Semantics::Cloud;
  if (bound)
    bind(binding);
  else
    read_by_polls(binding);
  parts_.begun(binding.job.key);
  changed_();
}

void ExecutionTriggers::unwatch(Binding& binding) {
  for (const std::string& path : std::exchange(binding.watched, {})) {
    parts_.feed->unwatch(path);
    auto& rules = rules_[path];
    std::erase_if(rules, [&](const Rule& rule) { return rule.job == binding.job.key; });
    if (rules.empty()) rules_.erase(path);
  }
}

// --- bound: the broker tells --------------------------------------------------------------------

scale::JobScaler::Spec ExecutionTriggers::spec_of(const Binding& binding) const {
  const ContainerJob& job = binding.job;
  scale::JobScaler::Spec spec{.key = text(job.key),
                              .semantics = binding.semantics == Semantics::Bound
                                               ? scale::JobSemantics::Bound
                                               : scale::JobSemantics::Keda,
                              .polling_interval = job.polling_interval,
                              .min = job.min_executions,
                              .max = job.max_executions,
                              .suspended = job.options.suspended};
  if (!binding.rules) return spec;
  const ScaledJobRules& rules = *binding.rules;
  spec.min = rules.min;
  spec.max = rules.max;
  spec.combination = rules.combination;
  spec.strategy = rules.strategy;
  spec.deduction = rules.deduction;
  spec.percentage = rules.percentage;
  return spec;
}

void ExecutionTriggers::bind(Binding& binding) {
  scale::JobScaler::Spec spec = spec_of(binding);
  for (std::size_t i = 0; i < binding.sources.size(); ++i) {
    const auto& queue = binding.sources[i].queue;
    spec.rules.push_back({.name = binding.job.rules[i].name,
                          .messages = queue ? queue->messages : 1,
                          .activation = queue ? queue->activation : 0});
  }
  const TimePoint now = parts_.clock.now();
  scaler_.put(std::move(spec), now);
  for (std::size_t i = 0; i < binding.sources.size(); ++i) {
    const Result<Paths>& found = *binding.sources[i].found;
    if (!found) {
      scaler_.queue(text(binding.job.key), i, found.error(), now);
      continue;
    }
    if (found->empty()) scaler_.queue(text(binding.job.key), i, scale::JobScaler::Queue{}, now);
    binding.sources[i].states.clear();
    for (const std::string& path : *found) {
      rules_[path].push_back({binding.job.key, static_cast<int>(i)});
      binding.watched.push_back(path);
      parts_.feed->watch(path);
    }
  }
}

std::optional<ExecutionTriggers::QueueState> ExecutionTriggers::told(const Rule& rule,
                                                                     const std::string& path,
                                                                     const QueueState& state) {
  Source& source = bindings_.at(rule.job).sources[static_cast<std::size_t>(rule.index)];
  source.states.insert_or_assign(path, state);
  if (!source.queue->regex) return state;
  if (source.states.size() < (*source.found)->size()) return std::nullopt;
  return sum_of(source.states);
}

const std::vector<ExecutionTriggers::Rule>& ExecutionTriggers::rules_of(
    const std::string& path) const {
  static const std::vector<Rule> none;
  const auto it = rules_.find(path);
  return it != rules_.end() ? it->second : none;
}

std::vector<std::string> ExecutionTriggers::queues_of(const JobKey& key) const {
  std::set<std::string> paths;
  if (const auto it = bindings_.find(key); it != bindings_.end())
    for (const Source& source : it->second.sources)
      if (source.found && *source.found)
        paths.insert((*source.found)->begin(), (*source.found)->end());
  return {paths.begin(), paths.end()};
}

std::optional<Semantics> ExecutionTriggers::semantics(const JobKey& key) const {
  const auto it = bindings_.find(key);
  return it != bindings_.end() ? it->second.semantics : std::nullopt;
}

int ExecutionTriggers::messages(const JobKey& key, int rule) const {
  const auto it = bindings_.find(key);
  if (it == bindings_.end() || rule < 0) return 1;
  const auto index = static_cast<std::size_t>(rule);
  if (index >= it->second.sources.size() || !it->second.sources[index].queue) return 1;
  return static_cast<int>(std::max<std::int64_t>(1, it->second.sources[index].queue->messages));
}

std::vector<std::string> ExecutionTriggers::metric_names(const JobKey& key) const {
  std::vector<std::string> names;
  const auto it = bindings_.find(key);
  if (it == bindings_.end()) return names;
  for (const Source& source : it->second.sources) {
    if (source.scaler == nullptr) return {};
    names.push_back(source.scaler->metric().name);
  }
  return names;
}

// --- cloud: read at the interval ----------------------------------------------------------------

// Its secrets are looked up again.
Result<scale::MetricSpec> ExecutionTriggers::build(Binding& binding, std::size_t rule) {
  Source& source = binding.sources[rule];
  source.scaler.reset();
  TRY(const scale::TriggerSpec spec,
      resolved(binding.job, binding.rules ? &*binding.rules : nullptr, rule, parts_.principal_of));
  TRY(source.scaler, scalers::make_scaler(spec, parts_.context()));
  return source.scaler->metric();
}

void ExecutionTriggers::read_by_polls(Binding& binding) {
  scale::JobScaler::Spec spec = spec_of(binding);
  for (std::size_t i = 0; i < binding.sources.size(); ++i) {
    const executions::ScaleRule& rule = binding.job.rules[i];
    spec.triggers.push_back({.type = rule.type, .name = rule.name, .metric = build(binding, i)});
    if (rule.type == kServiceBus) spec.triggers.back().timeout = kServiceBusTimeout;
  }
  scaler_.put(std::move(spec), parts_.clock.now());
}

void ExecutionTriggers::read(const scale::JobScaler::Read& read) {
  const auto it = bindings_.find(key_of(read.job));
  if (it == bindings_.end() || read.trigger >= it->second.sources.size()) return;
  Source& source = it->second.sources[read.trigger];
  const auto answer = [this, read](Result<scale::Sample> sample) {
    parts_.control.post([this, read, sample = std::move(sample)] {
      scaler_.sample(read, sample, parts_.clock.now());
      changed_();
    });
  };
  if (read.rebuild || source.scaler == nullptr) {
    const auto metric = build(it->second, read.trigger);
    if (!metric) return answer(metric.error());
    scaler_.built(read, *metric);
  }
  source.scaler->read(answer);
}

}  // namespace jobmill::app
