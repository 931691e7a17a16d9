// SPDX-License-Identifier: Apache-2.0
#include "app/kubernetes_workloads.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "app/cluster_pods.h"
#include "app/replica_name.h"
#include "base/duration.h"
#include "manifest/label_selector.h"

namespace jobmill::app {
namespace {

using manifest::LabelSelector;
using targets::LeaseView;
using targets::PodAction;
using targets::PodRecord;

constexpr Duration kDiscoverAgain = std::chrono::seconds(10);

const Node kNothing;

const Node& at(const Node& node, std::string_view key) {
  const Node* found = node.find(key);
  return found != nullptr ? *found : kNothing;
}

const Node& metadata(const Node& object) { return at(object, "metadata"); }

// Versions of one object can be compared; 0: this one cannot.
std::uint64_t version_of(const Node& object) {
  const std::string& text = at(metadata(object), "resourceVersion").text;
  std::uint64_t version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  return error == std::errc() && end == text.data() + text.size() ? version : 0;
}

std::int64_t generation_of(const Node& object) {
  return at(metadata(object), "generation").as_int().value_or(0);
}

bool is_scale(const Node& object) { return at(object, "kind").text == "Scale"; }

bool is_named(const Node& object, const manifest::ObjectKey& key) {
  return at(metadata(object), "name").text == key.name &&
         at(metadata(object), "namespace").text == key.ns;
}

int int_at(const Node& node, std::string_view key, int otherwise) {
  return static_cast<int>(at(node, key).as_int().value_or(otherwise));
}

bool is_passing(Code code) {
  return code == Code::Unavailable || code == Code::Timeout || code == Code::Exhausted;
}

// Where replicas and pods stand in the object itself; of other kinds only their Scale tells.
bool is_own(const k8s::Resource& resource) {
  return resource == k8s::resources::kDeployments || resource == k8s::resources::kStatefulSets ||
         resource == k8s::resources::kReplicaSets;
}

// Who makes the pods of a kind; empty: not known.
std::string_view pod_owner_of(const k8s::Resource& resource) {
  if (resource == k8s::resources::kDeployments) return "ReplicaSet";
  return is_own(resource) ? std::string_view(resource.kind) : std::string_view();
}

std::optional<manifest::Object> read_workload(const Node& document,
                                              const manifest::ObjectKey& key) {
  manifest::Problems problems("the cluster");
  manifest::Object object = manifest::read_object(document, key.ns, problems);
  if (!problems.ok()) return std::nullopt;
  object.generation = std::max<std::int64_t>(1, generation_of(document));
  if (const auto created = parse_instant(at(metadata(document), "creationTimestamp").text))
    object.created = *created;
  return object;
}

Node pod_document(const PodRecord& pod, const std::string& workload, scale::ReplicaPhase phase) {
  Node node = Node::object();
  node.set("name", Node::string(pod.view.name));
  node.set("deployment", Node::string(workload));
  node.set("ready", Node::string(pod.ready));
  const bool drains = phase == scale::ReplicaPhase::Draining && !pod.view.deleting;
  node.set("status", Node::string(drains ? "Draining" : pod.status));
  node.set("restarts", Node::integer(pod.view.restarts));
  node.set("started", Node::string(format_instant(pod.view.created)));
  if (!pod.detail.empty()) node.set("detail", Node::string(pod.detail));
  return node;
}

}  // namespace

// --- one target ---------------------------------------------------------------------------------

class KubernetesWorkloads::Target final : public scale::ScaleTarget {
 public:
  Target(KubernetesWorkloads& of, Key the_key, std::string version)
      : owner(of), key(std::move(the_key)), api_version(std::move(version)), group(key.name, {}) {}

  int wanted() const override { return group.wanted(); }
  void scale_to(int replicas) override;
  scale::ReplicaCounts counts() const override { return group.counts(); }
  std::vector<scale::Replica> replicas() const override { return group.replicas(); }

  bool selects(const PodRecord& pod) const {
    const std::string_view owner_kind = pod_owner_of(*resource);
    return selector && pod.ns == key.ns && selector->matches(pod.labels) &&
           (owner_kind.empty() || owner_kind == pod.owner_kind);
  }

  // The pod in which a worker runs, by what it says of itself; empty: none of these. Without
  // JOBMILL_REPLICA that is its host, as long as nothing else is said in the pod.
  std::string_view pod_of(const jobs::WorkerSpec& worker) const {
    const ReplicaName replica = read_replica_name(worker.replica);
    if (!replica.may_be_in(key.ns)) return {};
    if (group.owns(replica.name)) return replica.name;
    const bool by_host = replica.ns.empty() && group.owns(worker.host);
    return by_host ? std::string_view(worker.host) : std::string_view();
  }

  KubernetesWorkloads& owner;
  const Key key;
  const std::string api_version;
  targets::PodGroup group;
  std::weak_ptr<Target> self;
  std::optional<k8s::Resource> resource{};
  std::optional<Fault> trouble{};        // why it cannot be scaled
  std::optional<Fault> write_trouble{};  // why the last write was refused
  bool looked_up = false;
  std::optional<Node> document{};  // the workload; none: there is none
  std::optional<LabelSelector> selector{};
  std::int64_t generation = -1;  // that was taken
  bool reading_scale = false;
  bool working = false;
  int most_ready = 0;
  std::optional<int> would_scale_to{};  // dry run
  std::function<void()> restored{};     // set: it gets back the number that it had before
  std::optional<TimePoint> armed{};
  std::shared_ptr<void> timer{};
  // As it was told last.
  std::vector<std::pair<std::string, scale::ReplicaPhase>> told{};
  std::string told_trouble{};
  int told_wanted = -1;
  int told_busy = 0;
  bool told_namesakes = false;
};

void KubernetesWorkloads::Target::scale_to(int replicas) {
  if (owner.parts_.dry_run) {
    if (std::exchange(would_scale_to, replicas) == replicas) return;
    return owner.parts_.log.info("dry run: would scale", {{"workload", manifest::to_string(key)},
                                                          {"namespace", key.ns},
                                                          {"from", wanted()},
                                                          {"to", replicas}});
  }
  if (replicas == group.wanted()) return;
  owner.parts_.log.info("replicas wanted", {{"workload", manifest::to_string(key)},
                                            {"namespace", key.ns},
                                            {"from", group.wanted()},
                                            {"to", replicas}});
  group.want(replicas, owner.parts_.clock.now());
  owner.work(self.lock());
}

// --- all of them --------------------------------------------------------------------------------

KubernetesWorkloads::KubernetesWorkloads(KubernetesWorkloadParts parts,
                                         std::function<void(const Key&)> changed)
    : parts_(std::move(parts)),
      changed_(std::move(changed)),
      leases_({.loop = parts_.loop,
               .store = parts_.store,
               .pool = parts_.pool,
               .clock = parts_.clock,
               .log = parts_.log},
              [this](const std::vector<jobs::Worker>& workers) { leases_seen(workers); }) {}

KubernetesWorkloads::~KubernetesWorkloads() = default;

std::vector<KubernetesWorkloads::TargetPtr> KubernetesWorkloads::all() const {
  std::vector<TargetPtr> list;
  for (const auto& [key, target] : targets_) list.push_back(target);
  list.insert(list.end(), leaving_.begin(), leaving_.end());
  return list;
}

void KubernetesWorkloads::scaled(const Key& key, const std::string& api_version) {
  const TargetPtr target = target_of(key, api_version);
  if (target->restored) end_restore(*target);
}

KubernetesWorkloads::TargetPtr KubernetesWorkloads::target_of(const Key& key,
                                                              const std::string& api_version) {
  const auto known = targets_.find(key);
  if (known != targets_.end() && known->second->api_version == api_version) return known->second;
  if (known != targets_.end()) drop(key);
  auto target = std::make_shared<Target>(*this, key, api_version);
  target->self = target;
  target->trouble =
      fail(Code::Unavailable, fmt::format("{} is being looked up", manifest::to_string(key)));
  if (parts_.dry_run) target->group.let_be(parts_.clock.now());
  targets_[key] = target;
  discover(target);
  return target;
}

void KubernetesWorkloads::discover(const TargetPtr& target) {
  parts_.client.discover(target->api_version, target->key.kind,
                         [this, weak = std::weak_ptr(target)](Result<k8s::Resource> resource) {
                           if (const auto it = weak.lock()) resolved(it, std::move(resource));
                         });
}

void KubernetesWorkloads::resolved(const TargetPtr& target, Result<k8s::Resource> resource) {
  if (!resource) {  // kinds come with their definitions, perhaps later
    target->trouble = resource.error();
    target->timer = parts_.world.run_after(kDiscoverAgain, [this, weak = std::weak_ptr(target)] {
      if (const auto it = weak.lock()) discover(it);
    });
    return tell_changes(*target);
  }
  target->resource = *std::move(resource);
  watch_kind(*target->resource);
  watch_pods();
  if (kinds_[*target->resource].listed) return fetch(target);
  look_at(target);
}

void KubernetesWorkloads::not_scaled(const Key& key) {
  const auto it = targets_.find(key);
  if (it != targets_.end() && !it->second->restored) drop(key);
}

void KubernetesWorkloads::drop(const Key& key) {
  const auto it = targets_.find(key);
  TargetPtr target = std::move(it->second);
  targets_.erase(it);
  if (target->restored) end_restore(*target);
  leave(std::move(target));
  tell_lost(key);
  sweep_later();
}

// The group that scaled it until now goes on, if there is one: it knows what is drained already.
void KubernetesWorkloads::restore(const Key& key, const std::string& api_version, int replicas,
                                  std::function<void()> done) {
  const TargetPtr target = target_of(key, api_version);
  parts_.log.info(
      "replicas are restored",
      {{"workload", manifest::to_string(key)}, {"namespace", key.ns}, {"to", replicas}});
  if (target->restored) end_restore(*target);  // of another object that is deleted
  target->restored = std::move(done);
  target->write_trouble.reset();
  target->group.want(replicas, parts_.clock.now());
  work(target);
}

void KubernetesWorkloads::stop_restoring(const Key& key) {
  const auto it = targets_.find(key);
  if (it == targets_.end() || !std::exchange(it->second->restored, nullptr)) return;
  drop(key);
}

void KubernetesWorkloads::end_restore(Target& target) {
  parts_.loop.post([alive = std::weak_ptr(alive_), done = std::exchange(target.restored, nullptr)] {
    if (!alive.expired()) done();
  });
}

// What is in the way for now is waited for; a target that is gone, or that we may not scale, would
// keep the object that is being deleted for ever.
void KubernetesWorkloads::look_at_restore(Target& target) {
  const auto found = find(target.key);
  const bool hopeless = !found && !is_passing(found.error().code);
  if (!hopeless && !target.group.reached()) return;
  if (hopeless)
    parts_.log.warn("the original replicas were not restored",
                    {{"workload", manifest::to_string(target.key)},
                     {"namespace", target.key.ns},
                     {"error", found.error().message}});
  drop(Key(target.key));
}

void KubernetesWorkloads::leave(TargetPtr target) {
  target->restored = nullptr;
  if (parts_.dry_run) return;
  leaving_.push_back(target);
  target->group.let_be(parts_.clock.now());
  work(target);
}

// Later: whoever is told may be the one who is calling.
void KubernetesWorkloads::tell_lost(const Key& key) {
  if (!parts_.lost) return;
  parts_.loop.post([this, alive = std::weak_ptr(alive_), key] {
    if (alive.expired()) return;
    const auto it = targets_.find(key);
    if (it == targets_.end() || !it->second->document) parts_.lost(key);
  });
}

// Those that are left go when their marks are set back; not now, since one of them may be calling.
void KubernetesWorkloads::sweep_later() {
  parts_.loop.post([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    std::erase_if(leaving_, [](const TargetPtr& target) { return target->group.at_rest(); });
    end_watches();
    if (when_empty_ && leaving_.empty()) std::exchange(when_empty_, nullptr)();
  });
}

void KubernetesWorkloads::shutdown(Duration grace, std::function<void()> done) {
  when_empty_ = std::move(done);
  for (const auto& [key, target] : std::exchange(targets_, {})) leave(target);
  grace_over_ = parts_.world.run_after(grace, [this] {
    leaving_.clear();
    sweep_later();
  });
  sweep_later();
}

Result<scale::ScaleTarget*> KubernetesWorkloads::find(const Key& key) {
  const auto it = targets_.find(key);
  if (it == targets_.end())
    return fail(Code::NotFound,
                fmt::format("{} is not scaled by a ScaledObject", manifest::to_string(key)));
  const Target& target = *it->second;
  for (const auto& trouble : {target.trouble, target.write_trouble})
    if (trouble) return *trouble;
  if (target.group.known()) return it->second.get();
  if (pods_ill_) return *pods_ill_;
  return fail(Code::Unavailable,
              fmt::format("the pods of {} are being listed", manifest::to_string(key)));
}

int KubernetesWorkloads::busy(const Key& key) const {
  const auto it = targets_.find(key);
  return it != targets_.end() ? it->second->group.busy() : 0;
}

int KubernetesWorkloads::most_ready(const Key& key) const {
  const auto it = targets_.find(key);
  return it != targets_.end() ? it->second->most_ready : 0;
}

Node KubernetesWorkloads::pods(std::string_view ns, std::string_view name) const {
  Node items = Node::array();
  for (const auto& [key, target] : targets_) {
    if (key.ns != ns) continue;
    for (const scale::Replica& replica : target->replicas()) {
      const auto pod = pods_.find({key.ns, replica.name});
      if (pod == pods_.end() || (!name.empty() && replica.name != name)) continue;
      items.push(pod_document(pod->second.record, key.name, replica.phase));
    }
  }
  Node document = Node::object();
  document.set("items", std::move(items));
  return document;
}

std::optional<std::vector<scalers::ClusterPod>> KubernetesWorkloads::watched_pods(
    std::string_view ns, const LabelSelector& selector) const {
  const bool here = parts_.ns.empty() || parts_.ns == ns;
  if (!pods_listed_ || pods_ill_ || !here) return std::nullopt;
  std::vector<scalers::ClusterPod> found;
  for (const auto& [key, pod] : pods_)
    if (key.first == ns && selector.matches(pod.record.labels)) found.push_back(pod.seen);
  return found;
}

// --- workloads ----------------------------------------------------------------------------------

void KubernetesWorkloads::watch_kind(const k8s::Resource& resource) {
  Kind& kind = kinds_[resource];
  if (kind.reflector) return;
  k8s::Reflector::Events events;
  events.listed = [this, resource](const std::vector<Node>& items) {
    kinds_[resource].listed = true;
    kinds_[resource].ill.reset();
    show(resource, [&](Target& target) {
      const auto mine =
          std::ranges::find_if(items, [&](const Node& item) { return is_named(item, target.key); });
      target.looked_up = true;
      target.document = mine == items.end() ? std::nullopt : std::optional(*mine);
      return true;
    });
  };
  events.put = [this, resource](const Node& object) {
    show(resource, [&](Target& target) {
      if (!is_named(object, target.key)) return false;
      target.looked_up = true;
      target.document = object;
      return true;
    });
  };
  events.removed = [this, resource](const Node& object) {
    show(resource, [&](Target& target) {
      if (!is_named(object, target.key)) return false;
      target.document.reset();
      return true;
    });
  };
  events.ill = [this, resource](const Fault& why) {
    kinds_[resource].ill = why;
    show(resource, [](const Target&) { return true; });
  };
  events.well = [this, resource] { kinds_[resource].ill.reset(); };
  kind.reflector = std::make_unique<k8s::Reflector>(
      parts_.client, parts_.world, k8s::Reflector::What{.resource = resource, .ns = parts_.ns},
      std::move(events));
}

// Lets the targets of a kind take what was heard of them; false: nothing.
template <class Show>
void KubernetesWorkloads::show(const k8s::Resource& resource, Show shown) {
  for (const TargetPtr& target : all())
    if (target->resource == resource && shown(*target)) look_at(target);
}

// Of a kind that is watched already, and of which only the targets' own documents are kept.
void KubernetesWorkloads::fetch(const TargetPtr& target) {
  parts_.client.get(*target->resource, target->key.ns, target->key.name,
                    [this, weak = std::weak_ptr(target)](const Result<Node>& object) {
                      const auto it = weak.lock();
                      if (!it || it->looked_up) return;
                      it->looked_up = object || object.error().code == Code::NotFound;
                      if (object) it->document = *object;
                      if (!it->looked_up) it->trouble = object.error();
                      look_at(it);
                    });
}

// What its kind's watch knows of a target.
void KubernetesWorkloads::look_at(const TargetPtr& target) {
  if (!target->looked_up) {
    const Kind& kind = kinds_[*target->resource];
    if (kind.ill) target->trouble = *kind.ill;
    return tell_changes(*target);
  }
  if (!target->document) {
    target->trouble =
        fail(Code::NotFound, fmt::format("{} does not exist in namespace {}",
                                         manifest::to_string(target->key), target->key.ns));
    if (std::exchange(target->generation, -1) != -1) tell_lost(target->key);
    return tell_changes(*target);
  }
  if (is_own(*target->resource)) {
    take(*target, *target->document);
    return work(target);
  }
  // The number is the Scale's; it changes with the spec only, the version with every change.
  if (target->generation == generation_of(*target->document)) {
    target->group.spec(target->group.asked_for(), version_of(*target->document),
                       parts_.clock.now());
    return work(target);
  }
  if (std::exchange(target->reading_scale, true)) return;
  parts_.client.get(
      *target->resource, target->key.ns, target->key.name,
      [this, weak = std::weak_ptr(target)](const Result<Node>& scale) {
        if (const auto it = weak.lock()) scale_read(it, scale);
      },
      "scale");
}

void KubernetesWorkloads::scale_read(const TargetPtr& target, const Result<Node>& scale) {
  target->reading_scale = false;
  if (!target->document) return look_at(target);
  if (scale) {
    take(*target, *scale);
    return work(target);
  }
  target->trouble = scale.error();
  if (scale.error().code == Code::NotFound)
    target->trouble =
        fail(Code::NotFound, fmt::format("{} in namespace {} has no scale subresource",
                                         manifest::to_string(target->key), target->key.ns));
  tell_changes(*target);
}

// `object`: the workload itself, or its Scale, which does not show a zero.
void KubernetesWorkloads::take(Target& target, const Node& object) {
  const bool is_new = target.generation != generation_of(*target.document);
  target.trouble.reset();
  if (is_new) {
    if (const Status begun = begin(target, object); !begun) {
      target.trouble = begun.error();
      return;
    }
  }
  const int otherwise = is_scale(object) ? 0 : 1;
  target.group.spec(int_at(at(object, "spec"), "replicas", otherwise), version_of(object),
                    parts_.clock.now());
  auto workload =
      is_new && parts_.found ? read_workload(*target.document, target.key) : std::nullopt;
  if (!workload) return;
  parts_.loop.post(
      [this, alive = std::weak_ptr(alive_), workload = *std::move(workload)]() mutable {
        if (!alive.expired() && targets_.contains(workload.key)) parts_.found(std::move(workload));
      });
}

// Its spec is new to us.
Status KubernetesWorkloads::begin(Target& target, const Node& object) {
  const Node& spec = at(object, "spec");
  TRY(LabelSelector selector, is_scale(object)
                                  ? LabelSelector::parse(at(at(object, "status"), "selector").text)
                                  : LabelSelector::decode(at(spec, "selector")));
  target.generation = generation_of(*target.document);
  target.selector = std::move(selector);
  target.group.configure({.by_ordinal = *target.resource == k8s::resources::kStatefulSets,
                          .first_ordinal = int_at(at(spec, "ordinals"), "start", 0),
                          .drain_limit = parts_.drain_limit},
                         parts_.clock.now());
  if (pods_listed_ && !target.group.known()) give_pods(target);
  return {};
}

// --- pods ---------------------------------------------------------------------------------------

void KubernetesWorkloads::watch_pods() {
  if (pod_reflector_) return;
  k8s::Reflector::Events events;
  events.listed = [this](const std::vector<Node>& items) { pods_listed(items); };
  events.put = [this](const Node& pod) { pod_put(pod); };
  events.removed = [this](const Node& pod) { pod_removed(pod); };
  events.ill = [this](const Fault& why) {
    pods_ill_ = why;
    for (const TargetPtr& target : all()) tell_changes(*target);
  };
  events.well = [this] { pods_ill_.reset(); };
  pod_reflector_ = std::make_unique<k8s::Reflector>(
      parts_.client, parts_.world,
      k8s::Reflector::What{.resource = k8s::resources::kPods, .ns = parts_.ns}, std::move(events));
}

void KubernetesWorkloads::pods_listed(const std::vector<Node>& items) {
  pods_.clear();
  pods_listed_ = true;
  pods_ill_.reset();
  for (const Node& item : items) keep_pod(item);
  for (const TargetPtr& target : all()) {
    if (!target->selector) continue;
    give_pods(*target);
    work(target);
  }
}

const PodRecord& KubernetesWorkloads::keep_pod(const Node& document) {
  PodRecord record = targets::read_pod_record(document);
  PodKey key{record.ns, record.view.name};
  Pod pod{.record = std::move(record), .seen = read_cluster_pod(document)};
  return pods_.insert_or_assign(std::move(key), std::move(pod)).first->second.record;
}

// What a server before us marked is found in the leases.
void KubernetesWorkloads::give_pods(Target& target) {
  std::vector<targets::PodView> mine;
  for (const auto& [key, pod] : pods_)
    if (target.selects(pod.record)) mine.push_back(pod.record.view);
  target.group.pods(std::move(mine), parts_.clock.now());
  leases_.refresh();
}

void KubernetesWorkloads::pod_put(const Node& document) {
  const PodRecord pod = keep_pod(document);
  for (const TargetPtr& target : all()) {
    if (target->key.ns != pod.ns) continue;
    if (target->selects(pod))
      target->group.pod(pod.view, parts_.clock.now());
    else if (target->group.owns(pod.view.name))  // its labels were changed
      target->group.pod_gone(pod.view.name, pod.view.uid, parts_.clock.now());
    else
      continue;
    work(target);
  }
}

void KubernetesWorkloads::pod_removed(const Node& document) {
  const PodRecord pod = targets::read_pod_record(document);
  pods_.erase({pod.ns, pod.view.name});
  for (const TargetPtr& target : all()) {
    if (target->key.ns != pod.ns || !target->group.owns(pod.view.name)) continue;
    target->group.pod_gone(pod.view.name, pod.view.uid, parts_.clock.now());
    work(target);
  }
}

// A cluster that nothing is scaled in is left in peace.
void KubernetesWorkloads::end_watches() {
  std::set<k8s::Resource> used;
  for (const TargetPtr& target : all())
    if (target->resource) used.insert(*target->resource);
  std::erase_if(kinds_, [&](const auto& kind) { return !used.contains(kind.first); });
  if (!used.empty()) return;
  pod_reflector_.reset();
  pods_.clear();
  pods_listed_ = false;
  pods_ill_.reset();
}

// --- carrying out -------------------------------------------------------------------------------

// Actions may call back into us (a store that answers at once); such calls only leave their events
// with the group, and the outer loop goes on.
void KubernetesWorkloads::work(const TargetPtr& target) {
  if (target->working) return;
  target->working = true;
  for (auto actions = target->group.take_actions(); !actions.empty();
       actions = target->group.take_actions()) {
    for (const PodAction& action : actions) perform(target, action);
  }
  target->working = false;
  target->most_ready = std::max(target->most_ready, target->counts().ready);
  arm(target);
  tell_changes(*target);
  if (!leaving_.empty()) sweep_later();
}

void KubernetesWorkloads::perform(const TargetPtr& target, const PodAction& action) {
  if (action.kind == PodAction::Kind::ReadLeases) return leases_.read();
  if (parts_.dry_run) return;
  switch (action.kind) {
    case PodAction::Kind::SetReplicas:
      return set_replicas(target, action);
    case PodAction::Kind::Quiet:
    case PodAction::Kind::Unquiet:
      return set_mark(target, action);
    case PodAction::Kind::Annotate:
      return annotate(target, action);
    case PodAction::Kind::ReadLeases:
      return;
  }
}

void KubernetesWorkloads::set_replicas(const TargetPtr& target, const PodAction& action) {
  if (action.interrupts > 0)
    parts_.log.warn("the drain limit is reached: work is interrupted",
                    {{"workload", manifest::to_string(target->key)}, {"pods", action.interrupts}});
  Node patch = Node::object();
  if (action.version != 0)
    patch.set("metadata", Node::object())
        .set("resourceVersion", Node::string(std::to_string(action.version)));
  patch.set("spec", Node::object()).set("replicas", Node::integer(action.replicas));
  parts_.client.merge_patch(
      *target->resource, target->key.ns, target->key.name, std::move(patch),
      [this, replicas = action.replicas, weak = std::weak_ptr(target)](const Result<Node>& scale) {
        const auto it = weak.lock();
        if (!it) return;
        it->write_trouble.reset();
        Result<std::uint64_t> outcome = scale ? Result<std::uint64_t>(version_of(*scale))
                                              : Result<std::uint64_t>(scale.error());
        if (!scale && scale.error().code != Code::Conflict) {
          parts_.log.warn("replicas cannot be set", {{"workload", manifest::to_string(it->key)},
                                                     {"replicas", replicas},
                                                     {"error", scale.error().message}});
          if (!is_passing(scale.error().code)) it->write_trouble = scale.error();
        }
        it->group.replicas_set(outcome, parts_.clock.now());
        work(it);
      },
      "scale");
}

void KubernetesWorkloads::set_mark(const TargetPtr& target, const PodAction& action) {
  const bool quiet = action.kind == PodAction::Kind::Quiet;
  parts_.log.info(quiet ? "pod drains" : "pod goes back to work",
                  {{"pod", action.pod}, {"worker", action.worker_id}});
  leases_.set_quiet(action.worker_id, quiet,
                    [this, id = action.worker_id, weak = std::weak_ptr(target)](Status outcome) {
                      const auto it = weak.lock();
                      if (!it) return;
                      it->group.marked(id, outcome, parts_.clock.now());
                      work(it);
                    });
}

void KubernetesWorkloads::annotate(const TargetPtr& target, const PodAction& action) {
  parts_.client.merge_patch(
      k8s::resources::kPods, target->key.ns, action.pod, targets::marks_patch(action.marks),
      [this, pod = action.pod, weak = std::weak_ptr(target)](const Result<Node>& answer) {
        const auto it = weak.lock();
        if (!it) return;
        if (!answer && answer.error().code != Code::NotFound)
          parts_.log.warn("a pod cannot be annotated",
                          {{"pod", pod}, {"error", answer.error().message}});
        it->group.annotated(pod, answer ? Status() : Status(answer.error()), parts_.clock.now());
        work(it);
      });
}

void KubernetesWorkloads::arm(const TargetPtr& target) {
  const auto next = target->group.next();
  if (next == target->armed) return;
  target->armed = next;
  target->timer.reset();
  if (!next) return;
  const Duration delay = std::max(Duration(0), *next - parts_.clock.now());
  target->timer = parts_.world.run_after(delay, [this, weak = std::weak_ptr(target)] {
    const auto it = weak.lock();
    if (!it) return;
    it->armed.reset();
    it->group.tick(parts_.clock.now());
    work(it);
  });
}

// Later: whoever is told may be the one who is calling.
void KubernetesWorkloads::tell_changes(Target& target) {
  if (target.restored) look_at_restore(target);
  std::vector<std::pair<std::string, scale::ReplicaPhase>> replicas;
  for (const scale::Replica& one : target.replicas()) replicas.emplace_back(one.name, one.phase);
  const auto found = find(target.key);
  const std::string trouble = found ? "" : found.error().message;
  const int wanted = target.wanted();
  const int busy = target.group.busy();
  if (replicas == target.told && trouble == target.told_trouble && wanted == target.told_wanted &&
      busy == target.told_busy)
    return;
  target.told = std::move(replicas);
  target.told_trouble = trouble;
  target.told_wanted = wanted;
  target.told_busy = busy;
  parts_.loop.post([this, alive = std::weak_ptr(alive_), key = target.key] {
    if (!alive.expired() && targets_.contains(key)) changed_(key);
  });
}

// --- leases -------------------------------------------------------------------------------------

void KubernetesWorkloads::refresh_leases() {
  if (!targets_.empty() || !leaving_.empty()) leases_.refresh();
}

void KubernetesWorkloads::leases_seen(const std::vector<jobs::Worker>& workers) {
  const std::vector<TargetPtr> targets = all();
  for (const TargetPtr& target : targets) {
    std::vector<LeaseView> mine;
    for (const jobs::Worker& worker : workers) {
      const std::string_view pod = target->pod_of(worker.spec);
      if (pod.empty()) continue;
      mine.push_back(lease_view(worker, std::string(pod)));
      const auto other = std::ranges::find_if(targets, [&](const TargetPtr& one) {
        return one->key.ns != target->key.ns && !one->pod_of(worker.spec).empty();
      });
      if (other == targets.end()) continue;
      mine.back().shared = true;
      tell_namesakes(*target, pod, **other);
    }
    target->group.leases(target->group.read_begins(), mine, parts_.clock.now());
    work(target);
  }
}

// Once: it is so until the workload is changed.
void KubernetesWorkloads::tell_namesakes(Target& target, std::string_view pod,
                                         const Target& other) {
  if (std::exchange(target.told_namesakes, true)) return;
  parts_.log.warn(
      "pods of two namespaces have the name that a worker is known by, so neither is taken for "
      "idle; set JOBMILL_REPLICA to $(POD_NAMESPACE)/$(POD_NAME) in both",
      {{"pod", pod},
       {"workload", manifest::to_string(target.key)},
       {"namespace", target.key.ns},
       {"other_workload", manifest::to_string(other.key)},
       {"other_namespace", other.key.ns}});
}

}  // namespace jobmill::app
