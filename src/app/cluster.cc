// SPDX-License-Identifier: Apache-2.0
#include "app/cluster.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include <unistd.h>

#include <fmt/format.h>

#include "app/cluster_source.h"
#include "base/id.h"
#include "base/node_path.h"
#include "scale/spec.h"

namespace jobmill::app {
namespace {

using Verdict = ClusterObjects::Verdict;
using EventType = ClusterEvents::Type;

constexpr char kFinalizer[] = "finalizer.keda.sh";
constexpr char kNameLabel[] = "scaledobject.keda.sh/name";
constexpr Duration kRetry = std::chrono::seconds(5);
// What happens in one go is written once; and a new object may come to something first.
constexpr Duration kBetweenWrites = std::chrono::seconds(1);
constexpr Duration kSettles = std::chrono::seconds(2);
// A start with hundreds of objects is told at once: a status and an event for each.
constexpr k8s::Client::Limits kLimits{.burst = 300};

const std::array kWatched{
    &k8s::resources::kScaledObjects,
    &k8s::resources::kScaledJobs,
    &k8s::resources::kTriggerAuthentications,
    &k8s::resources::kClusterTriggerAuthentications,
    &k8s::resources::kSecrets,
    &k8s::resources::kConfigMaps,
    &k8s::resources::kHorizontalPodAutoscalers,
};

const k8s::Resource& resource_of(const manifest::ObjectKey& key) {
  for (const k8s::Resource* resource : kWatched)
    if (resource->kind == key.kind) return *resource;
  return k8s::resources::kScaledObjects;
}

bool is_kedas(const k8s::Resource& resource) { return resource.group == "keda.sh"; }

std::string variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets any
  return value == nullptr ? std::string() : value;
}

std::string identity() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return fmt::format("{}_{}", host.data(), random_suffix(8));
}

Node metadata_patch(std::string_view field, Node value) {
  Node patch = Node::object();
  patch.set("metadata", Node::object()).set(std::string(field), std::move(value));
  return patch;
}

std::vector<std::string> finalizers_of(const Node& document) {
  std::vector<std::string> out;
  const Node* metadata = document.find("metadata");
  const Node* finalizers = metadata != nullptr ? metadata->find("finalizers") : nullptr;
  if (finalizers != nullptr)
    for (const Node& one : finalizers->items) out.push_back(one.text);
  return out;
}

bool has_finalizer(const Node& document) {
  const auto finalizers = finalizers_of(document);
  return std::ranges::find(finalizers, kFinalizer) != finalizers.end();
}

std::string text_of(const Node* node, std::string_view key) {
  const Node* found = node != nullptr ? node->find(key) : nullptr;
  return found == nullptr ? std::string() : found->text;
}

k8s::World world_of(ClusterParts& parts) {
  return {.post = [&loop = parts.loop](std::function<void()> work) { loop.post(std::move(work)); },
          .run_after = [&loop = parts.loop](Duration delay,
                                            std::function<void()> work) -> std::shared_ptr<void> {
            const auto timer = loop.run_after(delay, std::move(work));
            return {&loop, [timer](net::EventLoop* of) { of->cancel(timer); }};
          },
          .clock = parts.clock,
          .background =
              [&pool = parts.pool](std::function<void()> work) { pool.post(std::move(work)); }};
}

}  // namespace

Result<std::unique_ptr<Cluster>> Cluster::open(ClusterParts parts) {
  TRY(k8s::Config config, k8s::load_config(parts.options.kubeconfig, parts.options.context));
  return std::make_unique<Cluster>(std::move(parts), std::move(config));
}

Cluster::Cluster(ClusterParts parts, k8s::Config config)
    : parts_(std::move(parts)),
      world_(world_of(parts_)),
      client_(std::move(config), parts_.http, world_, kLimits),
      events_(client_, parts_.clock, parts_.log) {}

Cluster::~Cluster() = default;

ClusterHooks Cluster::hooks() {
  return {
      .status_changed = [this](const Key& key) { look_at(key); },
      .decided = [this](const Key& key,
                        const scale::Decision& decision) { decided(key, decision); },
      .annotate =
          [this](const Key& key, const ClusterHooks::Annotations& annotations) {
            return annotate(key, annotations);
          },
      .pods = cluster_source(client_, parts_.clock,
                             [this](std::string_view ns, const manifest::LabelSelector& selector) {
                               return parts_.control().workloads().watched_pods(ns, selector);
                             })};
}

// --- who leads ----------------------------------------------------------------------------------

void Cluster::start() {
  parts_.log.info("watching a cluster",
                  {{"server", client_.config().server},
                   {"namespace", parts_.options.ns.empty() ? "all" : parts_.options.ns},
                   {"dry_run", dry_run()}});
  if (dry_run()) return lead(true);  // beside the one who leads
  const std::string pod = variable("POD_NAMESPACE");
  elector_ = std::make_unique<k8s::Elector>(
      client_, world_,
      k8s::Elector::Options{.ns = pod.empty() ? client_.config().ns : pod, .identity = identity()},
      [this](bool leads) { lead(leads); },
      [this](const Fault& why) {
        parts_.log.warn("cannot tell who leads", {{"error", why.message}});
      });
}

void Cluster::stop(std::function<void()> done) {
  lead(false);
  if (!elector_) return done();
  elector_->resign(std::move(done));
}

void Cluster::lead(bool leads) {
  if (leads == leads_) return;
  leads_ = leads;
  parts_.log.info(leads ? "leads the cluster" : "no longer leads the cluster");
  if (leads) {
    for (const k8s::Resource* resource : kWatched) unheard_.insert(resource->kind);
    for (const k8s::Resource* resource : kWatched) watch(*resource);
    return;
  }
  reflectors_.clear();
  unheard_.clear();
  objects_ = {};
  puts_.clear();
  for (auto& [key, written] : written_) stop_finalizing(written);
  written_.clear();
  gone_ = std::exchange(given_, {});
  give();
}

// --- what there is ------------------------------------------------------------------------------

void Cluster::watch(const k8s::Resource& resource) {
  const std::string& kind = resource.kind;
  k8s::Reflector::Events events{
      .listed =
          [this, &kind](const std::vector<Node>& items) {
            take(objects_.listed(kind, items));
            first_heard(kind);
          },
      .put = [this](const Node& object) { take(objects_.put(object)); },
      .removed = [this](const Node& object) { take(objects_.removed(object)); },
      .ill =
          [this, &resource](const Fault& fault) {
            unreadable(resource, fault);
            first_heard(resource.kind);
          },
      .well =
          [this, &kind] {
            parts_.log.info("the cluster's objects can be read again", {{"kind", kind}});
          }};
  reflectors_.push_back(std::make_unique<k8s::Reflector>(
      client_, world_,
      k8s::Reflector::What{.resource = resource,
                           .ns = resource.namespaced ? parts_.options.ns : std::string(),
                           .label_selector = {},
                           .field_selector = {}},
      std::move(events)));
}

void Cluster::unreadable(const k8s::Resource& resource, const Fault& fault) {
  if (is_kedas(resource) && fault.code == Code::NotFound)
    return parts_.log.warn(
        fmt::format("the cluster does not know {} ({}); apply jobmill's or KEDA's "
                    "CustomResourceDefinitions",
                    resource.plural, resource.api_version()));
  parts_.log.error("the cluster's objects cannot be read",
                   {{"kind", resource.kind}, {"error", fault.message}});
}

void Cluster::first_heard(const std::string& kind) {
  if (unheard_.erase(kind) > 0 && unheard_.empty()) give();
}

void Cluster::take(ClusterObjects::Change change) {
  for (manifest::Object& object : change.put) {
    gone_.erase(object.key);
    puts_.insert_or_assign(object.key, std::move(object));
  }
  for (const Key& key : change.gone) {
    puts_.erase(key);
    gone_.insert(key);
  }
  // Before what is gone is given on: the drain goes on with the group that scaled it until now.
  for (const Key& key : change.judged) {
    const auto* judged = objects_.judged(key);
    if (judged != nullptr && judged->verdict == Verdict::Ends && !dry_run()) finalize(key);
  }
  if (unheard_.empty()) give();
  for (const Key& key : change.judged) judge_told(key);
}

void Cluster::found(manifest::Object workload) {
  gone_.erase(workload.key);
  puts_.insert_or_assign(workload.key, std::move(workload));
  if (unheard_.empty()) give();
}

void Cluster::lost(const Key& workload) {
  puts_.erase(workload);
  gone_.insert(workload);
  if (unheard_.empty()) give();
}

void Cluster::give() {
  std::vector<manifest::Object> objects;
  for (auto& [key, object] : std::exchange(puts_, {})) {
    given_.insert(key);
    objects.push_back(std::move(object));
  }
  std::vector<Key> gone;
  for (const Key& key : std::exchange(gone_, {})) {
    given_.erase(key);
    gone.push_back(key);
  }
  if (!objects.empty() || !gone.empty()) parts_.control().feed(std::move(objects), gone);
}

// --- what becomes of it -------------------------------------------------------------------------

// A verdict that is new. Objects may come before those that they refer to: it is told later.
void Cluster::judge_told(const Key& key) {
  const auto* judged = objects_.judged(key);
  const bool ends = judged != nullptr && judged->verdict == Verdict::Ends;
  if (const auto it = written_.find(key); it != written_.end() && !ends)
    stop_finalizing(it->second);
  if (judged == nullptr) {
    written_.erase(key);
    return;
  }
  const Node& document = *objects_.document(key);
  if (const auto [it, is_new] = written_.try_emplace(key); is_new)
    it->second.since = parts_.clock.now();
  if (judged->verdict == Verdict::Wrong)
    parts_.log.warn("an object cannot be used",
                    {{"object", manifest::to_string(key)}, {"why", judged->why}});
  if (judged->verdict == Verdict::Others)
    parts_.log.info("an object is left alone",
                    {{"object", manifest::to_string(key)}, {"why", judged->why}});
  if (dry_run()) return;
  for (const std::string& warning : judged->warnings)
    events_.tell(document, EventType::Normal, "KEDAScalerInfo", warning);
  if (ends) return;
  if (judged->verdict == Verdict::Good) settle(key);
  look_at(key);
}

void Cluster::settle(const Key& key) {
  if (key.kind != "ScaledObject") return;
  keep_finalizer(key);
  adopt(key);
}

// By which others find the objects that KEDA, or we, have seen.
void Cluster::keep_label(const Key& key) {
  const Node* document = objects_.document(key);
  if (document == nullptr || text_at(*document, {"metadata", "labels", kNameLabel}) == key.name)
    return;
  Node labels = Node::object();
  labels.set(kNameLabel, Node::string(key.name));
  client_.merge_patch(
      resource_of(key), key.ns, key.name, metadata_patch("labels", std::move(labels)),
      [this, key](const Result<Node>& answer) {
        if (answer || answer.error().code == Code::NotFound) return;
        parts_.log.warn("a label was not set",
                        {{"object", manifest::to_string(key)}, {"error", answer.error().message}});
      });
}

// An object whose target gets its number back when it is deleted has to wait for that.
void Cluster::keep_finalizer(const Key& key) {
  const Node& document = *objects_.document(key);
  if (!objects_.spec(key)->restore_to_original_replicas || has_finalizer(document)) return;
  auto finalizers = finalizers_of(document);
  finalizers.emplace_back(kFinalizer);
  set_finalizers(key, std::move(finalizers));
}

void Cluster::set_finalizers(const Key& key, std::vector<std::string> finalizers) {
  Node list = Node::array();
  for (const std::string& one : finalizers) list.push(Node::string(one));
  Node patch = metadata_patch("finalizers", std::move(list));
  // Of the version that we saw: others may have theirs.
  const Node* metadata = objects_.document(key)->find("metadata");
  patch.find("metadata")
      ->set("resourceVersion", Node::string(text_of(metadata, "resourceVersion")));
  client_.merge_patch(resource_of(key), key.ns, key.name, std::move(patch),
                      [this, key](const Result<Node>& answer) { finalizers_set(key, answer); });
}

// Somebody may have changed it meanwhile: the watch has brought that when we try again.
void Cluster::finalizers_set(const Key& key, const Result<Node>& answer) {
  if (answer || answer.error().code == Code::NotFound) return;
  parts_.log.warn("finalizers were not set",
                  {{"object", manifest::to_string(key)}, {"error", answer.error().message}});
  const auto it = written_.find(key);
  if (it == written_.end()) return;
  it->second.finalizers_later = world_.run_after(kRetry, [this, key] {
    const auto* judged = objects_.judged(key);
    if (judged == nullptr) return;
    if (judged->verdict == Verdict::Ends) return release(key);
    if (judged->verdict == Verdict::Good) settle(key);
  });
}

// The finalizer stays until the target has its replicas back, in the order of any scaling in: who
// leads after us finds it and goes on.
void Cluster::finalize(const Key& key) {
  if (!has_finalizer(*objects_.document(key))) return;
  Written& written = written_[key];
  if (std::exchange(written.finalizing, true)) return;
  const auto replicas = to_restore(key, written);
  if (!replicas) return release(key);
  const scale::ScaleTargetRef& target = objects_.spec(key)->target;
  events_.tell(*objects_.document(key), EventType::Normal, "KEDAScalerInfo",
               fmt::format("it is being deleted: {}/{} gets its {} original replicas back; pods "
                           "that are too many end their jobs before they go",
                           target.kind, target.name, *replicas));
  written.restoring = objects_.spec(key)->target_key();
  parts_.control().workloads().restore(*written.restoring, target.api_version, *replicas,
                                       [this, key] { restored(key); });
}

void Cluster::stop_finalizing(Written& written) {
  written.finalizing = false;
  if (const auto target = std::exchange(written.restoring, std::nullopt))
    parts_.control().workloads().stop_restoring(*target);
}

void Cluster::restored(const Key& key) {
  const auto it = written_.find(key);
  if (it != written_.end() && std::exchange(it->second.restoring, std::nullopt)) release(key);
}

// Nothing is left to be done for an object that is being deleted.
void Cluster::release(const Key& key) {
  const Node& document = *objects_.document(key);
  auto finalizers = finalizers_of(document);
  std::erase(finalizers, kFinalizer);
  events_.tell(document, EventType::Normal, key.kind + "Deleted", "it is no longer scaled");
  set_finalizers(key, std::move(finalizers));
}

// The number that the target of a ScaledObject gets back; nothing: it stays at what it has. An
// object that is deleted at once may have no status yet.
std::optional<int> Cluster::to_restore(const Key& key, const Written& written) const {
  const scale::ScaledObjectSpec* spec = objects_.spec(key);
  if (spec == nullptr || !spec->restore_to_original_replicas || spec->target.name.empty())
    return std::nullopt;
  const Node* original = find_at(*objects_.document(key), {"status", "originalReplicaCount"});
  const auto replicas = original != nullptr ? original->as_int() : std::nullopt;
  return replicas ? std::optional(static_cast<int>(*replicas)) : written.original;
}

// Two autoscalers of one target undo each other's work: the other one goes.
void Cluster::adopt(const Key& key) {
  const auto autoscaler = objects_.adopted_autoscaler(key);
  if (!autoscaler) return;
  client_.remove(k8s::resources::kHorizontalPodAutoscalers, autoscaler->ns, autoscaler->name,
                 k8s::Client::Propagation::Background,
                 [this, key, name = autoscaler->name](const Result<Node>& answer) {
                   if (answer)
                     parts_.log.info("took over a HorizontalPodAutoscaler's target",
                                     {{"object", manifest::to_string(key)}, {"name", name}});
                   else if (answer.error().code != Code::NotFound)
                     parts_.log.error("a HorizontalPodAutoscaler was not removed",
                                      {{"name", name}, {"error", answer.error().message}});
                 });
}

void Cluster::decided(const Key& key, const scale::Decision& decision) {
  const Node* document = objects_.document(key);
  if (document == nullptr || dry_run()) return;
  Written& written = written_[key];
  if (!written.original) written.original = decision.from;
  const scale::ScaleTargetRef& target = objects_.spec(key)->target;
  const std::string words = fmt::format("scaled {} {}/{} from {} to {}: {}", target.kind, key.ns,
                                        target.name, decision.from, decision.to, decision.sentence);
  if (decision.from == 0)
    events_.tell(*document, EventType::Normal, "KEDAScaleTargetActivated", words);
  if (decision.to == 0)
    events_.tell(*document, EventType::Normal, "KEDAScaleTargetDeactivated", words);
}

Status Cluster::annotate(const Key& key, const ClusterHooks::Annotations& annotations) {
  if (dry_run())
    return fail(Code::Conflict, "this server changes nothing in the cluster (--dry-run)");
  Node texts = Node::object();
  for (const auto& [name, value] : annotations)
    texts.set(name, value ? Node::string(*value) : Node{});
  client_.merge_patch(
      resource_of(key), key.ns, key.name, metadata_patch("annotations", std::move(texts)),
      [this, key](const Result<Node>& answer) {
        if (!answer)
          parts_.log.error("annotations were not set", {{"object", manifest::to_string(key)},
                                                        {"error", answer.error().message}});
      });
  return {};
}

void Cluster::tell(const Key& about, bool warning, std::string_view reason,
                   const std::string& message) {
  const Node* document = objects_.document(about);
  if (document == nullptr || dry_run()) return;
  events_.tell(*document, warning ? EventType::Warning : EventType::Normal, reason, message);
}

// --- status -------------------------------------------------------------------------------------

// Later, and once for all that changes in one go.
void Cluster::look_at(const Key& key) {
  if (dry_run() || objects_.judged(key) == nullptr) return;
  Written& written = written_[key];
  if (written.busy) {
    written.again = true;
    return;
  }
  written.busy = true;
  parts_.loop.post([this, key] { write_status(key); });
}

Node Cluster::wanted_status(const Key& key) {
  const auto& judged = *objects_.judged(key);
  const Node* present = objects_.document(key)->find("status");
  if (judged.verdict == Verdict::Wrong) {
    Node status = present != nullptr ? *present : Node::object();
    Node refused = refused_status(key.kind, judged.why, parts_.clock.now());
    status.set("conditions", *refused.find("conditions"));
    return status;
  }
  Node status = parts_.control().cluster_status(key);
  if (status.members.empty() || key.kind != "ScaledObject") return status;
  const scale::ScaledObjectSpec& spec = *objects_.spec(key);
  const auto slash = spec.target.api_version.find('/');
  const bool grouped = slash != std::string::npos;
  Node& kind = status.set("scaleTargetGVKR", Node::object());
  kind.set("group", Node::string(grouped ? spec.target.api_version.substr(0, slash) : ""));
  kind.set("version", Node::string(grouped ? spec.target.api_version.substr(slash + 1)
                                           : spec.target.api_version));
  kind.set("kind", Node::string(spec.target.kind));
  if (spec.target.api_version == "apps/v1")
    kind.set("resource",
             Node::string(spec.target.kind == "StatefulSet" ? "statefulsets" : "deployments"));
  const Node* original = present != nullptr ? present->find("originalReplicaCount") : nullptr;
  const Written& written = written_[key];
  if (original != nullptr)
    status.set("originalReplicaCount", *original);
  else if (written.original)
    status.set("originalReplicaCount", Node::integer(*written.original));
  else if (const auto target = parts_.control().workloads().find(spec.target_key()))
    status.set("originalReplicaCount", Node::integer((*target)->wanted()));
  return status;
}

void Cluster::write_status(const Key& key) {
  const auto it = written_.find(key);
  if (it == written_.end()) return;
  Written& written = it->second;
  const auto* judged = objects_.judged(key);
  const bool ours =
      judged != nullptr && (judged->verdict == Verdict::Good || judged->verdict == Verdict::Wrong);
  const Node wanted = ours ? wanted_status(key) : Node::object();
  if (wanted.members.empty()) {  // nothing is known of it yet, or it is not for us to say
    written.busy = false;
    return;
  }
  const Node* present = objects_.document(key)->find("status");
  const StatusPatch found = status_patch(present, wanted);
  if (!found.patch) {
    written.busy = false;
    if (found.later) written.later = world_.run_after(*found.later, [this, key] { look_at(key); });
    return;
  }
  const TimePoint now = parts_.clock.now();
  const bool settled = judged->verdict == Verdict::Wrong ||
                       text_of(condition_of(&wanted, "Ready"), "status") == "True";
  const TimePoint due =
      std::max(written.not_before, settled ? TimePoint{} : written.since + kSettles);
  if (now < due) {
    written.later = world_.run_after(due - now, [this, key] { look_at(key); });
    written.busy = false;
    return;
  }
  written.not_before = now + kBetweenWrites;
  tell_of(key, present, wanted);
  Node patch = Node::object();
  patch.set("status", *found.patch);
  client_.merge_patch(
      resource_of(key), key.ns, key.name, std::move(patch),
      [this, key](const Result<Node>& answer) { status_written(key, answer); }, "status");
}

void Cluster::status_written(const Key& key, const Result<Node>& answer) {
  const auto it = written_.find(key);
  if (it == written_.end()) return;
  Written& written = it->second;
  written.busy = false;
  if (!answer) {
    if (answer.error().code == Code::NotFound) return;
    parts_.log.warn("a status was not written",
                    {{"object", manifest::to_string(key)}, {"error", answer.error().message}});
    written.later = world_.run_after(kRetry, [this, key] { look_at(key); });
    return;
  }
  if (const Node* status = answer->find("status")) objects_.set_status(key, *status);
  // Later: a start has hundreds of statuses to write first.
  if (key.kind == "ScaledObject")
    written.label = world_.run_after(kSettles, [this, key] { keep_label(key); });
  if (std::exchange(written.again, false)) look_at(key);
}

// What a change of conditions means to somebody who reads the events.
void Cluster::tell_of(const Key& key, const Node* before, const Node& after) {
  const Node& document = *objects_.document(key);
  const auto turned = [&](std::string_view type, std::string_view to) {
    const Node* now = condition_of(&after, type);
    return text_of(now, "status") == to &&
           (text_of(condition_of(before, type), "status") != to ||
            text_of(condition_of(before, type), "reason") != text_of(now, "reason"));
  };
  const auto message = [&](std::string_view type) {
    return text_of(condition_of(&after, type), "message");
  };
  const std::string reason = text_of(condition_of(&after, "Ready"), "reason");
  if (turned("Ready", "True"))
    events_.tell(document, EventType::Normal, key.kind + "Ready", message("Ready"));
  if (turned("Ready", "False"))
    events_.tell(document, EventType::Warning,
                 reason == "TriggerError" ? "KEDAScalerFailed" : reason, message("Ready"));
  if (turned("Paused", "True"))
    events_.tell(document, EventType::Normal, key.kind + "Paused", message("Paused"));
  if (turned("Paused", "False") && text_of(condition_of(before, "Paused"), "status") == "True")
    events_.tell(document, EventType::Normal, key.kind + "Unpaused", message("Paused"));
}

}  // namespace jobmill::app
