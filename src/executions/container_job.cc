// SPDX-License-Identifier: Apache-2.0
#include "executions/container_job.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "base/text.h"
#include "executions/job_fields.h"

namespace jobmill::executions {
namespace {

using manifest::Problems;
using manifest::Unknown;

constexpr std::string_view kJobType = "Microsoft.App/jobs";

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

// Reads one resource and says what is wrong with it.
class JobDecoder {
 public:
  explicit JobDecoder(const JobKey& key) { job_.key = key; }

  ContainerJob decode(const Node& resource, Problems& problems) {
    Fields fields(resource, "", Unknown::Refused, problems);
    check_name(fields);
    read_envelope(fields);
    fields.required_object("properties", [&](Fields& f) { read_properties(f); });
    return std::move(job_);
  }

 private:
  void check_name(Fields& fields) const {
    if (!is_group_name(job_.key.group))
      fields.error("id", "'" + job_.key.group +
                             "' is no name of a resource group: letters, "
                             "digits, hyphens, underscores, periods and parentheses, at most 90");
    if (is_job_name(job_.key.name)) return;
    fields.error("name", "Invalid ContainerAppJob name " + job_.key.name +
                             ". A name must consist of lower case alphanumeric characters or "
                             "'-', start with a letter, end with an alphanumeric character, "
                             "cannot have '--', and must be less than 32 characters.");
  }

  void read_envelope(Fields& fields) {
    fields.text("name");  // that of the path counts
    fields.text("location");
    fields.accept({"id", "kind", "extendedLocation", "resourceGroup", "systemData", "etag"});
    scalar_texts(fields, "tags");
    const std::string type = fields.text("type");
    if (!type.empty() && lower(type) != lower(kJobType))
      fields.error("type", "Containerapp job type must be \"Microsoft.App/jobs\"");
    fields.object("identity", [&](Fields& f) { job_.identity = read_identity(f); });
  }

  void read_properties(Fields& fields) {
    fields.accept(
        {"provisioningState", "runningStatus", "outboundIpAddresses", "eventStreamEndpoint"});
    fields.text("environmentId");
    fields.text("workloadProfileName");
    fields.required_object("configuration", [&](Fields& f) { read_configuration(f); });
    fields.required_object("template", [&](Fields& f) { job_.pod = read_checked_template(f); });
    fields.object("jobmill", [&](Fields& f) {
      job_.options = read_options(f);
      add_schedule(f);
    });
  }

  void read_configuration(Fields& fields) {
    fields.each("secrets", [&](Fields& f) { read_secret(f); });
    fields.each("registries", [&](Fields& f) { read_registry(f); });
    fields.accept({"identitySettings"});
    if (const auto type = any_case_word(fields, "triggerType", kTriggerTypes))
      job_.trigger = TriggerType(*type);
    if (const auto timeout = fields.required_integer("replicaTimeout", {.least = 1}))
      job_.replica_timeout = std::chrono::seconds(*timeout);
    job_.retry_limit = fields.integer("replicaRetryLimit", {.least = 0}).value_or(0);
    read_trigger(fields, "manualTriggerConfig", TriggerType::Manual);
    read_trigger(fields, "scheduleTriggerConfig", TriggerType::Schedule);
    read_trigger(fields, "eventTriggerConfig", TriggerType::Event);
    if (job_.trigger == TriggerType::Schedule && !fields.has("scheduleTriggerConfig"))
      fields.error("scheduleTriggerConfig", "required with triggerType Schedule");
  }

  void read_secret(Fields& fields) {
    const std::string name = fields.required_text("name");
    const std::string value = scalar_text(fields, "value");
    const std::string vault = fields.text("keyVaultUrl");
    fields.text("identity");
    if (!secret_names_.insert(name).second)
      fields.error("name", "Duplicate secret \"" + name + "\" found, secret names must be unique.");
    if (fields.has("value") && !vault.empty())
      fields.error("value", "not together with keyVaultUrl");
    if (!vault.empty()) job_.vault.insert_or_assign(name, vault);
    if (fields.has("value")) job_.secrets.insert_or_assign(name, Secret(value));
  }

  void read_registry(Fields& fields) {
    const std::string server = fields.required_text("server");
    fields.text("username");
    fields.text("identity");
    check_secret(fields, "passwordSecretRef", fields.text("passwordSecretRef"),
                 "registry " + server);
  }

  // Configurations of other trigger types are read all the same: a mistake in them would show only
  // when the type is changed.
  void read_trigger(Fields& fields, std::string_view key, TriggerType type) {
    const bool used = type == job_.trigger;
    fields.object(key, [&](Fields& f) {
      const int completions = f.integer("replicaCompletionCount", {.least = 1}).value_or(1);
      const int parallelism = f.integer("parallelism", {.least = 1}).value_or(1);
      if (used) job_.completions = completions;
      if (used) job_.parallelism = parallelism;
      if (type == TriggerType::Schedule) read_schedule(f, used);
      if (type == TriggerType::Event) f.object("scale", [&](Fields& s) { read_scale(s, used); });
    });
    if (!used && fields.has(key))
      fields.problems().note(*fields.node().find(key), fields.path_to(key) +
                                                           ": no effect with triggerType " +
                                                           std::string(to_string(job_.trigger)));
  }

  void read_schedule(Fields& fields, bool used) {
    if (used) fields.required_text("cronExpression");
    const std::string cron = read_cron(fields, "cronExpression");
    if (used) job_.cron = cron;
  }

  // A second schedule would be one too many: cron has lists and ranges.
  void add_schedule(Fields& fields) {
    if (job_.options.schedule.empty()) return;
    if (job_.trigger == TriggerType::Schedule)
      return fields.error("schedule", "triggerType Schedule has its own: cronExpression");
    job_.cron = job_.options.schedule;
  }

  void read_scale(Fields& fields, bool used) {
    const auto interval = fields.seconds("pollingInterval", {.least = 1});
    const auto min = fields.integer("minExecutions", {.least = 0});
    const auto max = fields.integer("maxExecutions", {.least = 1});
    std::vector<ScaleRule> rules;
    fields.each("rules", [&](Fields& f) { rules.push_back(checked_rule(f, rules)); });
    if (!used) return;
    job_.polling_interval = interval.value_or(job_.polling_interval);
    job_.min_executions = min.value_or(job_.min_executions);
    job_.max_executions = max.value_or(job_.max_executions);
    job_.rules = std::move(rules);
  }

  ScaleRule checked_rule(Fields& fields, const std::vector<ScaleRule>& before) const {
    ScaleRule rule = read_rule(fields);
    fields.required_text("name");
    fields.required_text("type");
    const auto same = [&](const ScaleRule& other) { return other.name == rule.name; };
    if (std::any_of(before.begin(), before.end(), same))
      fields.error("name", "Duplicate scale rule " + json_quote(rule.name) +
                               " found, rule names must be unique.");
    for (const ScaleRule::Auth& auth : rule.auth)
      check_secret(fields, "auth", auth.secret, "scale rule " + rule.name);
    return rule;
  }

  Template read_checked_template(Fields& fields) const {
    std::set<std::string, std::less<>> names;
    Template pod = read_template(fields, [&](Fields& f, const Container& container) {
      f.required_text("image");
      if (!names.insert(container.name).second)
        f.error("name", "Duplicate container " + json_quote(container.name) +
                            " found, container names must be unique.");
      check_variables(f, container);
    });
    if (pod.containers.empty()) fields.error("containers", "at least one is needed");
    return pod;
  }

  void check_variables(Fields& fields, const Container& container) const {
    std::set<std::string_view> names;
    for (const EnvVar& variable : container.env) {
      if (!names.insert(variable.name).second)
        fields.error("env", "Duplicate environment variable " + variable.name +
                                " found, environment variable names must be unique.");
      check_secret(fields, "env", variable.secret, "environment variable " + variable.name);
    }
  }

  void check_secret(Fields& fields, std::string_view key, const std::string& secret,
                    const std::string& by) const {
    if (secret.empty() || secret_names_.contains(secret)) return;
    // az's words, which say where by themselves.
    const Node* at = fields.node().find(key);
    fields.problems().error(at ? *at : fields.node(),
                            "Secret " + quoted(secret) + " referenced by " + by +
                                " does not exist in job " + job_.key.name);
  }

  ContainerJob job_;
  std::set<std::string, NoCase> secret_names_;
};

void forget_secret_values(Node& resource) {
  Node* properties = resource.find("properties");
  Node* configuration = properties ? properties->find("configuration") : nullptr;
  Node* secrets = configuration ? configuration->find("secrets") : nullptr;
  if (!secrets) return;
  for (Node& secret : secrets->items)
    std::erase_if(secret.members, [](const Node::Member& member) { return member.key == "value"; });
}

// With the names that the path gives, the rest in the order written.
Node shown(const JobKey& key, Node resource) {
  if (!resource.is_object()) return resource;
  forget_secret_values(resource);
  resource.set("name", Node::string(key.name));
  resource.set("type", Node::string(kJobType));
  return resource;
}

}  // namespace

bool NoCase::operator()(std::string_view a, std::string_view b) const {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      [](char x, char y) { return lower(x) < lower(y); });
}

ContainerJob decode_job(const JobKey& key, const Node& resource, Problems& problems) {
  Node document = shaped(resource);
  ContainerJob job = JobDecoder(key).decode(document, problems);
  job.document = shown(key, std::move(document));
  return job;
}

Template decode_template(const Node& node, Problems& problems) {
  Fields fields(node, "", Unknown::Refused, problems);
  Template pod =
      read_template(fields, [](Fields& f, const Container&) { f.required_text("image"); });
  if (pod.containers.empty()) fields.error("containers", "at least one is needed");
  return pod;
}

bool is_group_name(std::string_view name) {
  const auto fits = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) ||
           std::string_view("-_.()").find(c) != std::string_view::npos;
  };
  return !name.empty() && name.size() <= 90 && name.back() != '.' &&
         std::all_of(name.begin(), name.end(), fits);
}

bool is_job_name(std::string_view name) {
  const auto is_letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
  const auto fits = [](char c) { return c == '-' || std::isalnum(static_cast<unsigned char>(c)); };
  if (name.empty() || name.size() > 32 || !is_letter(name.front()) || name.back() == '-')
    return false;
  return std::all_of(name.begin(), name.end(), fits) && name.find("--") == name.npos;
}

}  // namespace jobmill::executions
