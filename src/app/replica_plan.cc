// SPDX-License-Identifier: Apache-2.0
#include "app/replica_plan.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "base/duration.h"
#include "broker/address.h"
#include "executions/job_fields.h"

namespace jobmill::app {
namespace {

using executions::Container;
using executions::ContainerJob;
using executions::EnvVar;
using executions::Execution;
using executions::Replica;
using executions::RunContainer;
using executions::RunnerKind;
using executions::RunReplica;
using executions::Texts;

Fault not_runnable(const std::string& image, std::string_view why) {
  return fail(
      Code::Unsupported,
      fmt::format("ImageNotRunnable: {} '{}' in the image map, no container tool found; add "
                  "one with: jobmill image map '{}' --workdir FOLDER -- COMMAND",
                  why, image, image));
}

Result<std::string> value_of(const ContainerJob& job, const EnvVar& variable) {
  if (variable.secret.empty()) return variable.value;
  const auto secret = job.secrets.find(variable.secret);
  if (secret != job.secrets.end()) return secret->second.reveal();
  const auto vault = job.vault.find(variable.secret);
  return fail(
      Code::Unavailable,
      fmt::format("SecretUnavailable: the variable {} refers to the secret '{}', which has "
                  "no value; set it with: {}",
                  variable.name, variable.secret,
                  vault != job.vault.end() ? "jobmill secret set --keyvault-url " + vault->second
                                           : std::string("jobmill containerapp job secret set")));
}

// What everything that runs for an execution is told of itself.
Texts ours(const Execution& execution, const Replica& replica, TimePoint now) {
  Texts texts{{"CONTAINER_APP_JOB_NAME", execution.job.name},
              {"CONTAINER_APP_JOB_EXECUTION_NAME", execution.name},
              {"CONTAINER_APP_REPLICA_NAME", replica.name},
              {"JOBMILL_TRIGGER_NAME", execution.by.name},
              {"JOBMILL_TRIGGER_TYPE", execution.by.type},
              {"JOBMILL_EXECUTION", execution.name},
              {"JOBMILL_REPLICA", replica.name},
              {"JOBMILL_ATTEMPT", std::to_string(replica.attempt)}};
  if (const auto timeout = execution.started.replica_timeout)
    texts["JOBMILL_DEADLINE"] = format_instant(now + *timeout);
  return texts;
}

void add_authority(Texts& environment, const ReplicaFacts& facts) {
  environment.try_emplace("REQUESTS_CA_BUNDLE", facts.data + "/tls/bundle.pem");
  environment.try_emplace("SSL_CERT_FILE", facts.data + "/tls/bundle.pem");
  environment.try_emplace("NODE_EXTRA_CA_CERTS", facts.data + "/tls/ca.pem");
  std::string& path = environment["PYTHONPATH"];
  path = facts.data + "/python" + (path.empty() ? "" : ":" + path);
}

// What these variables lead to, for containers, which have files of their own.
std::vector<std::string> authority_files(const ReplicaFacts& facts) {
  return {facts.data + "/tls/bundle.pem", facts.data + "/tls/ca.pem", facts.data + "/python"};
}

// Builds the containers of one replica.
class Planner {
 public:
  Planner(const ContainerJob& job, const Execution& execution, const LocalImages& images,
          const ReplicaFacts& facts, Texts provided, const std::string& identity_header)
      : job_(job),
        execution_(execution),
        images_(images),
        facts_(facts),
        provided_(std::move(provided)),
        identity_header_(identity_header) {}

  // Of the main container, and so of all.
  Result<RunnerKind> runner(const Container& main) const {
    const auto image = images_.find(main.image);
    RunnerKind kind = job_.options.runner;
    if (kind == RunnerKind::Auto && image) kind = image->runner;
    if (kind == RunnerKind::Kubernetes && !facts_.cluster)
      return fail(Code::Unsupported,
                  "ImageNotRunnable: no cluster is configured for this server; start it with "
                  "--target kubernetes, or use --runner process or --runner oci");
    if (kind != RunnerKind::Auto) return kind;
    if (facts_.cluster) return RunnerKind::Kubernetes;
    if (image) return image->archive.empty() ? RunnerKind::Process : RunnerKind::Oci;
    const bool known = main.command.empty() && facts_.container_images;
    return known ? RunnerKind::Oci : RunnerKind::Process;
  }

  Result<RunContainer> container(const Container& container, RunnerKind runner) const {
    const bool in_cluster = runner == RunnerKind::Kubernetes;
    const auto image = in_cluster ? std::nullopt : images_.find(container.image);
    RunContainer run{.name = container.name,
                     .image = container.image,
                     .command = {},
                     .environment = {},
                     .workdir = job_.options.workdir,
                     .cpu_milli = container.cpu_milli,
                     .memory_bytes = container.memory_bytes};
    if (image && image->off) return not_runnable(container.image, "'off' is the entry for image");
    run.command = container.command;
    if (run.command.empty() && image) run.command = image->command;
    if (in_cluster) {
      run.args = container.args;
    } else if (runner == RunnerKind::Oci) {
      run.args = container.args;
      if (image) run.archive = image->archive;
      if (facts_.own_authority) run.files = authority_files(facts_);
    } else {
      if (run.command.empty()) return not_runnable(container.image, "no entry for image");
      run.command.insert(run.command.end(), container.args.begin(), container.args.end());
    }
    TRY(run.environment, environment(container, image, runner));
    if (run.workdir.empty() && image) run.workdir = image->workdir;
    return run;
  }

 private:
  Result<Texts> environment(const Container& container, const std::optional<LocalImage>& image,
                            RunnerKind runner) const {
    Texts all = runner == RunnerKind::Process ? facts_.inherited : Texts();
    if (image)
      for (const auto& [name, value] : image->env) all[name] = value;
    for (const EnvVar& variable : container.env) {
      TRY(all[variable.name], value_of(job_, variable));
    }
    for (const auto& [name, value] : provided_) all.try_emplace(name, value);
    if (!identity_header_.empty()) {
      all["IDENTITY_ENDPOINT"] = facts_.identity_endpoint;
      all["IDENTITY_HEADER"] = identity_header_;
    }
    if (facts_.own_authority && runner != RunnerKind::Kubernetes) add_authority(all, facts_);
    return all;
  }

  const ContainerJob& job_;
  const Execution& execution_;
  const LocalImages& images_;
  const ReplicaFacts& facts_;
  const Texts provided_;
  const std::string& identity_header_;
};

// Those of the names that the replica may look for.
std::vector<std::string> names_in(const RunReplica& replica,
                                  const std::vector<std::string>& names) {
  const auto has = [](const RunContainer& container, const std::string& name) {
    return std::ranges::any_of(container.environment, [&](const auto& variable) {
      return broker::lower(variable.second).find(name) != std::string::npos;
    });
  };
  std::vector<std::string> found;
  for (const std::string& name : names) {
    const auto here = [&](const RunContainer& container) { return has(container, name); };
    if (here(replica.main) || std::ranges::any_of(replica.init, here) ||
        std::ranges::any_of(replica.beside, here))
      found.push_back(name);
  }
  return found;
}

std::string text_of(const Node* node) {
  const auto text = node != nullptr ? node->as_string() : std::nullopt;
  return std::string(text.value_or(""));
}

LocalImage image_of(const Node& document) {
  LocalImage image{.pattern = text_of(document.find("match")), .command = {}};
  const auto runner = std::ranges::find(executions::kRunners, text_of(document.find("runner")));
  if (runner != executions::kRunners.end())
    image.runner = static_cast<RunnerKind>(runner - executions::kRunners.begin());
  image.archive = text_of(document.find("archive"));
  image.workdir = text_of(document.find("workdir"));
  if (const Node* command = document.find("command"))
    for (const Node& word : command->items) image.command.push_back(text_of(&word));
  if (const Node* env = document.find("env"))
    for (const Node::Member& member : env->members) image.env[member.key] = text_of(&member.value);
  return image;
}

// With the built-in ones.
LocalImages fixed(const LocalImages& configured) {
  LocalImages map = configured;
  for (const char* quickstart : {"mcr.microsoft.com/k8se/quickstart:latest",
                                 "mcr.microsoft.com/k8se/quickstart-jobs:latest"})
    map.add({.pattern = quickstart,
             .command = {"/bin/sh", "-c",
                         "echo \"$CONTAINER_APP_JOB_EXECUTION_NAME runs on this machine\"; echo "
                         "\"Map the image of your own job with: jobmill image map\""}});
  return map;
}

Node document_of(const LocalImage& image) {
  Node entry = Node::object();
  entry.set("match", Node::string(image.pattern));
  entry.set("runner", Node::string(executions::kRunners[static_cast<std::size_t>(image.runner)]));
  entry.set("workdir", Node::string(image.workdir));
  Node& command = entry.set("command", Node::array());
  if (image.off) command.push(Node::string("off"));
  for (const std::string& word : image.command) command.push(Node::string(word));
  Node& env = entry.set("env", Node::object());
  for (const auto& [name, value] : image.env) env.set(name, Node::string(value));
  entry.set("fixed", Node::boolean(true));
  return entry;
}

}  // namespace

Result<RunReplica> plan_replica(const ContainerJob& job, const Execution& execution,
                                const Replica& replica, const LocalImages& images,
                                const ReplicaFacts& facts, const std::string& identity_header,
                                TimePoint now) {
  const executions::Template& pod = execution.started.pod;
  if (pod.containers.empty())
    return fail(Code::Unsupported, "StartError: the job has no container");
  const Planner planner(job, execution, images, facts, ours(execution, replica, now),
                        identity_header);
  RunReplica run{.job = job.key.name,
                 .execution = execution.name,
                 .replica = replica.name,
                 .main = {},
                 .init = {},
                 .beside = {},
                 .local_names = {},
                 .masked = {},
                 .log = {}};
  TRY(run.runner, planner.runner(pod.containers.front()));
  TRY(run.main, planner.container(pod.containers.front(), run.runner));
  for (std::size_t i = 1; i < pod.containers.size(); ++i) {
    TRY(RunContainer beside, planner.container(pod.containers[i], run.runner));
    run.beside.push_back(std::move(beside));
  }
  for (const Container& container : pod.init_containers) {
    TRY(RunContainer init, planner.container(container, run.runner));
    run.init.push_back(std::move(init));
  }
  // What the image itself may say of names is not known here.
  run.local_names = run.runner == RunnerKind::Oci ? facts.names : names_in(run, facts.names);
  run.timeout = execution.started.replica_timeout;
  run.grace = execution.started.options.stop_grace;
  for (const auto& [name, secret] : job.secrets) run.masked.push_back(secret);
  if (!identity_header.empty()) run.masked.emplace_back(identity_header);
  return run;
}

LocalImages image_map(const executions::Resources& resources, const LocalImages& configured) {
  LocalImages map;
  for (const executions::Resource& entry : resources.list(executions::kImages))
    map.add(image_of(entry.document));
  map.add_all(fixed(configured));
  return map;
}

Node fixed_images(const LocalImages& configured) {
  Node list = Node::array();
  const LocalImages map = fixed(configured);
  for (const LocalImage& image : map.entries()) list.push(document_of(image));
  return list;
}

std::string_view site_customize() {
  return R"py(# Written by jobmill for the Python programs that it starts.
#
# certifi, which the Azure libraries ask for authorities, has a list of its own. Here it is that of
# SSL_CERT_FILE: the system's authorities and this server's.
import os
import sys

_bundle = os.environ.get("SSL_CERT_FILE")
if _bundle and os.path.exists(_bundle):
    try:
        import certifi
        import certifi.core
    except ImportError:
        pass
    else:
        def _contents():
            with open(_bundle, encoding="ascii", errors="replace") as file:
                return file.read()

        certifi.where = certifi.core.where = lambda: _bundle
        certifi.contents = certifi.core.contents = _contents

# Another one further down the path is not to be lost.
_here = os.path.dirname(os.path.abspath(__file__))
_path = [entry for entry in sys.path if os.path.abspath(entry or ".") != _here]
try:
    import importlib.machinery
    import importlib.util

    _spec = importlib.machinery.PathFinder.find_spec("sitecustomize", _path)
    if _spec is not None and _spec.loader is not None:
        _spec.loader.exec_module(importlib.util.module_from_spec(_spec))
except ImportError:
    pass
)py";
}

}  // namespace jobmill::app
