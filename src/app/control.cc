// SPDX-License-Identifier: Apache-2.0
#include "app/control.h"

#include <algorithm>
#include <set>

#include <fmt/core.h>

#include "app/apply_plan.h"
#include "app/kinds.h"
#include "app/local_scaled_jobs.h"
#include "app/manifest_files.h"
#include "base/duration.h"
#include "scale/auth.h"
#include "scale/explain.h"

namespace jobmill::app {
namespace {

using manifest::Object;
using manifest::ObjectKey;
using manifest::Problems;

// A manifest as anyone may see it: the values of Secrets are not for printing.
Node masked(const Object& object) {
  Node document = object.document;
  if (object.key.kind != "Secret") return document;
  const auto mask = [](Node* values) {
    if (values == nullptr) return;
    for (Node::Member& member : values->members) member.value = Node::string("***");
  };
  mask(document.find("data"));
  mask(document.find("stringData"));
  // kubectl keeps a copy of the whole manifest in an annotation.
  if (Node* metadata = document.find("metadata")) mask(metadata->find("annotations"));
  return document;
}

Node instant(TimePoint at) { return Node::string(format_instant(at)); }

Node trigger_document(const scale::ScaleStatus::Trigger& trigger,
                      const std::vector<std::string>& warnings) {
  Node node = Node::object();
  node.set("name", Node::string(trigger.name));
  node.set("metric", Node::string(trigger.metric));
  node.set("active", Node::boolean(trigger.active));
  if (trigger.value) node.set("value", Node::number(*trigger.value));
  if (trigger.read_at) node.set("readAt", instant(*trigger.read_at));
  if (!trigger.error.empty()) {
    node.set("failures", Node::integer(trigger.failures));
    node.set("error", Node::string(trigger.error));
  }
  Node list = Node::array();
  for (const std::string& warning : warnings) list.push(Node::string(warning));
  if (!warnings.empty()) node.set("warnings", std::move(list));
  return node;
}

Node counts_document(int wanted, const scale::ReplicaCounts& counts) {
  Node node = Node::object();
  node.set("wanted", Node::integer(wanted));
  node.set("ready", Node::integer(counts.ready));
  node.set("starting", Node::integer(counts.starting));
  node.set("draining", Node::integer(counts.draining));
  return node;
}

Fault in_the_cluster() {
  return fail(Code::Unsupported,
              "the objects of this server are those of its cluster; use kubectl to change them");
}

std::string joined(const std::set<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ",") + text;
  return all;
}

}  // namespace

Control::Control(ControlParts parts)
    : parts_(std::move(parts)),
      autoscaler_({.sync = parts_.options.scale_sync}),
      scaled_jobs_(parts_.scaled_jobs ? parts_.scaled_jobs()
                                      : std::make_unique<LocalScaledJobs>(
                                            parts_.catalog, parts_.executions, parts_.log)) {
  workloads_ = parts_.workloads([this](const Key& key) { deployment_changed(key); });
  if (parts_.cluster) return;
  auto stored = parts_.objects.load();
  if (!stored)
    parts_.log.error("the applied objects cannot be read", {{"error", stored.error().message}});
  if (stored)
    for (Object& object : *stored) parts_.catalog.restore(std::move(object));
}

Control::~Control() = default;

// --- manifests ----------------------------------------------------------------------------------

api::ManifestReport Control::apply_at_start(const std::vector<api::ManifestFile>& files) {
  auto report = apply_now(files, std::string(manifest::kDefaultNamespace));
  if (report) return *std::move(report);
  return {.lines = {}, .notes = {}, .errors = {{"manifests", report.error().message}}};
}

void Control::start() {
  started_ = true;
  std::set<Key> all;
  for (const Object* object : parts_.catalog.all()) all.insert(object->key);
  reconcile(all);
}

void Control::reload(const std::vector<std::string>& filename) {
  const auto files = read_manifest_files(filename);
  if (!files)
    return parts_.log.error("manifests were not read again", {{"error", files.error().message}});
  const auto report = apply_now(*files, std::string(manifest::kDefaultNamespace));
  if (!report)
    return parts_.log.error("manifests were not applied", {{"error", report.error().message}});
  for (const manifest::Remark& error : report->errors)
    parts_.log.error(error.text, {{"manifest", error.where}});
}

void Control::apply(std::vector<api::ManifestFile> files, std::string ns,
                    Done<api::ManifestReport> done) {
  parts_.loop.post([this, files = std::move(files), ns = std::move(ns), done = std::move(done)] {
    done(apply_now(files, ns));
  });
}

void Control::remove(std::vector<api::ManifestFile> files, std::string ns,
                     Done<api::ManifestReport> done) {
  parts_.loop.post([this, files = std::move(files), ns = std::move(ns), done = std::move(done)] {
    done(remove_now(files, ns));
  });
}

// Checks everything, then stores it, then lets it act: an applied object is on disk.
Result<api::ManifestReport> Control::apply_now(const std::vector<api::ManifestFile>& files,
                                               const std::string& ns) {
  if (parts_.cluster && !files.empty()) return in_the_cluster();
  ApplyPlan plan = plan_apply(files, ns, parts_.catalog, parts_.images);
  api::ManifestReport report{
      .lines = {}, .notes = std::move(plan.notes), .errors = std::move(plan.errors)};
  for (manifest::Remark& rival : scaled_jobs_->rivals(plan.objects))
    report.errors.push_back(std::move(rival));
  if (!report.errors.empty()) return report;

  manifest::Catalog next =
      parts_.catalog;  // what it will be: generations are the catalog's to give
  std::set<Key> changed;
  std::vector<Object> to_save;
  for (const Object& object : plan.objects) {
    const bool is_new = next.find(object.key) == nullptr;
    const bool differs = next.put(object, parts_.clock.now());
    report.lines.push_back({object.key, is_new ? "created" : differs ? "configured" : "unchanged"});
    if (differs) changed.insert(object.key);
  }
  for (const Key& key : changed) to_save.push_back(*next.find(key));
  if (!to_save.empty()) TRY_VOID(parts_.objects.save(to_save));
  parts_.catalog = std::move(next);
  if (started_) reconcile(changed);
  return report;
}

Result<api::ManifestReport> Control::remove_now(const std::vector<api::ManifestFile>& files,
                                                const std::string& ns) {
  if (parts_.cluster) return in_the_cluster();
  ApplyPlan plan = plan_delete(files, ns);
  api::ManifestReport report{.lines = {}, .notes = {}, .errors = std::move(plan.errors)};
  if (!report.errors.empty()) return report;
  std::vector<Key> keys;
  for (const Object& object : plan.objects) {
    const bool there = parts_.catalog.find(object.key) != nullptr;
    if (there) keys.push_back(object.key);
    report.lines.push_back({object.key, there ? "deleted" : "not found"});
  }
  if (!keys.empty()) TRY_VOID(parts_.objects.remove(keys));
  for (const Key& key : keys) parts_.catalog.remove(key);
  if (started_) reconcile({keys.begin(), keys.end()});
  return report;
}

void Control::feed(std::vector<Object> objects, const std::vector<Key>& gone) {
  std::set<Key> changed(gone.begin(), gone.end());
  for (const Key& key : gone) parts_.catalog.remove(key);
  for (Object& object : objects) {
    changed.insert(object.key);
    parts_.catalog.restore(std::move(object));
  }
  if (started_) reconcile(changed);
}

// --- from manifests to processes and scalers ----------------------------------------------------

// Deployments come last: what they refer to may be of the same batch. ScaledObjects come before
// them, so that a new group knows that its size is not its own.
void Control::reconcile(const std::set<Key>& changed) {
  if (stopping_) return;
  allow_service_names();
  std::set<Key> deployments;
  for (const Key& key : changed) {
    if (key.kind == "Deployment") deployments.insert(key);
    if (key.kind != "ScaledObject") continue;
    const auto before = scaled_.find(key);
    const auto left =
        before == scaled_.end() ? std::nullopt : std::optional(before->second.spec.target_key());
    if (left) deployments.insert(*left);
    reconcile_scaled(key);
    const auto after = scaled_.find(key);
    if (left && scaler_of(*left) == nullptr) workloads_->not_scaled(*left);
    if (after == scaled_.end()) continue;
    const scale::ScaledObjectSpec& spec = after->second.spec;
    workloads_->scaled(spec.target_key(), spec.target.api_version);
    deployments.insert(spec.target_key());
  }
  for (const Key& key : deployments) reconcile_deployment(key);
  scaled_jobs_->reconcile(changed);
  for (const auto& [key, scaled] : scaled_)
    if (changed.contains(key) || deployments.contains(scaled.spec.target_key())) tell_replicas(key);
  drive();
}

void Control::reconcile_deployment(const Key& key) {
  const Object* object = parts_.catalog.find(key);
  if (object == nullptr) return workloads_->remove(key);
  const Scaled* scaled = scaler_of(key);
  const int initial =
      scaled == nullptr ? 0 : scaled->spec.idle_replicas.value_or(scaled->spec.min());
  workloads_->apply(*object, scaled != nullptr, initial);
}

void Control::reconcile_scaled(const Key& key) {
  const Object* object = parts_.catalog.find(key);
  if (object == nullptr) {
    autoscaler_.remove(key);
    touched(key);
    scaled_.erase(key);
    parts_.recorder.changed(key);
    return;
  }
  Problems problems(object->source);
  const auto [it, is_new] = scaled_.try_emplace(key);
  Scaled& scaled = it->second;
  // Its tags must differ from those of an earlier life: of this object, or of this server.
  if (is_new) scaled.revision = parts_.clock.now().time_since_epoch().count();
  scaled.spec = scale::decode_scaled_object(*object, problems);
  scaled.generation = object->generation;
  scaled.annotations = object->annotations;
  scaled.notes.clear();
  for (const manifest::Remark& note : problems.notes()) scaled.notes.push_back(note.text);
  scaled.triggers.clear();
  scaled.triggers.resize(scaled.spec.triggers.size());

  std::vector<scale::Autoscaler::Trigger> triggers;
  for (std::size_t i = 0; i < scaled.triggers.size(); ++i) {
    const scale::Trigger& trigger = scaled.spec.triggers[i];
    triggers.push_back({.type = trigger.type,
                        .name = trigger.name,
                        .metric = build(scaled, i),
                        .cached = trigger.use_cached_metrics});
  }
  scale::Autoscaler::Origin origin{
      .generation = object->generation, .created = object->created, .last_active = {}};
  if (is_new) remember(key, origin);
  autoscaler_.put(scaled.spec, origin, std::move(triggers), parts_.clock.now());
}

// Cooldowns and windows go on after a restart where they were. What another server of a cluster
// knew stands in the status.
void Control::remember(const Key& key, scale::Autoscaler::Origin& origin) {
  Recorder::Last last = parts_.recorder.last(key);
  if (const Node* status = parts_.catalog.find(key)->document.find("status"))
    if (const Node* active = status->find("lastActiveTime"))
      if (const auto at = parse_instant(active->text)) origin.last_active = *at;
  if (last.latest) {
    const scale::ActivateInput& seen = last.latest->input.activate;
    const auto known = seen.active || seen.forced ? last.latest->until : seen.last_active;
    origin.last_active = std::max(origin.last_active, known);
  }
  origin.latest = std::move(last.latest);
  origin.change = std::move(last.change);
}

// A page may name this server by any Service that is applied, as the triggers do.
void Control::allow_service_names() {
  std::set<std::string, std::less<>> hosts(parts_.options.hosts.begin(),
                                           parts_.options.hosts.end());
  for (const Object* service : parts_.catalog.list("Service")) {
    const std::string& name = service->key.name;
    const std::string with_namespace = name + "." + service->key.ns;
    hosts.insert(
        {name, with_namespace, with_namespace + ".svc", with_namespace + ".svc.cluster.local"});
  }
  parts_.door.allow_hosts(std::move(hosts));
}

const Control::Scaled* Control::scaler_of(const Key& deployment) const {
  for (const auto& [key, scaled] : scaled_)
    if (scaled.spec.target_key() == deployment) return &scaled;
  return nullptr;
}

// --- triggers -----------------------------------------------------------------------------------

scalers::ScalerContext Control::scaler_context() {
  return {.fetch =
              [this](http::ClientRequest request, std::function<void(http::ClientResult)> done) {
                parts_.fetch.send(std::move(request), std::move(done));
              },
          .jobs = parts_.feed.source(),
          .service_bus =
              parts_.queues != nullptr ? parts_.queues->source() : scalers::ServiceBusSource{},
          .cluster = parts_.cluster ? parts_.cluster->pods : scalers::ClusterSource{},
          .run_after = [this](Duration delay, std::function<void()> fn) -> std::shared_ptr<void> {
            const auto timer = parts_.loop.run_after(delay, std::move(fn));
            return {this, [this, timer](void*) { parts_.loop.cancel(timer); }};
          },
          .clock = parts_.clock};
}

// (Re)builds the scaler of a trigger; its secrets are looked up again.
Result<scale::MetricSpec> Control::build(Scaled& scaled, std::size_t index) {
  TriggerState& state = scaled.triggers[index];
  state.scaler.reset();
  TRY(auto resolved, scale::resolve_trigger(parts_.catalog, scaled.spec, index));
  for (const std::string& warning : resolved.warnings)
    if (std::ranges::find(state.warnings, warning) == state.warnings.end())
      parts_.log.warn(warning, {{"scaledobject", scaled.spec.key.name}});
  state.warnings = std::move(resolved.warnings);
  TRY(state.scaler, scalers::make_scaler(resolved.spec, scaler_context()));
  return state.scaler->metric();
}

void Control::read(const scale::Autoscaler::Read& read) {
  const auto it = scaled_.find(read.object);
  if (it == scaled_.end() || read.trigger >= it->second.triggers.size()) return;
  TriggerState& state = it->second.triggers[read.trigger];
  const auto answer = [this, read](Result<scale::Sample> sample) {
    parts_.loop.post([this, read, sample = std::move(sample)] {
      autoscaler_.sample(read, sample, parts_.clock.now());
      drive();
    });
  };
  if (read.rebuild || state.scaler == nullptr) {
    const auto metric = build(it->second, read.trigger);
    if (!metric) return answer(metric.error());
    autoscaler_.built(read, *metric);
  }
  state.scaler->read(answer);
}

void Control::tell_replicas(const Key& key) {
  const auto it = scaled_.find(key);
  if (it == scaled_.end()) return;
  const Key target_key = it->second.spec.target_key();
  const auto target = workloads_->find(target_key);
  const TimePoint now = parts_.clock.now();
  if (!target && target.error().code == Code::Unavailable) return;  // not known yet
  if (!target) return autoscaler_.replicas(key, target.error(), now);
  autoscaler_.replicas(key,
                       scale::Autoscaler::Replicas{.wanted = (*target)->wanted(),
                                                   .counts = (*target)->counts(),
                                                   .busy = workloads_->busy(target_key)},
                       now);
}

void Control::deployment_changed(const Key& deployment) {
  for (const auto& [key, scaled] : scaled_) {
    if (scaled.spec.target_key() != deployment) continue;
    tell_replicas(key);
    touched(key);
  }
  drive();
}

// --- the loop -----------------------------------------------------------------------------------

// Lets the autoscaler think, does what it says, and sets the timer for its next thought.
void Control::drive() {
  if (!started_ || stopping_) return;
  carry_out(autoscaler_.tick(parts_.clock.now()));
  if (timer_) parts_.loop.cancel(*timer_);
  timer_.reset();
  if (const auto next = autoscaler_.next()) {
    const Duration wait = std::max(*next - parts_.clock.now(), Duration(0));
    timer_ = parts_.loop.run_after(wait, [this] {
      timer_.reset();
      drive();
    });
  }
}

void Control::carry_out(const scale::Autoscaler::Actions& actions) {
  for (const auto& [key, decision] : actions.decisions) {
    if (decision.from != decision.to)
      parts_.log.info("scaled", {{"scaledobject", key.name},
                                 {"from", decision.from},
                                 {"to", decision.to},
                                 {"why", decision.sentence}});
    parts_.recorder.decided(key, decision);
    if (parts_.cluster && decision.from != decision.to) parts_.cluster->decided(key, decision);
    touched(key);
  }
  for (const Key& key : actions.repeats) parts_.recorder.repeated(key, *autoscaler_.latest(key));
  for (const Key& key : actions.statuses) touched(key);
  for (const scale::Autoscaler::ScaleTo& scale : actions.scale_to) {
    const auto it = scaled_.find(scale.object);
    if (it == scaled_.end()) continue;
    if (const auto target = workloads_->find(it->second.spec.target_key()))
      (*target)->scale_to(scale.replicas);
    tell_replicas(scale.object);
  }
  for (const scale::Autoscaler::Read& one : actions.reads) read(one);
}

void Control::workers_changed() {
  if (workers_told_.exchange(true)) return;
  parts_.loop.post([this] {
    workers_told_ = false;
    workloads_->refresh_leases();
  });
}

void Control::shutdown(Duration grace, std::function<void()> done) {
  stopping_ = true;
  for (auto& [key, scaled] : scaled_) {
    for (TriggerState& trigger : scaled.triggers) trigger.scaler.reset();  // ends its read
    touched(key);
  }
  workloads_->shutdown(grace, std::move(done));
}

// --- what people see ----------------------------------------------------------------------------

void Control::touched(const Key& key) {
  const auto it = scaled_.find(key);
  if (it == scaled_.end()) return;
  parts_.recorder.changed(key);
  if (parts_.cluster) parts_.cluster->status_changed(key);
  ++it->second.revision;
  for (Watcher& watcher : std::exchange(it->second.watchers, {})) {
    parts_.loop.cancel(watcher.timer);
    parts_.loop.post(std::move(watcher.changed));  // later: it may look at what is being changed
  }
}

// On the control thread at once: nothing may change between a look at an object and this.
void Control::watch(std::string ns, std::string name, Duration wait,
                    std::function<void()> changed) {
  auto add = [this, key = Key{"ScaledObject", std::move(ns), std::move(name)}, wait,
              changed = std::move(changed)]() mutable { watch_now(key, wait, std::move(changed)); };
  if (parts_.loop.on_loop_thread()) return add();
  parts_.loop.post(std::move(add));
}

// What is asked for by a name alone is a ScaledObject, or else a ScaledJob.
std::optional<Control::Key> Control::scaled_job_of(const Key& key) const {
  const Key job{"ScaledJob", key.ns, key.name};
  if (scaled_.contains(key) || !scaled_jobs_->knows(job)) return std::nullopt;
  return job;
}

void Control::watch_now(const Key& key, Duration wait, std::function<void()> changed) {
  if (const auto job = stopping_ ? std::nullopt : scaled_job_of(key))
    return scaled_jobs_->watch(*job, wait, std::move(changed));
  const auto it = scaled_.find(key);
  if (it == scaled_.end() || stopping_) return changed();
  const std::uint64_t id = ++last_watcher_;
  const auto timer = parts_.loop.run_after(std::max(wait, Duration(0)), [this, key, id] {
    const auto found = scaled_.find(key);
    if (found == scaled_.end()) return;
    auto& watchers = found->second.watchers;
    const auto mine = std::ranges::find(watchers, id, &Watcher::id);
    if (mine == watchers.end()) return;
    const auto late = std::move(mine->changed);
    watchers.erase(mine);
    late();
  });
  it->second.watchers.push_back({id, timer, std::move(changed)});
}

void Control::list(std::string kind, std::string ns, std::string name, Done<Node> done) {
  parts_.loop.post([this, kind = std::move(kind), ns = std::move(ns), name = std::move(name),
                    done = std::move(done)] { done(list_now(kind, ns, name)); });
}

void Control::explain(std::string ns, std::string name, Done<Node> done) {
  parts_.loop.post(
      [this, key = Key{"ScaledObject", std::move(ns), std::move(name)}, done = std::move(done)] {
        if (const auto job = scaled_job_of(key)) return scaled_jobs_->explain(*job, done);
        done(explain_now(key));
      });
}

Result<Node> Control::list_now(const std::string& kind, const std::string& ns,
                               const std::string& name) {
  const auto known = kind_of(kind);
  if (!known)
    return fail(Code::InvalidArgument,
                fmt::format("kind: unknown: {}; known: {}", kind, known_kinds()));
  if (*known == "Pod") return workloads_->pods(ns, name);
  Node items = Node::array();
  for (const Object* object : parts_.catalog.list(*known)) {
    const bool here = object->key.ns.empty() || object->key.ns == ns;
    if (here && (name.empty() || object->key.name == name)) items.push(item(*object));
  }
  if (!name.empty() && items.items.empty())
    return fail(Code::NotFound, fmt::format("there is no {} '{}' in namespace {}", kind, name, ns));
  Node document = Node::object();
  document.set("items", std::move(items));
  return document;
}

Node Control::item(const Object& object) {
  Node node = Node::object();
  node.set("kind", Node::string(object.key.kind));
  node.set("namespace", Node::string(object.key.ns));
  node.set("name", Node::string(object.key.name));
  node.set("created", instant(object.created));
  node.set("generation", Node::integer(object.generation));
  node.set("source", Node::string(object.source));
  node.set("status", status(object.key));
  node.set("manifest", masked(object));
  return node;
}

Node Control::status(const Key& key) {
  if (const auto scaled = scaled_.find(key); scaled != scaled_.end())
    return scaled_status(key, scaled->second);
  if (key.kind == "ScaledJob") return scaled_jobs_->status(key);
  Node node = Node::object();
  if (const auto target = workloads_->find(key)) {
    const scale::ReplicaCounts counts = (*target)->counts();
    node.set("replicas", Node::integer((*target)->wanted()));
    node.set("readyReplicas", Node::integer(counts.ready));
    node.set("starting", Node::integer(counts.starting));
    node.set("draining", Node::integer(counts.draining));
  }
  return node;
}

Node Control::scaled_status(const Key& key, const Scaled& scaled) {
  Node node = Node::object();
  node.set("scaleTargetKind",
           Node::string(scaled.spec.target.api_version + "." + scaled.spec.target.kind));
  node.set("triggersTypes", Node::string(scale::trigger_types(scaled.spec.triggers)));
  std::set<std::string> authentications;
  for (const scale::Trigger& trigger : scaled.spec.triggers)
    if (trigger.authentication) authentications.insert(trigger.authentication->name);
  node.set("authenticationsTypes", Node::string(joined(authentications)));
  if (const scale::ScaleStatus* status = autoscaler_.status(key)) {
    node.set("conditions", conditions_document(*status));
    Node triggers = Node::array();
    for (std::size_t i = 0; i < status->triggers.size(); ++i)
      triggers.push(trigger_document(status->triggers[i], scaled.triggers[i].warnings));
    node.set("triggers", std::move(triggers));
    if (status->last_active) node.set("lastActiveTime", instant(*status->last_active));
    if (status->paused_replicas)
      node.set("pausedReplicaCount", Node::integer(*status->paused_replicas));
  }
  return node;
}

// What KEDA's objects say of themselves, by KEDA's names.
Node Control::cluster_status(const Key& key) {
  if (key.kind == "ScaledJob") return scaled_jobs_->status(key);
  const auto it = scaled_.find(key);
  if (it == scaled_.end()) return Node::object();
  Node node = scaled_status(key, it->second);
  std::erase_if(node.members, [](const Node::Member& member) { return member.key == "triggers"; });
  Node external = Node::array(), resources = Node::array(), activity = Node::object();
  if (const scale::ScaleStatus* status = autoscaler_.status(key))
    for (std::size_t i = 0; i < status->triggers.size(); ++i) {
      const scale::ScaleStatus::Trigger& trigger = status->triggers[i];
      const std::string& type = it->second.spec.triggers[i].type;
      if (scale::is_resource(type)) resources.push(Node::string(type));
      if (scale::is_resource(type) || trigger.metric.empty()) continue;
      external.push(Node::string(trigger.metric));
      activity.set(trigger.metric, Node::object()).set("isActive", Node::boolean(trigger.active));
    }
  node.set("externalMetricNames", std::move(external));
  if (!resources.items.empty()) node.set("resourceMetricNames", std::move(resources));
  node.set("triggersActivity", std::move(activity));
  return node;
}

Result<Node> Control::explain_now(const Key& key) {
  const auto it = scaled_.find(key);
  if (it == scaled_.end())
    return fail(
        Code::NotFound,
        fmt::format("there is no ScaledObject or ScaledJob '{}' in namespace {}; `jobmill get "
                    "scaledobjects` and `jobmill get scaledjobs` list them",
                    key.name, key.ns));
  const Key target_key = it->second.spec.target_key();
  const auto target = workloads_->find(target_key);
  const scale::ScaleStatus* status = autoscaler_.status(key);
  const scale::Decision* latest = autoscaler_.latest(key);

  Node node = Node::object();
  node.set("name", Node::string(key.name));
  node.set("target", Node::string(manifest::to_string(target_key)));
  node.set("revision", Node::integer(it->second.revision));
  node.set("replicas", target ? counts_document((*target)->wanted(), (*target)->counts())
                              : counts_document(0, {}));
  node.set("mostReady", Node::integer(workloads_->most_ready(target_key)));
  if (const scale::Decision* change = autoscaler_.last_change(key))
    node.set("lastChange", scale::to_document(*change));
  if (latest != nullptr) {
    node.set("decision", scale::to_document(*latest));
    node.set("text", Node::string(scale::explain(*latest, autoscaler_.last_change(key),
                                                 parts_.clock.now())));
  } else {
    node.set("text", Node::string(fmt::format(
                         "{}: no decision yet; its triggers have not been read\n", key.name)));
  }
  if (status != nullptr) {
    const Node full = scaled_status(key, it->second);
    for (const char* part : {"conditions", "triggers"})
      if (const Node* found = full.find(part)) node.set(part, *found);
  }
  return node;
}

}  // namespace jobmill::app
