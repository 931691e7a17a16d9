// SPDX-License-Identifier: Apache-2.0
#include "app/local_workloads.h"

#include <algorithm>

#include <fmt/core.h>

#include "app/apply_plan.h"
#include "app/post_mortem.h"
#include "app/replica_name.h"
#include "base/duration.h"
#include "manifest/services.h"

namespace jobmill::app {
namespace {

using manifest::Deployment;
using manifest::ObjectKey;
using targets::LeaseView;
using targets::ProcessDefinition;
using targets::ProcessExit;
using targets::ProcessTarget;

// What a container's image and command mean here. Empty: not used on this machine.
std::vector<std::string> command_of(const Deployment& deployment, const LocalImages& images) {
  const manifest::Container& container = deployment.main();
  std::vector<std::string> command = container.command;
  if (const auto image = images.find(container.image); command.empty() && image)
    command = image->command;
  command.insert(command.end(), container.args.begin(), container.args.end());
  return command;
}

std::string revision_of(const manifest::Object& object, const std::vector<std::string>& command) {
  const Node* spec = object.document.find("spec");
  const Node* pod = spec != nullptr ? spec->find("template") : nullptr;
  std::string text = pod != nullptr ? to_json(*pod) : "";
  for (const std::string& word : command) text += '\0' + word;
  return text;
}

Node pod_document(const targets::Pod& pod, const std::string& deployment, std::int64_t pid) {
  Node node = Node::object();
  node.set("name", Node::string(pod.name));
  node.set("deployment", Node::string(deployment));
  node.set("ready", Node::string(pod.ready ? "1/1" : "0/1"));
  node.set("status", Node::string(pod.status));
  node.set("restarts", Node::integer(pod.restarts));
  node.set("started", Node::string(format_instant(pod.created)));
  if (pid > 0) node.set("pid", Node::integer(pid));
  if (!pod.detail.empty()) node.set("detail", Node::string(pod.detail));
  return node;
}

}  // namespace

struct LocalWorkloads::Group {
  ObjectKey key;
  std::unique_ptr<ProcessTarget> target;
  std::map<std::string, int, std::less<>> occupied;  // jobs that each replica holds
  int most_ready = 0;
};

LocalWorkloads::LocalWorkloads(LocalWorkloadParts parts,
                               std::function<void(const ObjectKey&)> changed)
    : parts_(std::move(parts)),
      changed_(std::move(changed)),
      watcher_([this](std::function<void()> work) { parts_.loop.post(std::move(work)); }),
      leases_({.loop = parts_.loop,
               .store = parts_.store,
               .pool = parts_.pool,
               .clock = parts_.clock,
               .log = parts_.log},
              [this](const std::vector<jobs::Worker>& workers) { leases_seen(workers); }) {}

LocalWorkloads::~LocalWorkloads() = default;

// --- groups -------------------------------------------------------------------------------------

void LocalWorkloads::apply(const manifest::Object& object, bool scaled, int initial) {
  manifest::Problems problems(object.source);
  ProcessDefinition definition{.deployment = manifest::decode_deployment(object, problems),
                               .command = {},
                               .working_directory = {},
                               .revision = {}};
  if (!problems.ok() || is_off(definition.deployment, parts_.images)) return remove(object.key);
  definition.command = command_of(definition.deployment, parts_.images);
  definition.working_directory = definition.deployment.main().working_dir;
  definition.revision = revision_of(object, definition.command);
  definition.alone = !scaled && definition.deployment.replicas == 1;
  const int replicas = definition.deployment.replicas;

  auto& group = groups_[object.key];
  const bool is_new = group == nullptr;
  if (is_new) {
    group = std::make_unique<Group>();
    group->key = object.key;
    group->target = std::make_unique<ProcessTarget>(std::move(definition), world(*group));
  } else {
    group->target->define(std::move(definition));
  }
  if (!scaled)
    group->target->scale_to(replicas);
  else if (is_new)
    group->target->scale_to(initial);
}

void LocalWorkloads::remove(const ObjectKey& key) {
  const auto it = groups_.find(key);
  if (it == groups_.end()) return;
  leaving_.push_back(std::move(it->second));
  groups_.erase(it);
  leaving_.back()->target->scale_to(0);
  sweep_later();
}

Result<scale::ScaleTarget*> LocalWorkloads::find(const ObjectKey& key) {
  const auto it = groups_.find(key);
  if (it != groups_.end()) return it->second->target.get();
  return fail(Code::NotFound, fmt::format("{} is not applied, or not used on this machine",
                                          manifest::to_string(key)));
}

int LocalWorkloads::busy(const ObjectKey& key) const {
  const auto it = groups_.find(key);
  if (it == groups_.end()) return 0;
  return static_cast<int>(std::ranges::count_if(
      it->second->occupied, [](const auto& entry) { return entry.second > 0; }));
}

int LocalWorkloads::most_ready(const ObjectKey& key) const {
  const auto it = groups_.find(key);
  return it != groups_.end() ? it->second->most_ready : 0;
}

Node LocalWorkloads::pods(std::string_view ns, std::string_view name) const {
  Node items = Node::array();
  const auto list = [&](const Group& group) {
    if (group.key.ns != ns) return;
    const auto replicas = group.target->replicas();
    for (const targets::Pod& pod : group.target->pods()) {
      if (!name.empty() && pod.name != name) continue;
      const auto replica = std::ranges::find(replicas, pod.name, &scale::Replica::name);
      items.push(pod_document(pod, group.key.name, replica != replicas.end() ? replica->pid : 0));
    }
  };
  for (const auto& [key, group] : groups_) list(*group);
  for (const auto& group : leaving_) list(*group);
  Node document = Node::object();
  document.set("items", std::move(items));
  return document;
}

void LocalWorkloads::group_changed(Group& group) {
  group.most_ready = std::max(group.most_ready, group.target->counts().ready);
  if (groups_.contains(group.key) && groups_.at(group.key).get() == &group) changed_(group.key);
  sweep_later();
}

// Groups go when they are empty; not now, since it may be one of them that calls.
void LocalWorkloads::sweep_later() {
  if (leaving_.empty() && !when_empty_) return;
  parts_.loop.post([this] {
    std::erase_if(leaving_, [](const auto& group) { return group->target->empty(); });
    if (when_empty_ && leaving_.empty()) std::exchange(when_empty_, nullptr)();
  });
}

void LocalWorkloads::shutdown(Duration grace, std::function<void()> done) {
  for (auto& [key, group] : groups_) leaving_.push_back(std::move(group));
  groups_.clear();
  when_empty_ = std::move(done);
  for (const auto& group : leaving_) group->target->shutdown(grace);
  sweep_later();
}

// --- what a group needs of the server -----------------------------------------------------------

ProcessTarget::World LocalWorkloads::world(Group& group) {
  return {.hooks = hooks(group),
          .catalog = parts_.catalog,
          .watcher = watcher_,
          .cgroups = cgroups_,
          .log = parts_.log,
          .log_folder = parts_.logs,
          .drain_limit = parts_.drain_limit};
}

targets::ProcessTargetHooks LocalWorkloads::hooks(Group& group) {
  return {.now = [this] { return parts_.clock.now(); },
          .run_after =
              [this](Duration delay, std::function<void()> fn) {
                parts_.loop.run_after(delay, std::move(fn));
              },
          .set_worker_state =
              [this](const std::string& id, bool quiet, std::function<void(Status)> done) {
                leases_.set_quiet(id, quiet, std::move(done));
              },
          .read_workers = [this] { leases_.read(); },
          .worker_died = [this](const std::string& id, const ProcessExit& exit,
                                bool ordered) { worker_died(id, exit, ordered); },
          .environment = [this, ns = group.key.ns](
                             const std::string& replica) { return environment(ns, replica); },
          .replica_gone =
              [this, &group](const std::string& replica) {
                group.occupied.erase(replica);
                parts_.authenticator.revoke_replica(replica);
              },
          .changed = [this, &group] { group_changed(group); }};
}

targets::Texts LocalWorkloads::environment(const std::string& ns,
                                           const std::string& replica) const {
  targets::Texts variables = manifest::service_variables(
      parts_.catalog, ns, [this](const manifest::ServiceEndpoint& endpoint) {
        return parts_.services.address(endpoint);
      });
  variables["JOBMILL_URL"] = parts_.url;
  variables["JOBMILL_TOKEN"] = parts_.authenticator.mint_replica_token(replica);
  return variables;
}

void LocalWorkloads::worker_died(const std::string& id, const ProcessExit& exit, bool ordered) {
  parts_.pool.post([this, id, exit, ordered] {
    const TimePoint now = parts_.clock.now();
    const Status status =
        ordered ? parts_.store.leave(id, now) : parts_.store.worker_died(id, crash_of(exit), now);
    // NotFound: it had said good-bye itself.
    if (!status && status.error().code != Code::NotFound)
      parts_.log.error("the jobs of an ended worker wait for its lease",
                       {{"worker", id}, {"error", status.error().message}});
  });
}

// --- leases -------------------------------------------------------------------------------------

void LocalWorkloads::refresh_leases() {
  if (!groups_.empty() || !leaving_.empty()) leases_.refresh();
}

void LocalWorkloads::leases_seen(const std::vector<jobs::Worker>& workers) {
  std::vector<Group*> all;
  for (const auto& [key, group] : groups_) all.push_back(group.get());
  for (const auto& group : leaving_) all.push_back(group.get());
  for (Group* group : all) {
    std::vector<LeaseView> views;
    for (const jobs::Worker& worker : workers) {
      const ReplicaName replica = read_replica_name(worker.spec.replica);
      if (!replica.name.empty() && replica.may_be_in(group->key.ns))
        views.push_back(lease_view(worker, std::string(replica.name)));
    }
    group->occupied.clear();
    for (const LeaseView& view : views)
      if (group->target->owns(view.replica)) group->occupied[view.replica] += view.occupied;
    group->target->workers_changed(views);
  }
}

}  // namespace jobmill::app
