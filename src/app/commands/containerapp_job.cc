// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "app/commands/commands.h"
#include "app/commands/containerapp_common.h"
#include "app/containerapp_yaml.h"
#include "executions/container_job.h"
#include "http/message.h"

// Jobs of Container Apps, as `az containerapp job` has them.
namespace jobmill::app {
namespace {

// --- create and update -------------------------------------------------------------------------

constexpr char kIgnored[] =
    "Additional flags were passed along with --yaml. These flags will be ignored, and the "
    "configuration defined in the yaml will be used instead";

bool has_more_than_yaml(const Arguments& arguments) {
  static constexpr std::array<std::string_view, 15> kBeside{
      "yaml",   "name",   "resource-group", "environment",      "no-wait",
      "output", "query",  "subscription",   "only-show-errors", "verbose",
      "debug",  "server", "user",           "password-file",    "token"};
  for (const auto& [flag, value] : arguments.flags)
    if (std::ranges::find(kBeside, flag) == kBeside.end()) return true;
  return false;
}

// The file of --yaml; az names one that is not there in its own way.
Result<std::string> yaml_text(const std::string& path) {
  auto text = read_text_file(path);
  if (!text && text.error().code == Code::NotFound)
    return fail(Code::InvalidArgument, path + " does not exist");
  return text;
}

Result<JobFile> file_of(const Arguments& arguments, AzClient& client) {
  if (has_more_than_yaml(arguments)) client.warn(kIgnored);
  const std::string path = arguments.get("yaml");
  TRY(const std::string text, yaml_text(path));
  TRY(JobFile file, read_job_file(path, text, arguments.get("name")));
  warn_all(client, file.notes);
  return file;
}

Result<JobFile> new_file(const Arguments& arguments, AzClient& client) {
  TRY_VOID(check_job_name(arguments.get("name")));
  TRY(JobFile file, file_of(arguments, client));
  TRY_VOID(complete_environment(file, arguments.get("environment"), place_of(client),
                                environments_of(client)));
  TRY_VOID(check_job(file, file.resource));
  return file;
}

int create(const Arguments& arguments, AzClient& client, const std::string& name) {
  if (arguments.has("yaml")) {
    const auto file = new_file(arguments, client);
    return file ? store_job(arguments, client, file->name, file->resource)
                : refused(client, file.error());
  }
  const auto draft = new_job(arguments, place_of(client), environments_of(client));
  if (!draft) return refused(client, draft.error());
  warn_all(client, draft->notes);
  return store_job(arguments, client, name, draft->resource);
}

// What the file says, onto what is there.
int update_by_file(const Arguments& arguments, AzClient& client) {
  const auto file = file_of(arguments, client);
  if (!file) return refused(client, file.error());
  const Reply job = client.api().get(job_path(client, file->name));
  if (!job) return refused_job(client, job, file->name);
  const Node merged =
      executions::merge_resource(executions::tidy_resource(job.document), file->resource);
  if (const Status good = check_job(*file, merged); !good) return refused(client, good.error());
  const Reply reply = client.api().patch(job_path(client, file->name), file->resource);
  if (!reply) return refused_job(client, reply, file->name);
  return arguments.has("no-wait") ? kOk : client.print(az_plain_resource(reply.document));
}

int update(const Arguments& arguments, AzClient& client, const std::string& name) {
  if (arguments.has("yaml")) return update_by_file(arguments, client);
  const Reply job = client.api().get(job_path(client, name));
  if (AzClient::is_missing(job))
    return client.not_found(fmt::format("The containerapps job '{}' does not exist", name));
  if (!job) return client.refused(job);
  const auto draft = changed_job(arguments, job.document);
  if (!draft) return refused(client, draft.error());
  warn_all(client, draft->notes);
  return store_job(arguments, client, name, draft->resource);
}

// --- show, list, delete ------------------------------------------------------------------------

int show(const Arguments&, AzClient& client, const std::string& name) {
  const Reply reply = client.api().get(job_path(client, name));
  return reply ? client.print(az_plain_resource(reply.document)) : refused_job(client, reply, name);
}

int list(const Arguments&, AzClient& client) {
  const Reply reply = client.api().get(client.path_of_list("Microsoft.App/jobs"));
  return reply ? client.print(az_plain_resources(reply.document)) : client.refused(reply);
}

const char* without_waiting(const Arguments& arguments) {
  return arguments.has("no-wait") ? "?wait=false" : "";
}

int remove(const Arguments& arguments, AzClient& client, const std::string& name) {
  const std::string question =
      fmt::format("Are you sure you want to delete the containerapp job {}?", name);
  if (const auto exit = client.confirm(arguments, question)) return *exit;
  client.api().be_patient();
  const Reply reply = client.api().remove(job_path(client, name) + without_waiting(arguments));
  if (!reply) return refused_job(client, reply, name);
  client.warn("Containerapp job successfully deleted");
  return kOk;
}

// --- start, stop, suspend ----------------------------------------------------------------------

Result<Node> template_of(const Arguments& arguments, AzClient& client, const Node& job) {
  if (!arguments.has("yaml")) {
    std::vector<std::string> notes;
    auto pod = start_template(arguments, job, notes);
    warn_all(client, notes);
    return pod;
  }
  const std::string path = arguments.get("yaml");
  TRY(const std::string text, yaml_text(path));
  return read_template_file(path, text);
}

int stop_one(const Arguments& arguments, AzClient& client, const std::string& name) {
  const std::string execution = arguments.get("job-execution-name");
  const Reply reply =
      client.api().post(fmt::format("{}/stop/{}{}", job_path(client, name),
                                    http::url_encode(execution), without_waiting(arguments)),
                        Node::object());
  if (!reply) return client.refused(reply);
  return client.print_text(fmt::format("Job Execution: {}, stopped successfully.", execution));
}

int stop(const Arguments& arguments, AzClient& client, const std::string& name) {
  if (arguments.has("execution-name-list")) {
    client.warn("--execution-name-list is deprecated. Please use --job-execution-name instead.");
    return kOk;
  }
  client.api().be_patient();
  if (arguments.has("job-execution-name")) return stop_one(arguments, client, name);
  const Reply reply = client.api().post(
      job_path(client, name) + "/stop" + without_waiting(arguments), Node::object());
  if (!reply) return refused_job(client, reply, name);
  const Node* stopped = reply.document.find("value");
  return client.print(stopped == nullptr ? Node::array() : *stopped);
}

template <bool Suspended>
int set_suspended(const Arguments&, AzClient& client, const std::string& name) {
  Node change = Node::object();
  object_at(change, {"properties", "jobmill"}).set("suspended", Node::boolean(Suspended));
  const Reply reply = client.api().patch(job_path(client, name), change);
  return reply ? client.print(az_plain_resource(reply.document)) : refused_job(client, reply, name);
}

int export_job(const Arguments& arguments, AzClient& client, const std::string& name) {
  const std::string format = arguments.get("format", "yaml");
  if (format != "yaml" && format != "arm")
    return client.usage_error(fmt::format("--format is yaml or arm, not '{}'", format));
  const Reply reply = client.api().get(job_path(client, name));
  if (!reply) return refused_job(client, reply, name);
  const Node file = exported_job(reply.document, format == "arm");
  fmt::print("{}", format == "arm" ? to_json_pretty(file) + "\n" : to_yaml(file));
  return kOk;
}

// --- the table ---------------------------------------------------------------------------------

constexpr Flag kImage{"--image", "IMAGE", "what runs (registry/name:tag)"};
constexpr Flag kContainer{"--container-name", "NAME", "the container (default: the job's name)"};
constexpr Flag kCpu{"--cpu", "N", "cores, 0.25 to 2.0"};
constexpr Flag kMemory{"--memory", "N", "with Gi, 0.5 to 4.0; without a unit it is Gi"};
constexpr Flag kCommand{"--command", "[WORD …]", "in place of the image's; \"\" clears"};
constexpr Flag kArgs{"--args", "[WORD …]", "after the command; \"\" clears"};
constexpr Flag kTimeout{"--replica-timeout", "SECONDS", "how long a replica may run"};
constexpr Flag kRetries{"--replica-retry-limit", "N", "failures that are made good"};
constexpr Flag kCompletions{"--replica-completion-count,--rcc", "N", "replicas that must succeed"};
constexpr Flag kParallelism{"--parallelism", "N", "replicas at one time"};
constexpr Flag kCron{"--cron-expression", "CRON", "five fields, UTC"};
constexpr Flag kMin{"--min-executions", "N", "executions to keep present"};
constexpr Flag kMax{"--max-executions", "N", "unfinished executions at most"};
constexpr Flag kPolling{"--polling-interval", "SECONDS", "between looks at the trigger"};
constexpr Flag kRuleName{"--scale-rule-name,--srn", "NAME", "of the scale rule"};
constexpr Flag kRuleType{"--scale-rule-type,--srt", "TYPE", "such as azure-servicebus"};
constexpr Flag kRuleMetadata{"--scale-rule-metadata,--srm", "[K=V …]", "of the trigger"};
constexpr Flag kRuleAuth{"--scale-rule-auth,--sra", "[PARAMETER=SECRET …]", "of the trigger"};
constexpr Flag kWorkload{"-w,--workload-profile-name", "NAME", "a label"};
constexpr Flag kTags{"--tags", "[K=V …]", "labels"};
constexpr Flag kYaml{"--yaml", "FILE", "all of it from a file; other flags are ignored"};
constexpr Flag kStored{"--no-wait", "", "print nothing"};
constexpr Flag kRunner{"--runner", "KIND", "auto (default), process, oci or kubernetes"};
constexpr Flag kWorkdir{"--workdir", "DIR", "of its processes"};
constexpr Flag kSemantics{"--semantics", "KIND", "bound: executions reserve messages; cloud"};
constexpr Flag kLocks{"--supervisor-locks", "on|off",
                      "locks of messages last as long as their replica (on)"};
constexpr Flag kGrace{"--stop-grace", "SECONDS", "between TERM and KILL (30)"};
constexpr Flag kBackoff{"--retry-backoff", "NONE|SECONDS[,MAX]", "before a retry (10,360)"};
constexpr Flag kStalled{"--stalled-after", "SECONDS",
                        "without a sign of life for so long a replica has failed"};
constexpr Flag kSchedule{"--schedule", "CRON", "starts it too, beside its other trigger (UTC)"};
constexpr Flag kHistory{"--history", "KEEP[,DURATION]", "executions to keep (all,P7D)"};
constexpr Flag kPending{"--pending-limit", "N", "executions of a schedule that may wait"};
constexpr Flag kTrigger{"--trigger", "RULE…", "a further scale rule, as JSON or YAML"};

constexpr std::array kCreateFlags{
    kJobName,
    Flag{"--environment", "NAME", "the environment, by name or id"},
    Flag{"--trigger-type", "TYPE", "Manual (default), Schedule or Event"},
    kTimeout,
    kRetries,
    kCompletions,
    kParallelism,
    kCron,
    kImage,
    kContainer,
    kCpu,
    kMemory,
    kCommand,
    kArgs,
    Flag{"--env-vars", "[K=V …]", "variables; V may be secretref:NAME"},
    Flag{"-s,--secrets", "[K=V …]", "secrets; V may be keyvaultref:URL,identityref:ID"},
    Flag{"--registry-server", "SERVER", "registry of the image"},
    Flag{"--registry-username", "NAME", "kept and shown"},
    Flag{"--registry-password", "TEXT", "kept as a secret, or secretref:NAME"},
    Flag{"--registry-identity", "ID", "identity for the registry, or system; assigned to the job"},
    kMin,
    kMax,
    kPolling,
    kRuleName,
    kRuleType,
    kRuleMetadata,
    kRuleAuth,
    Flag{"--mi-system-assigned,--system-assigned", "", "an identity of its own"},
    Flag{"--mi-user-assigned,--user-assigned", "[ID …]", "identities, by name or id"},
    kWorkload,
    kTags,
    kYaml,
    kStored,
    kRunner,
    kWorkdir,
    kSemantics,
    kLocks,
    kGrace,
    kBackoff,
    kStalled,
    kSchedule,
    kHistory,
    kPending,
    kTrigger,
};
constexpr std::array kUpdateFlags{
    kJobName,
    kImage,
    kContainer,
    kTimeout,
    kRetries,
    kCompletions,
    kParallelism,
    kCron,
    Flag{"--set-env-vars", "[K=V …]", "variables to add or change"},
    Flag{"--remove-env-vars", "[NAME …]", "variables to remove"},
    Flag{"--replace-env-vars", "[K=V …]", "these, and no others"},
    Flag{"--remove-all-env-vars", "", "none"},
    kCpu,
    kMemory,
    kCommand,
    kArgs,
    kRuleName,
    kRuleType,
    kRuleMetadata,
    kRuleAuth,
    kPolling,
    kMin,
    kMax,
    kTags,
    kWorkload,
    kYaml,
    kStored,
    kRunner,
    kWorkdir,
    kSemantics,
    kLocks,
    kGrace,
    kBackoff,
    kStalled,
    kSchedule,
    kHistory,
    kPending,
    kTrigger,
};
constexpr std::array kNameFlags{kJobName};
constexpr Flag kHurry{"--no-wait", "", "do not wait for processes to end"};
constexpr std::array kDeleteFlags{kJobName, kYes, kHurry};
constexpr std::array kStartFlags{
    kJobName,
    kImage,
    kContainer,
    Flag{"--env-vars", "[K=V …]", "variables to add or change, this time"},
    kCommand,
    kArgs,
    kCpu,
    kMemory,
    Flag{"--registry-identity", "ID", "no effect"},
    Flag{"--yaml", "FILE", "the template from a file"},
    kStored,
};
constexpr std::array kStopFlags{
    kJobName,
    Flag{"--job-execution-name", "NAME", "this one only"},
    Flag{"--execution-name-list", "[NAME …]", "deprecated"},
    kHurry,
};
constexpr std::array kExportFlags{kJobName, Flag{"--format", "FORMAT", "yaml (default) or arm"}};

int start(const Arguments& arguments, AzClient& client, const std::string& name) {
  const auto started = start_job(arguments, client, name);
  if (!started.reply) return *started.exit;
  return arguments.has("no-wait") ? kOk : client.print(*started.reply);
}

}  // namespace

Started start_job(const Arguments& arguments, AzClient& client, const std::string& name) {
  const Reply job = client.api().get(job_path(client, name));
  if (!job) return {.exit = refused_job(client, job, name)};
  const auto pod = template_of(arguments, client, job.document);
  if (!pod) return {.exit = refused(client, pod.error())};
  Reply reply =
      client.api().post(job_path(client, name) + "/start", pod->is_null() ? Node::object() : *pod);
  if (!reply) return {.exit = refused_job(client, reply, name)};
  return {.reply = std::move(reply.document)};
}

const std::array<Command, 10> kContainerJobCommands{
    az("containerapp job create", "Create a job, or replace one.", kCreateFlags, named<create>),
    az("containerapp job update", "Change a job; what is not named stays.", kUpdateFlags,
       named<update>),
    az("containerapp job show", "Show a job.", kNameFlags, named<show>),
    az("containerapp job list", "List the jobs.", {}, with_client<list>),
    az("containerapp job delete", "Stop the executions of a job and delete it.", kDeleteFlags,
       named<remove>),
    az("containerapp job start", "Start an execution.", kStartFlags, named<start>),
    az("containerapp job stop", "Stop executions.", kStopFlags, named<stop>),
    az("containerapp job suspend", "Let triggers start nothing; what runs goes on.", kNameFlags,
       named<set_suspended<true>>),
    az("containerapp job resume", "Let triggers start executions again.", kNameFlags,
       named<set_suspended<false>>),
    az("containerapp job export", "Print a job as a file to create it from.", kExportFlags,
       named<export_job>),
};

}  // namespace jobmill::app
