// SPDX-License-Identifier: Apache-2.0
#include "targets/kubernetes/replica_job.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <initializer_list>
#include <utility>

#include <fmt/core.h>

#include "base/base64.h"
#include "base/node_path.h"

namespace jobmill::targets {

using executions::ReplicaEnd;
using executions::RunContainer;
using executions::RunReplica;

namespace {

// For what the server does at the end of a time-out, before the cluster does it.
constexpr Duration kTimeoutMargin = std::chrono::seconds(60);

// What a container waits with when there is no use in waiting. ErrImagePull is not among them: it
// is what comes before the first back-off.
constexpr std::array<std::string_view, 5> kNoImage{"ImagePullBackOff", "InvalidImageName",
                                                   "ErrImageNeverPull", "ImageInspectError",
                                                   "RegistryUnavailable"};
constexpr std::string_view kExecutionLabel = "jobmill/execution";
constexpr std::array<std::string_view, 3> kNoStart{"CreateContainerConfigError",
                                                   "CreateContainerError", "RunContainerError"};

int number_at(const Node& node, std::initializer_list<std::string_view> path) {
  const Node* found = find_at(node, path);
  const auto value = found != nullptr ? found->as_int() : std::nullopt;
  return static_cast<int>(value.value_or(0));
}

std::int64_t seconds(Duration duration) {
  return std::chrono::ceil<std::chrono::seconds>(duration).count();
}

// --- the Job ------------------------------------------------------------------------------------

// A text in which Kubernetes must not look for variables.
std::string as_written(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '$' ? "$$" : std::string(1, c);
  return out;
}

Node words(const std::vector<std::string>& list) {
  Node node = Node::array();
  for (const std::string& word : list) node.push(Node::string(as_written(word)));
  return node;
}

Node resources_of(const RunContainer& container) {
  Node amounts = Node::object();
  if (container.cpu_milli)
    amounts.set("cpu", Node::string(fmt::format("{}m", *container.cpu_milli)));
  if (container.memory_bytes)
    amounts.set("memory", Node::string(fmt::format("{}", *container.memory_bytes)));
  Node node = Node::object();
  node.set("requests", amounts);
  node.set("limits", std::move(amounts));
  return node;
}

// Puts a replica's Job together.
class Builder {
 public:
  Builder(const RunReplica& replica, const ReplicaJobOptions& options)
      : replica_(replica), options_(options) {}

  ReplicaJob build() {
    ReplicaJob out;
    Node spec = job_spec();
    out.job = object("batch/v1", "Job");
    out.job.set("spec", std::move(spec));
    if (secret_.members.empty()) return out;
    out.secret = object("v1", "Secret");
    out.secret->set("data", std::move(secret_));
    return out;
  }

 private:
  Node labels() const {
    Node node = Node::object();
    node.set("app.kubernetes.io/managed-by", Node::string("jobmill"));
    node.set("jobmill/job", Node::string(replica_.job));
    node.set(std::string(kExecutionLabel), Node::string(replica_.execution));
    node.set(std::string(kReplicaLabel), Node::string(replica_.replica));
    node.set(std::string(kServerLabel), Node::string(options_.server));
    return node;
  }

  Node object(std::string_view api_version, std::string_view kind) const {
    Node metadata = Node::object();
    metadata.set("name", Node::string(replica_.replica));
    metadata.set("namespace", Node::string(options_.ns));
    metadata.set("labels", labels());
    Node node = Node::object();
    node.set("apiVersion", Node::string(api_version));
    node.set("kind", Node::string(kind));
    node.set("metadata", std::move(metadata));
    return node;
  }

  // Trying again is the execution's.
  Node job_spec() {
    Node spec = Node::object();
    spec.set("parallelism", Node::integer(1));
    spec.set("completions", Node::integer(1));
    spec.set("backoffLimit", Node::integer(0));
    Node& pod = spec.set("template", Node::object());
    pod.set("metadata", Node::object()).set("labels", labels());
    pod.set("spec", pod_spec());
    return spec;
  }

  Node pod_spec() {
    Node spec = Node::object();
    spec.set("restartPolicy", Node::string("Never"));
    spec.set("terminationGracePeriodSeconds", Node::integer(seconds(replica_.grace)));
    if (replica_.timeout)
      spec.set("activeDeadlineSeconds",
               Node::integer(seconds(*replica_.timeout + replica_.grace + kTimeoutMargin)));
    if (!replica_.local_names.empty() && !options_.address.empty())
      spec.set("hostAliases", Node::array()).push(host_alias());
    Node first = Node::array();
    for (const RunContainer& container : replica_.init) first.push(container_of(container));
    // A container that runs beside the main one, and ends with it.
    for (const RunContainer& container : replica_.beside) {
      Node beside = container_of(container);
      beside.set("restartPolicy", Node::string("Always"));
      first.push(std::move(beside));
    }
    if (!first.items.empty()) spec.set("initContainers", std::move(first));
    spec.set("containers", Node::array()).push(container_of(replica_.main));
    return spec;
  }

  Node host_alias() const {
    Node alias = Node::object();
    alias.set("ip", Node::string(options_.address));
    Node& names = alias.set("hostnames", Node::array());
    for (const std::string& name : replica_.local_names) names.push(Node::string(name));
    return alias;
  }

  Node container_of(const RunContainer& container) {
    Node node = Node::object();
    node.set("name", Node::string(container.name));
    node.set("image", Node::string(container.image));
    if (!container.command.empty()) node.set("command", words(container.command));
    if (!container.args.empty()) node.set("args", words(container.args));
    if (!container.workdir.empty()) node.set("workingDir", Node::string(container.workdir));
    Node& env = node.set("env", Node::array());
    for (const auto& [name, value] : container.environment)
      env.push(variable(container.name, name, value));
    if (container.cpu_milli || container.memory_bytes)
      node.set("resources", resources_of(container));
    return node;
  }

  bool has_secret(const std::string& value) const {
    return std::ranges::any_of(replica_.masked, [&](const Secret& secret) {
      return !secret.empty() && value.find(secret.reveal()) != std::string::npos;
    });
  }

  Node variable(const std::string& container, const std::string& name, const std::string& value) {
    Node node = Node::object();
    node.set("name", Node::string(name));
    if (!has_secret(value)) {
      node.set("value", Node::string(as_written(value)));
      return node;
    }
    const std::string key = container + "." + name;
    secret_.set(key, Node::string(base64_encode(value)));
    Node& reference = node.set("valueFrom", Node::object()).set("secretKeyRef", Node::object());
    reference.set("name", Node::string(replica_.replica));
    reference.set("key", Node::string(key));
    return node;
  }

  const RunReplica& replica_;
  const ReplicaJobOptions& options_;
  Node secret_ = Node::object();  // its data
};

// --- its pod ------------------------------------------------------------------------------------

std::string described(const Node& state) {
  const std::string reason = text_at(state, {"reason"});
  const std::string message = text_at(state, {"message"});
  return message.empty() ? reason : reason.empty() ? message : reason + ": " + message;
}

ReplicaEnd end_of(const Node& terminated) {
  ReplicaEnd end;
  end.exit_code = number_at(terminated, {"exitCode"});
  end.signal = number_at(terminated, {"signal"});
  end.out_of_memory = text_at(terminated, {"reason"}) == "OOMKilled";
  if (end.exit_code != 0) end.detail = described(terminated);
  return end;
}

std::string obstacle_of(const Node& waiting) {
  const std::string reason = text_at(waiting, {"reason"});
  if (std::ranges::find(kNoImage, reason) != kNoImage.end())
    return "ImageNotRunnable: " + described(waiting);
  if (std::ranges::find(kNoStart, reason) != kNoStart.end())
    return "StartError: " + described(waiting);
  return {};
}

void read_container(const Node& status, ReplicaPod& pod) {
  const std::string name = text_at(status, {"name"});
  if (const Node* waiting = find_at(status, {"state", "waiting"}); waiting != nullptr) {
    if (std::string why = obstacle_of(*waiting); !why.empty()) pod.obstacle = std::move(why);
    return;
  }
  const bool over = find_at(status, {"state", "terminated"}) != nullptr;
  if (over || find_at(status, {"state", "running"}) != nullptr) pod.begun.push_back(name);
  if (over) pod.over.push_back(name);
}

const std::vector<Node>& statuses(const Node& pod, std::string_view of) {
  static const std::vector<Node> none;
  const Node* list = find_at(pod, {"status", of});
  return list != nullptr ? list->items : none;
}

// Of the main container; of an init container that failed; or what the cluster says of the pod,
// such as that it was evicted.
ReplicaEnd how_it_ended(const Node& pod) {
  for (const Node& status : statuses(pod, "containerStatuses"))
    if (const Node* terminated = find_at(status, {"state", "terminated"}))
      return end_of(*terminated);
  for (const Node& status : statuses(pod, "initContainerStatuses")) {
    const Node* terminated = find_at(status, {"state", "terminated"});
    if (terminated == nullptr || number_at(*terminated, {"exitCode"}) == 0) continue;
    ReplicaEnd end = end_of(*terminated);
    end.detail =
        fmt::format("init container '{}' failed; {}", text_at(status, {"name"}), end.detail);
    return end;
  }
  const Node* status = pod.find("status");
  return {.signal = SIGKILL, .detail = status != nullptr ? described(*status) : ""};
}

}  // namespace

ReplicaJob make_replica_job(const RunReplica& replica, const ReplicaJobOptions& options) {
  return Builder(replica, options).build();
}

Node owned_by_job(const Node& job) {
  Node owner = Node::object();
  owner.set("apiVersion", Node::string("batch/v1"));
  owner.set("kind", Node::string("Job"));
  owner.set("name", Node::string(text_at(job, {"metadata", "name"})));
  owner.set("uid", Node::string(text_at(job, {"metadata", "uid"})));
  Node patch = Node::object();
  patch.set("metadata", Node::object())
      .set("ownerReferences", Node::array())
      .push(std::move(owner));
  return patch;
}

ReplicaPod read_replica_pod(const Node& node) {
  ReplicaPod pod;
  pod.name = text_at(node, {"metadata", "name"});
  pod.replica = text_at(node, {"metadata", "labels", kReplicaLabel});
  pod.leaving = find_at(node, {"metadata", "deletionTimestamp"}) != nullptr;
  for (const Node& status : statuses(node, "initContainerStatuses")) read_container(status, pod);
  for (const Node& status : statuses(node, "containerStatuses")) read_container(status, pod);
  const std::string phase = text_at(node, {"status", "phase"});
  if (phase == "Succeeded") pod.end = ReplicaEnd{};
  if (phase == "Failed") pod.end = how_it_ended(node);
  return pod;
}

std::string execution_of(const Node& job) {
  return text_at(job, {"metadata", "labels", kExecutionLabel});
}

std::string failure_of_job(const Node& job) {
  const Node* conditions = find_at(job, {"status", "conditions"});
  if (conditions == nullptr) return {};
  for (const Node& condition : conditions->items)
    if (text_at(condition, {"type"}) == "Failed" && text_at(condition, {"status"}) == "True")
      return "StartError: " + described(condition);
  return {};
}

}  // namespace jobmill::targets
