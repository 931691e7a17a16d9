// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "app/control.h"
#include "http/message.h"
#include "scale/ledger.h"
#include "scale/scaled_job.h"

// What is scaled, as the pages about scaling show it, and what people may do to it.
namespace jobmill::app {
namespace {

using manifest::Object;
using manifest::ObjectKey;

constexpr char kPaused[] = "autoscaling.keda.sh/paused";
constexpr char kPausedReplicas[] = "autoscaling.keda.sh/paused-replicas";
constexpr char kAllJobs[] = "jobs";

std::string queue_series(const std::string& queue) {
  return queue.empty() ? std::string(kAllJobs) : "queue:" + queue;
}

std::string text_of(const manifest::Texts& texts, std::string_view key) {
  const auto found = texts.find(key);
  return found == texts.end() ? std::string() : found->second;
}

// The queue that a read of our own metrics is about; none: it is about no queue.
std::optional<std::string> queue_of_metric(const std::string& target) {
  http::Request request;
  request.target = target;
  if (!http::parse_target(request) || !request.path.starts_with("/api/metrics/jobs/"))
    return std::nullopt;
  for (const char* name : {"queue", "priority"})
    if (const auto queue = request.parameter(name)) return std::string(*queue);
  return std::string();
}

std::optional<TargetPicture::Paused> paused_of(const scale::Pause& pause) {
  if (!pause.paused) return std::nullopt;
  return TargetPicture::Paused{pause.replicas};
}

void set_text(Node& annotations, manifest::Texts& texts, const std::string& key,
              const std::optional<std::string>& value) {
  texts.erase(key);
  std::erase_if(annotations.members, [&](const Node::Member& member) { return member.key == key; });
  if (!value) return;
  texts[key] = *value;
  annotations.set(key, Node::string(*value));
}

ClusterHooks::Annotations pause_annotations(std::optional<int> replicas, bool paused) {
  const bool at = paused && replicas;
  ClusterHooks::Annotations out;
  out[kPausedReplicas] = at ? std::optional(std::to_string(*replicas)) : std::nullopt;
  out[kPaused] = paused && !at ? std::optional<std::string>("true") : std::nullopt;
  return out;
}

// The object with other annotations of pause.
Object paused(Object object, std::optional<int> replicas, bool paused) {
  if (object.document.find("metadata") == nullptr) object.document.set("metadata", Node::object());
  Node& metadata = *object.document.find("metadata");
  if (metadata.find("annotations") == nullptr) metadata.set("annotations", Node::object());
  Node& annotations = *metadata.find("annotations");
  for (const auto& [name, value] : pause_annotations(replicas, paused))
    set_text(annotations, object.annotations, name, value);
  if (annotations.members.empty())
    std::erase_if(metadata.members,
                  [](const Node::Member& member) { return member.key == "annotations"; });
  return object;
}

}  // namespace

std::vector<ObjectKey> Control::scaled_objects() const {
  std::vector<Key> keys;
  for (const auto& [key, scaled] : scaled_) keys.push_back(key);
  return keys;
}

// Series of the queues that its triggers look at.
std::vector<std::string> Control::queues_of(const Scaled& scaled) const {
  std::vector<std::string> out;
  for (const scale::Trigger& trigger : scaled.spec.triggers) {
    std::optional<std::string> queue;
    if (trigger.type == "jobs") queue = text_of(trigger.metadata, "queue");
    if (trigger.type == "metrics-api")
      if (const auto own = parts_.fetch.own_target(text_of(trigger.metadata, "url")))
        queue = queue_of_metric(*own);
    if (queue && std::ranges::find(out, queue_series(*queue)) == out.end())
      out.push_back(queue_series(*queue));
  }
  // All of them has each of them in it.
  if (std::ranges::find(out, kAllJobs) != out.end()) return {kAllJobs};
  return out;
}

std::optional<TargetPicture> Control::picture(const Key& key) const {
  const auto it = scaled_.find(key);
  if (it == scaled_.end()) return std::nullopt;
  const Scaled& scaled = it->second;
  const Key target_key = scaled.spec.target_key();
  TargetPicture out;
  out.key = key;
  out.min = scaled.spec.min();
  out.max = scaled.spec.max();
  out.paused = paused_of(scaled.spec.pause);
  out.warnings = scaled.notes;
  const auto target = workloads_->find(target_key);
  out.known = static_cast<bool>(target);
  if (target) {
    const scale::ReplicaCounts counts = (*target)->counts();
    out.desired = (*target)->wanted();
    out.ready = counts.ready;
    out.starting = counts.starting;
    out.draining = counts.draining;
    out.busy = workloads_->busy(target_key);
  }
  out.queues = queues_of(scaled);
  if (const scale::Decision* latest = autoscaler_.latest(key)) {
    out.decision = scale::to_record(ledger_name(key), *latest);
    out.decision->document.clear();
  }
  const scale::ScaleStatus* status = autoscaler_.status(key);
  if (status == nullptr) return out;
  out.conditions = conditions_document(*status);
  for (std::size_t i = 0; i < status->triggers.size() && i < scaled.triggers.size(); ++i) {
    out.triggers.push_back(
        trigger_picture(status->triggers[i], scaled, i, out.ready + out.starting));
    for (const std::string& warning : scaled.triggers[i].warnings) out.warnings.push_back(warning);
  }
  // Of a queue elsewhere the trigger's number is what waits.
  const auto counted = std::ranges::find_if(out.triggers, &TargetPicture::Trigger::each);
  if (out.queues.empty() && counted != out.triggers.end() && counted->error.empty())
    out.work.backlog = counted->value;
  return out;
}

TargetPicture::Trigger Control::trigger_picture(const scale::ScaleStatus::Trigger& seen,
                                                const Scaled& scaled, std::size_t index,
                                                int replicas) const {
  TargetPicture::Trigger out;
  out.name = seen.name;
  out.type = scaled.spec.triggers[index].type;
  out.value = seen.value;
  out.active = seen.active;
  out.read_at = seen.read_at;
  out.error = seen.error;
  const scale::Scaler* scaler = scaled.triggers[index].scaler.get();
  if (scaler == nullptr) return out;
  out.target = static_cast<double>(scaler->metric().target_milli) / 1000;
  out.each = scaler->metric().type == scale::MetricType::AverageValue;
  if (out.each && out.value && replicas > 0) out.per_replica = *out.value / replicas;
  return out;
}

std::optional<Node> Control::latest_decision(const Key& key) const {
  const scale::Decision* latest = autoscaler_.latest(key);
  if (latest == nullptr) return std::nullopt;
  return scale::to_document(*latest);
}

void Control::describe_scaled_job(TargetPicture& picture) const {
  const Node status = scaled_jobs_->status(picture.key);
  if (const Node* conditions = status.find("conditions")) picture.conditions = *conditions;
  if (const Node* triggers = status.find("triggers"))
    for (const Node& trigger : triggers->items)
      if (const Node* warnings = trigger.find("warnings"))
        for (const Node& warning : warnings->items) picture.warnings.push_back(warning.text);
  manifest::Problems problems("");
  const scale::ScaledJobSpec spec =
      scale::decode_scaled_job(*parts_.catalog.find(picture.key), problems);
  // What has no effect on this machine has one in a cluster.
  if (!parts_.cluster)
    for (const manifest::Remark& note : problems.notes()) picture.warnings.push_back(note.text);
  picture.paused.reset();
  if (spec.paused) picture.paused.emplace();
  const scale::JobBounds bounds = scale::job_bounds(spec.min_replicas, spec.max_replicas);
  picture.min = static_cast<int>(bounds.min);
  picture.max = static_cast<int>(bounds.min + bounds.max);
}

std::string Control::manifest_text(const Key& key) const {
  const Object* object = parts_.catalog.find(key);
  return object == nullptr ? std::string() : to_yaml(object->document);
}

void Control::explain_target(const Key& key, Done<Node> done) {
  if (key.kind == "ScaledObject") return done(explain_now(key));
  if (key.kind == "ScaledJob") return scaled_jobs_->explain(key, std::move(done));
  parts_.executions().explain({key.ns, key.name}, {}, std::move(done));
}

Status Control::pause(const Key& key, std::optional<int> replicas, bool pause) {
  const Object* object = parts_.catalog.find(key);
  if (object == nullptr) return fail(Code::NotFound, "there is no " + manifest::to_string(key));
  if (parts_.cluster) return parts_.cluster->annotate(key, pause_annotations(replicas, pause));
  manifest::Catalog next = parts_.catalog;
  if (!next.put(paused(*object, replicas, pause), parts_.clock.now())) return {};
  TRY_VOID(parts_.objects.save({*next.find(key)}));
  parts_.catalog = std::move(next);
  if (started_) reconcile({key});
  return {};
}

Status Control::set_replicas(const Key& key, int replicas) {
  const auto it = scaled_.find(key);
  if (it == scaled_.end()) return fail(Code::NotFound, "there is no " + manifest::to_string(key));
  const scale::ScaledObjectSpec& spec = it->second.spec;
  if (spec.pause.paused)
    return fail(Code::Conflict, key.name + " is paused; resume it, or pause it at another number");
  const int least = spec.idle_replicas.value_or(spec.min());
  if (replicas < least || replicas > spec.max())
    return fail(Code::InvalidArgument,
                fmt::format("replicas: must be between {} and {}", least, spec.max()));
  if (const auto target = workloads_->find(spec.target_key()); !target)
    return fail(Code::Conflict, target.error().message);
  autoscaler_.set(key, replicas);
  drive();
  return {};
}

}  // namespace jobmill::app
