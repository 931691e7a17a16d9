// SPDX-License-Identifier: Apache-2.0
#include "app/containerapp_flags.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <utility>

#include <fmt/core.h>

#include "base/text.h"
#include "executions/container_job.h"

namespace jobmill::app {
namespace {

constexpr char kQuickstart[] = "mcr.microsoft.com/k8se/quickstart:latest";
constexpr std::string_view kSystem = "system";

Fault invalid(std::string text) { return fail(Code::InvalidArgument, std::move(text)); }
Fault usage(std::string text) { return fail(Code::Unsupported, std::move(text)); }

// --- triggers ----------------------------------------------------------------------------------

constexpr std::array<std::string_view, 3> kTriggers{"Manual", "Schedule", "Event"};
constexpr std::array<const char*, 7> kScaleFlags{
    "min-executions",  "max-executions",      "polling-interval", "scale-rule-name",
    "scale-rule-type", "scale-rule-metadata", "scale-rule-auth"};

Result<std::string> one_of(std::string_view flag, std::string_view text,
                           std::span<const std::string_view> words) {
  std::string known;
  for (const std::string_view word : words) {
    if (same_text(word, text)) return std::string(word);
    known += fmt::format("{}'{}'", known.empty() ? "" : ", ", word);
  }
  return usage(fmt::format("argument --{}: '{}' is not a valid value. Allowed values: {}.", flag,
                           text, known));
}

// "Event" -> "eventTriggerConfig"
std::string trigger_config(const std::string& trigger) { return lower(trigger) + "TriggerConfig"; }

void note_idle_flags(const Arguments& arguments, const std::string& trigger,
                     std::vector<std::string>& notes) {
  const auto note = [&](std::string_view flag) {
    if (arguments.has(flag))
      notes.push_back(fmt::format("--{} has no effect with the trigger type {}.", flag, trigger));
  };
  if (trigger != "Schedule") note("cron-expression");
  if (trigger != "Event")
    for (const char* flag : kScaleFlags) note(flag);
}

// Sets a number that a flag gives, or its default.
Status set_number(Node& object, const char* member, const Arguments& arguments,
                  std::string_view flag, std::int64_t least,
                  std::optional<std::int64_t> otherwise = {}) {
  TRY(const auto given, whole_number(arguments, flag, least));
  const auto value = given ? given : otherwise;
  if (value) object.set(member, Node::integer(*value));
  return {};
}

Status set_counts(Node& config, const Arguments& arguments, std::optional<std::int64_t> otherwise) {
  TRY_VOID(set_number(config, "replicaCompletionCount", arguments, "replica-completion-count", 1,
                      otherwise));
  return set_number(config, "parallelism", arguments, "parallelism", 1, otherwise);
}

Result<std::optional<Node>> rule_of(const Arguments& arguments, std::vector<std::string>& notes) {
  if (!arguments.has("scale-rule-name")) {
    for (const char* flag : {"scale-rule-type", "scale-rule-metadata", "scale-rule-auth"})
      if (arguments.has(flag))
        notes.push_back(fmt::format("--{} has no effect without --scale-rule-name.", flag));
    return std::optional<Node>();
  }
  if (!arguments.has("scale-rule-type"))
    return invalid("Usage error: --scale-rule-type is required with --scale-rule-name");
  Node rule = Node::object();
  rule.set("name", Node::string(arguments.get("scale-rule-name")));
  rule.set("type", Node::string(lower(arguments.get("scale-rule-type"))));
  TRY(Node metadata, scale_metadata(values_of(arguments, "scale-rule-metadata")));
  rule.set("metadata", std::move(metadata));
  TRY(Node auth, scale_auth(values_of(arguments, "scale-rule-auth")));
  rule.set("auth", std::move(auth));
  return std::optional(std::move(rule));
}

// Each --trigger is a rule by itself, as it would stand in a file.
Result<std::vector<Node>> rules_of(const Arguments& arguments, std::vector<std::string>& notes) {
  std::vector<Node> rules;
  TRY(auto first, rule_of(arguments, notes));
  if (first) rules.push_back(*std::move(first));
  for (const std::string& text : arguments.all("trigger")) {
    auto documents = parse_yaml(text);
    if (!documents) return invalid("--trigger: " + documents.error().message);
    if (documents->size() != 1 || !documents->front().is_object())
      return invalid("--trigger: expected a rule: {name, type, metadata, auth}");
    rules.push_back(std::move(documents->front()));
  }
  return rules;
}

// A rule of the same name is replaced, another one comes after those that are there.
void put_rule(Node& rules, Node rule) {
  if (Node* old = named_in(&rules, "name", text_at(rule, {"name"})))
    *old = std::move(rule);
  else
    rules.push(std::move(rule));
}

struct ScaleDefaults {
  std::optional<std::int64_t> polling{}, min{}, max{};
};

Status set_scale(Node& config, const Arguments& arguments, const ScaleDefaults& otherwise,
                 std::vector<std::string>& notes) {
  Node& scale = object_at(config, {"scale"});
  TRY_VOID(
      set_number(scale, "pollingInterval", arguments, "polling-interval", 1, otherwise.polling));
  TRY_VOID(set_number(scale, "minExecutions", arguments, "min-executions", 0, otherwise.min));
  TRY_VOID(set_number(scale, "maxExecutions", arguments, "max-executions", 1, otherwise.max));
  TRY(std::vector<Node> rules, rules_of(arguments, notes));
  for (Node& rule : rules) put_rule(list_at(scale, {"rules"}), std::move(rule));
  return {};
}

// --- what is jobmill's own ---------------------------------------------------------------------

Status set_word(Node& options, const char* member, const Arguments& arguments,
                std::string_view flag, std::span<const std::string_view> words) {
  if (!arguments.has(flag)) return {};
  TRY(const std::string word, one_of(flag, arguments.get(flag), words));
  options.set(member, Node::string(word));
  return {};
}

Status set_options(Node& job, const Arguments& arguments) {
  static constexpr std::array<std::string_view, 4> kRunners{"auto", "process", "oci", "kubernetes"};
  static constexpr std::array<std::string_view, 2> kSemantics{"bound", "cloud"};
  static constexpr std::array<std::string_view, 2> kSwitch{"on", "off"};
  Node options = Node::object();
  if (const Node* now = find_at(job, {"properties", "jobmill"})) options = *now;
  TRY_VOID(set_word(options, "runner", arguments, "runner", kRunners));
  TRY_VOID(set_word(options, "semantics", arguments, "semantics", kSemantics));
  if (arguments.has("supervisor-locks")) {
    TRY(const std::string word,
        one_of("supervisor-locks", arguments.get("supervisor-locks"), kSwitch));
    options.set("supervisorLocks", Node::boolean(same_text(word, kSwitch.front())));
  }
  if (arguments.has("workdir"))
    options.set(
        "workdir",
        Node::string(
            std::filesystem::absolute(arguments.get("workdir")).lexically_normal().string()));
  TRY_VOID(set_number(options, "stopGrace", arguments, "stop-grace", 0));
  TRY_VOID(set_number(options, "stalledAfter", arguments, "stalled-after", 1));
  TRY_VOID(set_number(options, "pendingLimit", arguments, "pending-limit", 1));
  if (arguments.has("retry-backoff"))
    options.set("retryBackoff", Node::string(lower(arguments.get("retry-backoff"))));
  if (arguments.has("schedule")) options.set("schedule", Node::string(arguments.get("schedule")));
  if (arguments.has("history")) options.set("history", Node::string(arguments.get("history")));
  if (!options.members.empty()) object_at(job, {"properties"}).set("jobmill", std::move(options));
  return {};
}

// --- containers --------------------------------------------------------------------------------

// What the flags say of a container besides its environment.
Status set_container(Node& container, const Arguments& arguments) {
  if (arguments.has("image")) container.set("image", Node::string(arguments.get("image")));
  if (arguments.has("cpu")) {
    TRY(Node value, cpu(arguments.get("cpu")));
    object_at(container, {"resources"}).set("cpu", std::move(value));
  }
  if (arguments.has("memory")) {
    TRY(Node value, memory(arguments.get("memory")));
    object_at(container, {"resources"}).set("memory", std::move(value));
  }
  for (const char* flag : {"command", "args"})
    if (arguments.has(flag)) container.set(flag, word_list(arguments, flag));
  return {};
}

// Variables of the same name, in any case, are replaced.
void merge_env(Node& env, const Node& given) {
  for (const Node& variable : given.items)
    if (Node* old = named_in(&env, "name", text_at(variable, {"name"})))
      *old = variable;
    else
      env.push(variable);
}

// In az's order: set, replace, remove, remove all.
Status change_env(Node& container, const Arguments& arguments, std::vector<std::string>& notes) {
  Node& env = list_at(container, {"env"});
  TRY(const Node set, env_vars(values_of(arguments, "set-env-vars"), notes));
  merge_env(env, set);
  if (arguments.has("replace-env-vars")) {
    TRY(env, env_vars(values_of(arguments, "replace-env-vars"), notes));
  }
  for (const std::string& name : values_of(arguments, "remove-env-vars")) {
    const Node* found = named_in(&env, "name", name);
    if (found == nullptr)
      notes.push_back(fmt::format("Environment variable {} does not exist.", name));
    else
      env.items.erase(env.items.begin() + (found - env.items.data()));
  }
  if (arguments.has("remove-all-env-vars")) env = Node::array();
  return {};
}

bool has_any(const Arguments& arguments, std::initializer_list<const char*> flags) {
  return std::ranges::any_of(flags, [&](const char* flag) { return arguments.has(flag); });
}

// The container that --container-name names, or the only one. One that is not there is added.
Result<Node*> container_to_change(Node& containers, const Arguments& arguments) {
  if (!arguments.has("container-name")) {
    if (containers.items.size() == 1) return &containers.items.front();
    return invalid("Usage error: --container-name is required when adding or updating a container");
  }
  const std::string name = arguments.get("container-name");
  if (Node* found = named_in(&containers, "name", name)) return found;
  if (!arguments.has("image"))
    return invalid("Usage error: --image is required when adding a new container");
  Node added = Node::object();
  added.set("name", Node::string(name));
  containers.push(std::move(added));
  return &containers.items.back();
}

Status change_container(Node& job, const Arguments& arguments, std::vector<std::string>& notes) {
  const bool env = has_any(
      arguments, {"set-env-vars", "remove-env-vars", "replace-env-vars", "remove-all-env-vars"});
  if (!env && !has_any(arguments, {"image", "container-name", "cpu", "memory", "command", "args"}))
    return {};
  Node& containers = list_at(job, {"properties", "template", "containers"});
  TRY(Node * container, container_to_change(containers, arguments));
  TRY_VOID(set_container(*container, arguments));
  return env ? change_env(*container, arguments, notes) : Status();
}

// --- create ------------------------------------------------------------------------------------

bool is_system(std::string_view identity) { return same_text(identity, kSystem); }

Status check_registry_identity(const Arguments& arguments) {
  const std::string identity = arguments.get("registry-identity");
  if (identity.empty()) return {};
  if (has_any(arguments, {"registry-username", "registry-password"}))
    return invalid("Cannot provide both registry identity and username/password");
  if (is_system(identity) && arguments.has("no-wait"))
    return invalid("--no-wait is not supported with system registry identity");
  if (!is_system(identity) && !is_resource_id(identity))
    return invalid("--registry-identity must be an identity resource ID or 'system'");
  if (is_azure_registry(arguments.get("registry-server"))) return {};
  return invalid(
      "--registry-identity: expected an ACR registry (*.azurecr.io / *.azurecr.cn / "
      "*.azurecr.us) for --registry-server");
}

Status check_registry(const Arguments& arguments) {
  TRY_VOID(check_registry_identity(arguments));
  const bool server = arguments.has("registry-server");
  const bool user = arguments.has("registry-username");
  const bool password = arguments.has("registry-password");
  const bool azure = server && is_azure_registry(arguments.get("registry-server"));
  const bool none = !server && !user && !password;
  if (none || azure || (server && user && password)) return {};
  return invalid(
      "Usage error: --registry-server, --registry-password and --registry-username are required "
      "together if not using Azure Container Registry");
}

class NewJob {
 public:
  NewJob(const Arguments& arguments, const Place& place) : arguments_(arguments), place_(place) {}

  Result<JobDraft> read(const FindEnvironment& find_environment) {
    TRY_VOID(check_job_name(arguments_.get("name")));
    TRY_VOID(check_registry(arguments_));
    TRY_VOID(read_required());
    TRY_VOID(read_environment(find_environment));
    TRY_VOID(read_trigger());
    TRY_VOID(read_container());
    TRY_VOID(read_secrets());
    read_identities();
    TRY_VOID(read_registry());
    TRY(Node given, tags(values_of(arguments_, "tags")));
    job().set("tags", std::move(given));
    if (arguments_.has("workload-profile-name"))
      object_at(job(), {"properties"})
          .set("workloadProfileName", Node::string(arguments_.get("workload-profile-name")));
    TRY_VOID(set_options(job(), arguments_));
    return std::move(draft_);
  }

 private:
  Node& job() { return draft_.resource; }
  Node& configuration() { return object_at(job(), {"properties", "configuration"}); }

  Status read_required() {
    job().set("name", Node::string(arguments_.get("name")));
    for (const char* flag : {"replica-timeout", "replica-retry-limit"})
      if (!arguments_.has(flag)) return invalid(fmt::format("Usage error: --{} is required", flag));
    if (!arguments_.has("environment"))
      return invalid("Usage error: --environment is required if not using --yaml");
    return {};
  }

  Status read_environment(const FindEnvironment& find_environment) {
    const std::string id = resource_id(place_, kEnvironmentType, arguments_.get("environment"));
    const auto environment = find_environment(id);
    if (!environment && environment.error().code != Code::NotFound) return environment.error();
    if (!environment)
      return invalid(
          fmt::format("The environment '{}' does not exist. Specify a valid environment", id));
    job().set("location", Node::string(text_at(*environment, {"location"})));
    object_at(job(), {"properties"}).set("environmentId", Node::string(id));
    return {};
  }

  Status read_trigger() {
    TRY(const std::string trigger,
        one_of("trigger-type", arguments_.get("trigger-type", "Manual"), kTriggers));
    if (same_text(trigger, "Schedule") && !arguments_.has("cron-expression"))
      return invalid("Usage error: --cron-expression is required with --trigger-type Schedule");
    note_idle_flags(arguments_, trigger, draft_.notes);
    Node& all = configuration();
    all.set("triggerType", Node::string(trigger));
    TRY_VOID(set_number(all, "replicaTimeout", arguments_, "replica-timeout", 1));
    TRY_VOID(set_number(all, "replicaRetryLimit", arguments_, "replica-retry-limit", 0));
    Node& config = all.set(trigger_config(trigger), Node::object());
    TRY_VOID(set_counts(config, arguments_, 1));
    if (same_text(trigger, "Schedule"))
      config.set("cronExpression", Node::string(arguments_.get("cron-expression")));
    if (!same_text(trigger, "Event")) return {};
    return set_scale(config, arguments_, {.polling = 30, .min = 0, .max = 100}, draft_.notes);
  }

  Status read_container() {
    Node container = Node::object();
    container.set("name", Node::string(arguments_.get("container-name", arguments_.get("name"))));
    container.set("image", Node::string(kQuickstart));
    TRY_VOID(set_container(container, arguments_));
    TRY(Node env, env_vars(values_of(arguments_, "env-vars"), draft_.notes));
    if (!env.items.empty()) container.set("env", std::move(env));
    list_at(job(), {"properties", "template", "containers"}).push(std::move(container));
    return {};
  }

  Status read_secrets() {
    TRY(Node given, secrets(values_of(arguments_, "secrets")));
    if (!given.items.empty()) configuration().set("secrets", std::move(given));
    return {};
  }

  void read_identities() {
    std::vector<std::string> ids;
    for (const std::string& one : values_of(arguments_, "mi-user-assigned"))
      ids.push_back(identity_id(place_, one));
    const bool system = arguments_.has("mi-system-assigned");
    if (system || !ids.empty()) assign_identities(job(), system, ids, draft_.notes);
  }

  Status read_registry() {
    if (!arguments_.has("registry-server")) return {};
    return set_registry(job(),
                        {.server = arguments_.get("registry-server"),
                         .username = arguments_.get("registry-username"),
                         .password = arguments_.get("registry-password"),
                         .identity = arguments_.get("registry-identity")},
                        draft_.notes);
  }

  const Arguments& arguments_;
  const Place& place_;
  JobDraft draft_;
};

// --- update ------------------------------------------------------------------------------------

Status change_trigger(Node& job, const Arguments& arguments, std::vector<std::string>& notes) {
  Node& all = object_at(job, {"properties", "configuration"});
  std::string trigger = text_at(all, {"triggerType"});
  if (trigger.empty()) trigger = "Manual";
  note_idle_flags(arguments, trigger, notes);
  TRY_VOID(set_number(all, "replicaTimeout", arguments, "replica-timeout", 1));
  TRY_VOID(set_number(all, "replicaRetryLimit", arguments, "replica-retry-limit", 0));
  Node& config = object_at(all, {trigger_config(trigger).c_str()});
  TRY_VOID(set_counts(config, arguments, std::nullopt));
  if (trigger == "Schedule" && arguments.has("cron-expression"))
    config.set("cronExpression", Node::string(arguments.get("cron-expression")));
  return trigger == "Event" ? set_scale(config, arguments, {}, notes) : Status();
}

Status change_labels(Node& job, const Arguments& arguments) {
  if (arguments.has("tags")) {
    TRY(Node given, tags(values_of(arguments, "tags")));
    for (Node::Member& tag : given.members)
      object_at(job, {"tags"}).set(tag.key, std::move(tag.value));
  }
  if (arguments.has("workload-profile-name"))
    object_at(job, {"properties"})
        .set("workloadProfileName", Node::string(arguments.get("workload-profile-name")));
  return {};
}

}  // namespace

Status check_job_name(const std::string& name) {
  if (executions::is_job_name(name)) return {};
  return invalid(fmt::format(
      "Invalid ContainerAppJob name {}. A name must consist of lower case alphanumeric characters "
      "or '-', start with a letter, end with an alphanumeric character, cannot have '--', and must "
      "be less than 32 characters.",
      name));
}

Result<JobDraft> new_job(const Arguments& arguments, const Place& place,
                         const FindEnvironment& find_environment) {
  return NewJob(arguments, place).read(find_environment);
}

Result<JobDraft> changed_job(const Arguments& arguments, Node job) {
  JobDraft draft{.resource = std::move(job)};
  TRY_VOID(change_trigger(draft.resource, arguments, draft.notes));
  TRY_VOID(change_container(draft.resource, arguments, draft.notes));
  TRY_VOID(change_labels(draft.resource, arguments));
  TRY_VOID(set_options(draft.resource, arguments));
  return draft;
}

Result<Node> start_template(const Arguments& arguments, const Node& job,
                            std::vector<std::string>& notes) {
  if (!has_any(arguments,
               {"image", "container-name", "env-vars", "command", "args", "cpu", "memory"}))
    return Node();
  Node pod = Node::object();
  if (const Node* known = find_at(job, {"properties", "template"})) pod = *known;
  Node& containers = list_at(pod, {"containers"});
  Node* container = containers.items.empty() ? nullptr : &containers.items.front();
  if (container == nullptr || arguments.has("container-name")) {
    TRY(container, container_to_change(containers, arguments));
  }
  TRY_VOID(set_container(*container, arguments));
  TRY(const Node env, env_vars(values_of(arguments, "env-vars"), notes));
  if (!env.items.empty()) merge_env(list_at(*container, {"env"}), env);
  return pod;
}

}  // namespace jobmill::app
