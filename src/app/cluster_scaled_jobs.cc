// SPDX-License-Identifier: Apache-2.0
#include "app/cluster_scaled_jobs.h"

#include <algorithm>

#include <fmt/format.h>

#include "app/version.h"
#include "k8s/resource.h"
#include "targets/kubernetes/job_object.h"

namespace jobmill::app {
namespace {

using manifest::Object;
using manifest::ObjectKey;
using Propagation = k8s::Client::Propagation;

constexpr char kBoundRefused[] =
    "the annotation jobmill/semantics: bound counts the messages that executions of this server "
    "took, and in a cluster ScaledJobs start Jobs; leave it out, or set it to keda";

executions::JobKey job_key(const ObjectKey& key) { return {key.ns, key.name}; }

std::string scaler_key(const ObjectKey& key) { return ExecutionTriggers::text(job_key(key)); }

ObjectKey object_key(const std::string& scaler_key) {
  const executions::JobKey job = ExecutionTriggers::key_of(scaler_key);
  return {"ScaledJob", job.group, job.name};
}

bool is_active(const scale::ExecutionsDecision& decision) {
  return std::ranges::any_of(decision.input.triggers, &scale::JobTrigger::active);
}

}  // namespace

ClusterScaledJobs::ClusterScaledJobs(ClusterScaledJobParts parts)
    : ScaledJobs(parts.catalog, parts.log),
      parts_(std::move(parts)),
      triggers_({.control = parts_.control,
                 .feed = nullptr,
                 .context = parts_.scaler_context,
                 .clock = parts_.clock,
                 .log = parts_.log,
                 .principal_of = [](const auto&, const std::string& identity) { return identity; },
                 .begun =
                     [this](const executions::JobKey& key) {
                       tell_scaler({"ScaledJob", key.group, key.name});
                     }},
                [this] { drive(); }) {}

ClusterScaledJobs::~ClusterScaledJobs() {
  if (timer_) parts_.control.cancel(*timer_);
  for (const auto& [key, waiters] : waiters_)
    for (const Waiter& waiter : waiters) parts_.control.cancel(waiter.timer);
}

// --- manifests ----------------------------------------------------------------------------------

std::string ClusterScaledJobs::obstacle(const Object& object) const {
  const auto spec = decoded(object);
  if (!spec) return spec.error().message;
  return spec->semantics == scale::JobSemantics::Bound ? kBoundRefused : "";
}

void ClusterScaledJobs::put(const Object& object) {
  if (const std::string why = obstacle(object); !why.empty()) {
    remove(object.key);
    return touched(object.key);
  }
  keep(object, *decoded(object));
}

// A cluster has many Secrets that change for reasons of their own. They are read again when a
// trigger fails, which is what one that is missing leads to.
bool ClusterScaledJobs::follows(const Key& key) const {
  const auto kept = kept_.find(key);
  return kept != kept_.end() && kept->second.failing;
}

// What its pods refer to is their node's business, so nothing of that is missing here.
void ClusterScaledJobs::keep(const Object& object, scale::ScaledJobSpec spec) {
  const Key& key = object.key;
  ConvertedScaledJob converted = to_container_job(spec, object, catalog());
  converted.job.options.suspended = spec.paused;
  converted.rules.resolve = resolver(spec);
  Kept& kept = kept_[key];
  kept.spec = std::move(spec);
  kept.object = object;
  kept.job = std::move(converted.job);
  begin_to_watch();
  triggers_.put(kept.job, &converted.rules);
  tell_scaler(key);
  roll_out(key);
  clean(key);
  touched(key);
  drive();
}

// Its Jobs are the cluster's to delete, by their owner.
void ClusterScaledJobs::remove(const Key& key) {
  triggers_.remove(job_key(key));
  if (kept_.erase(key) == 0) return;
  if (kept_.empty()) watch_.reset();
  touched(key);
}

// --- what the cluster tells ---------------------------------------------------------------------

void ClusterScaledJobs::begin_to_watch() {
  if (watch_) return;
  runs_ = {};
  removing_.clear();
  known_ = false;
  const auto ill = [this](const Fault& fault) {
    log().error("the Jobs of ScaledJobs cannot be watched", {{"error", fault.message}});
  };
  const auto well = [this] { log().info("the Jobs of ScaledJobs are watched again"); };
  using Items = std::vector<Node>;
  watch_ = parts_.cluster->watch(
      parts_.ns, std::string(targets::kScaledJobLabel),
      {.listed = [this](const Items& jobs) { cluster_changed(runs_.jobs_listed(jobs)); },
       .put = [this](const Node& job) { cluster_changed(runs_.job_put(job)); },
       .removed =
           [this](const Node& job) {
             const targets::JobState state = targets::read_job(job);
             removing_.erase({state.ns, state.name});
             cluster_changed(runs_.job_removed(job));
           },
       .ill = ill,
       .well = well},
      {.listed = [this](const Items& pods) { cluster_changed(runs_.pods_listed(pods)); },
       .put = [this](const Node& pod) { cluster_changed(runs_.pod_put(pod)); },
       .removed = [this](const Node& pod) { cluster_changed(runs_.pod_removed(pod)); },
       .ill = ill,
       .well = well});
}

void ClusterScaledJobs::cluster_changed(const targets::ScaledJobRuns::Changed& changed) {
  const bool first = runs_.listed() && !std::exchange(known_, runs_.listed());
  for (const auto& [key, kept] : kept_) {
    if (!first && !changed.contains(key)) continue;
    tell_scaler(key);
    roll_out(key);  // one may have been on its way when the spec changed
    clean(key);
    touched(key);
  }
  drive();
}

// Those that were asked for count as if they were there, so that none is asked for twice.
targets::ScaledJobRuns::Counts ClusterScaledJobs::counts(const Key& key, const Kept& kept) const {
  targets::ScaledJobRuns::Counts counts = runs_.counts(key, kept.spec.pending_conditions);
  counts.unfinished += kept.creating;
  counts.pending += kept.creating;
  return counts;
}

void ClusterScaledJobs::tell_scaler(const Key& key) {
  const auto kept = kept_.find(key);
  if (kept == kept_.end() || !runs_.listed()) return;
  const auto now = counts(key, kept->second);
  triggers_.scaler().executions(scaler_key(key), now.unfinished, now.pending, {},
                                parts_.clock.now());
}

// --- starting Jobs ------------------------------------------------------------------------------

// Lets the engine think, does what it says, and sets the timer for its next thought. What it is
// told while it is at it makes another round.
void ClusterScaledJobs::drive() {
  again_ = true;
  if (std::exchange(driving_, true)) return;
  while (std::exchange(again_, false)) {
    const scale::JobScaler::Actions actions = triggers_.scaler().tick(parts_.clock.now());
    for (const scale::JobScaler::Create& wish : actions.create) create(wish);
    for (const std::string& job : actions.decided) decided(object_key(job));
    for (const scale::JobScaler::Read& read : actions.reads) triggers_.read(read);
  }
  driving_ = false;
  if (timer_) parts_.control.cancel(*std::exchange(timer_, std::nullopt));
  const auto next = triggers_.scaler().next();
  if (!next) return;
  timer_ = parts_.control.run_after(std::max(*next - parts_.clock.now(), Duration(0)), [this] {
    timer_.reset();
    drive();
  });
}

void ClusterScaledJobs::create(const scale::JobScaler::Create& wish) {
  const Key key = object_key(wish.job);
  const auto kept = kept_.find(key);
  if (kept == kept_.end()) return;
  log().info(parts_.dry_run ? "Jobs would be created" : "Jobs are created",
             {{"scaledjob", wish.job}, {"count", wish.count}, {"decision", wish.decision}});
  if (parts_.dry_run) return tell_scaler(key);
  kept->second.creating += wish.count;
  const auto batch = std::make_shared<Batch>(Batch{.open = wish.count, .created = 0});
  for (int i = 0; i < wish.count; ++i)
    parts_.cluster->create(
        k8s::resources::kJobs, key.ns, targets::make_job(kept->second.object, kVersion),
        [this, key, batch, alive = std::weak_ptr(alive_)](const Result<Node>& job) {
          if (!alive.expired()) created(key, batch, job);
        });
}

// One that failed keeps nobody from the others; those that are missing are decided anew.
void ClusterScaledJobs::created(const Key& key, const std::shared_ptr<Batch>& batch,
                                const Result<Node>& job) {
  const auto kept = kept_.find(key);
  if (kept != kept_.end()) kept->second.creating = std::max(0, kept->second.creating - 1);
  if (job) {
    ++batch->created;
    (void)runs_.job_put(*job);  // the watch may be later
  } else {
    log().error("a Job was not created",
                {{"scaledjob", scaler_key(key)}, {"error", job.error().message}});
    parts_.event(key, true, "KEDAJobCreateFailed", job.error().message);
  }
  if (--batch->open == 0 && batch->created > 0)
    parts_.event(key, false, "KEDAJobsCreated", fmt::format("Created {} jobs", batch->created));
  tell_scaler(key);
  touched(key);
  drive();
}

void ClusterScaledJobs::decided(const Key& key) {
  const scale::ExecutionsDecision* decision = triggers_.scaler().latest(scaler_key(key));
  const auto kept = kept_.find(key);
  if (decision == nullptr || kept == kept_.end()) return;
  parts_.recorder.decided(key, *decision);
  const bool active = is_active(*decision);
  if (std::exchange(kept->second.active, active) != active)
    parts_.event(key, false, active ? "ScaledJobActive" : "ScaledJobInactive",
                 active ? "a trigger is active" : "no trigger is active");
  kept->second.failing = std::ranges::any_of(
      decision->input.triggers, [](const auto& trigger) { return !trigger.error.empty(); });
  touched(key);
}

// --- ending Jobs --------------------------------------------------------------------------------

// Jobs of an earlier spec end, also those that run, unless the rollout is gradual.
void ClusterScaledJobs::roll_out(const Key& key) {
  const Kept& kept = kept_.at(key);
  if (!runs_.listed() || kept.spec.rollout == scale::Rollout::Gradual) return;
  std::vector<std::string> old = runs_.of_other_generations(key, kept.object.generation);
  std::erase_if(old, [&](const std::string& job) { return removing_.contains({key.ns, job}); });
  if (old.empty() || parts_.dry_run) return;
  parts_.event(
      key, true, "ScaledJobRolloutCleanupStarted",
      fmt::format("{} Jobs of an earlier spec are deleted; rollout.strategy gradual keeps them",
                  old.size()));
  const auto open = std::make_shared<std::size_t>(old.size());
  for (const std::string& job : old)
    remove_job(key, job, kept.spec.foreground ? Propagation::Foreground : Propagation::Background,
               [this, key, open](const Status& removed) {
                 if (!removed)
                   parts_.event(key, true, "ScaledJobRolloutCleanupFailed",
                                removed.error().message);
                 if (--*open == 0)
                   parts_.event(key, false, "ScaledJobRolloutCleanupCompleted",
                                "Jobs of an earlier spec are deleted");
               });
}

// Finished Jobs beyond the limits of the history.
void ClusterScaledJobs::clean(const Key& key) {
  const Kept& kept = kept_.at(key);
  if (!runs_.listed() || kept.spec.paused || parts_.dry_run) return;
  const targets::ScaledJobRuns::History limits{.succeeded = kept.spec.successful_history,
                                               .failed = kept.spec.failed_history};
  for (const std::string& job : runs_.surplus(key, limits)) {
    if (removing_.contains({key.ns, job})) continue;
    remove_job(key, job, Propagation::Background, [this, job](const Status& removed) {
      if (!removed)
        log().warn("a finished Job was not deleted",
                   {{"job", job}, {"error", removed.error().message}});
    });
  }
}

// One that is gone already is no failure. What was not deleted is tried again with the next change.
void ClusterScaledJobs::remove_job(const Key& key, const std::string& job, Propagation propagation,
                                   std::function<void(Status)> done) {
  removing_.insert({key.ns, job});
  parts_.cluster->remove_job(key.ns, job, propagation,
                             [this, key, job, done = std::move(done),
                              alive = std::weak_ptr(alive_)](const Result<Node>& removed) {
                               if (alive.expired()) return;
                               if (removed || removed.error().code == Code::NotFound)
                                 return done({});
                               removing_.erase({key.ns, job});
                               done(removed.error());
                             });
}

// --- what people see ----------------------------------------------------------------------------

std::optional<JobPicture> ClusterScaledJobs::picture(const Key& key) const {
  const auto kept = kept_.find(key);
  if (kept == kept_.end()) return std::nullopt;
  const auto now = counts(key, kept->second);
  const std::string text = scaler_key(key);
  return JobPicture{.job = kept->second.job,
                    .semantics = triggers_.semantics(job_key(key)),
                    .counts = {.unfinished = now.unfinished, .pending = now.pending},
                    .latest = triggers_.scaler().latest(text),
                    .last_create = triggers_.scaler().last_create(text),
                    .metrics = triggers_.metric_names(job_key(key))};
}

void ClusterScaledJobs::explain(const Key& key, Done<Node> done) const {
  const auto now = picture(key);
  if (now) return done(explained(key, *now, explain_job(*now, parts_.clock.now())));
  const Object* object = catalog().find(key);
  if (object == nullptr)
    return done(fail(Code::NotFound, "there is no " + manifest::to_string(key)));
  done(fail(Code::Conflict,
            fmt::format("{} starts nothing: {}", manifest::to_string(key), obstacle(*object))));
}

void ClusterScaledJobs::watch(const Key& key, Duration wait, std::function<void()> changed) {
  if (!kept_.contains(key)) return changed();
  const std::uint64_t id = ++last_waiter_;
  const auto timer = parts_.control.run_after(std::max(wait, Duration(0)), [this, key, id] {
    auto& waiters = waiters_[key];
    const auto mine = std::ranges::find(waiters, id, &Waiter::id);
    if (mine == waiters.end()) return;
    const auto late = std::move(mine->wake);
    waiters.erase(mine);
    late();
  });
  waiters_[key].push_back({id, timer, std::move(changed)});
}

void ClusterScaledJobs::touched(const Key& key) {
  parts_.recorder.changed(key);
  parts_.status_changed(key);
  const auto waiters = waiters_.extract(key);
  if (waiters.empty()) return;
  for (Waiter& waiter : waiters.mapped()) {
    parts_.control.cancel(waiter.timer);
    parts_.control.post(std::move(waiter.wake));  // later: it may look at what is being changed
  }
}

}  // namespace jobmill::app
