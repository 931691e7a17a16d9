// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/document.h"
#include "base/secret.h"
#include "manifest/object.h"

// The definition of a job as Azure Container Apps has it: what runs, and what starts it. The field
// names are those of Microsoft.App/jobs (2025-07-01).
namespace jobmill::executions {

using manifest::Texts;

// Names of secrets have no case.
struct NoCase {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const;
};

// Resource group and name; both lower case.
struct JobKey {
  std::string group;
  std::string name;
  auto operator<=>(const JobKey&) const = default;
};

enum class TriggerType { Manual, Schedule, Event };

// How many executions an event starts. Bound: each reserves the messages that it is for; Cloud: the
// arithmetic of a ScaledJob.
enum class Semantics { Bound, Cloud };

enum class RunnerKind { Auto, Process, Oci, Kubernetes };

// One entry of scale.rules.
struct ScaleRule {
  struct Auth {
    std::string secret;     // name of a secret of the job
    std::string parameter;  // of the trigger
  };
  std::string name;
  std::string type;  // lower case: "azure-servicebus"
  Texts metadata;
  std::vector<Auth> auth;
  std::string identity;  // resource id or "system"; empty: none
};

struct EnvVar {
  std::string name;
  std::string value;
  std::string secret;  // name of a secret of the job, instead of `value`
};

struct Container {
  std::string name;
  std::string image;
  std::vector<std::string> command;
  std::vector<std::string> args;
  std::vector<EnvVar> env;
  std::optional<std::int64_t> cpu_milli;
  std::optional<std::int64_t> memory_bytes;
};

// The first container is the replica; others run beside it and are stopped with it.
struct Template {
  std::vector<Container> containers;
  std::vector<Container> init_containers;  // run before, one after the other
};

struct AssignedIdentities {
  bool system = false;
  std::vector<std::string> user;  // resource ids, lower case
  bool any() const { return system || !user.empty(); }
};

struct Backoff {  // between a failed replica and its successor; it doubles
  Duration first = std::chrono::seconds(10);
  Duration longest = std::chrono::seconds(360);
};

struct History {
  std::optional<int> keep;  // this many finished executions; none: all
  Duration age = std::chrono::hours(24 * 7);
};

// What jobmill adds, under properties.jobmill.
struct JobOptions {
  RunnerKind runner = RunnerKind::Auto;
  std::string workdir;                 // of its processes; empty: a folder of their own
  std::optional<Semantics> semantics;  // none: bound where every rule allows it
  bool supervisor_locks = true;        // the lock of a message lasts as long as its process
  Duration stop_grace = std::chrono::seconds(30);  // between TERM and KILL
  Backoff backoff;
  std::optional<Duration> stalled_after;  // without a sign of life a replica has failed
  History history;
  std::string schedule;              // five fields, UTC: starts it beside its other trigger
  std::optional<int> pending_limit;  // of executions that a schedule starts
  bool suspended = false;            // its triggers start nothing
};

struct ContainerJob {
  JobKey key;
  TriggerType trigger = TriggerType::Manual;
  std::optional<Duration> replica_timeout;  // only a ScaledJob may have none
  int retry_limit = 0;
  int completions = 1;
  int parallelism = 1;
  std::string cron;  // five fields, UTC; of Schedule or options.schedule; empty: none
  Duration polling_interval = std::chrono::seconds(30);
  int min_executions = 0;
  int max_executions = 100;
  std::vector<ScaleRule> rules;  // of Event
  Template pod;
  AssignedIdentities identity;
  JobOptions options;

  std::map<std::string, Secret, NoCase> secrets;  // names and values
  // Names of secrets, and the URLs in a key vault that have their values.
  std::map<std::string, std::string, NoCase> vault;
  // The resource as GET shows it: everything that was said, also what means nothing here, without
  // the values of secrets.
  Node document;
  std::int64_t generation = 1;  // grows with each change
  TimePoint created{};
  TimePoint updated{};
};

// Reads a resource (the body of a PUT, or a file of --yaml after tidy_resource). What is wrong goes
// to `problems` with its line and path, and with the nearest known name; the job is to be used only
// when they are ok(). Values of secrets end in `secrets` and are gone from `document`.
ContainerJob decode_job(const JobKey& key, const Node& resource, manifest::Problems& problems);

// Brings the shapes that az accepts into one: snake_case names, members that belong under
// `properties`, managedEnvironmentId; drops what is read-only.
Node tidy_resource(Node resource);
// The path of a member of tidy_resource(written), "properties.template.containers[0].image", as its
// author wrote it. What he did not write keeps its name.
std::string path_as_written(const Node& written, std::string_view path);

// PATCH: members of `change` replace those of `resource`, objects member by member; null members
// are left out; `eventTriggerConfig.scale` replaces as a whole.
Node merge_resource(const Node& resource, const Node& change);

// Reads {containers, initContainers}: the body of `start`.
Template decode_template(const Node& node, manifest::Problems& problems);
Node to_document(const Template& pod);

// az's rule: a letter first, then letters, digits and single hyphens, 32 characters at most; in any
// case.
bool is_job_name(std::string_view name);
// Letters, digits, hyphens, underscores, periods and parentheses, 90 characters at most, no period
// at the end. Folders of logs have this name.
bool is_group_name(std::string_view name);

}  // namespace jobmill::executions
