// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "api/control_plane.h"
#include "app/execution_control.h"
#include "app/front_door.h"
#include "app/jobs_feed.h"
#include "app/local_images.h"
#include "app/queue_feed.h"
#include "app/recorder.h"
#include "app/scaled_jobs.h"
#include "app/target_picture.h"
#include "app/trigger_fetch.h"
#include "app/workloads.h"
#include "base/log.h"
#include "jobmill/server.h"
#include "manifest/catalog.h"
#include "net/event_loop.h"
#include "scale/autoscaler.h"
#include "scale/spec.h"
#include "scalers/table.h"
#include "store/sqlite/sqlite_object_store.h"

namespace jobmill::app {

// Of a cluster, to whom its objects belong. On the control thread.
struct ClusterHooks {
  // The status of this ScaledObject or ScaledJob may be another one now.
  std::function<void(const manifest::ObjectKey& key)> status_changed;
  // A decision that changed the number of replicas.
  std::function<void(const manifest::ObjectKey& key, const scale::Decision& decision)> decided;
  // Sets annotations of an object, or removes them.
  using Annotations = std::map<std::string, std::optional<std::string>, std::less<>>;
  std::function<Status(const manifest::ObjectKey& key, const Annotations& annotations)> annotate;
  scalers::ClusterSource pods{};  // for triggers that look at them
};

// What the control thread works with; all of it outlives it.
struct ControlParts {
  net::EventLoop& loop;
  sqlite::ObjectStore& objects;
  manifest::Catalog& catalog;
  const Clock& clock;
  Log& log;
  TriggerFetch& fetch;
  JobsFeed& feed;
  QueueFeed* queues;                              // null: no broker
  std::function<ExecutionControl&()> executions;  // made later; here before start()
  Recorder& recorder;
  FrontDoor& door;
  const ServerOptions& options;
  LocalImages images;
  // Makes what is scaled: `changed` is to be called when the counts of a target did.
  std::function<std::unique_ptr<Workloads>(std::function<void(const manifest::ObjectKey&)> changed)>
      workloads;
  // Makes what ScaledJobs are in a cluster; none: those of this machine.
  std::function<std::unique_ptr<ScaledJobs>()> scaled_jobs{};
  // Set where the objects are those of a cluster: nothing is applied to us, or kept.
  std::optional<ClusterHooks> cluster{};
};

// Carries out what the autoscaler asks for: reads triggers, sets targets, keeps status; and feeds
// it with samples, replicas and manifests. Owner of the catalog, the autoscaler and the local
// processes: everything happens on the control thread, but where it says otherwise.
class Control final : public api::ControlPlane {
 public:
  // Reads the applied objects of the store. Nothing starts before start().
  explicit Control(ControlParts parts);
  ~Control() override;

  // Before start(), on the thread that makes it: the manifests of --filename.
  api::ManifestReport apply_at_start(const std::vector<api::ManifestFile>& files);
  void start();                                           // from here on on the control thread
  void reload(const std::vector<std::string>& filename);  // applies these files again
  void shutdown(Duration grace, std::function<void()> done);

  void workers_changed();  // from any thread: the store said so

  // Objects of a cluster, as they are there now, and those that are gone. On the control thread.
  void feed(std::vector<manifest::Object> objects, const std::vector<manifest::ObjectKey>& gone);
  // status of a ScaledObject or ScaledJob, as its manifest's `status` has it; empty: not known.
  Node cluster_status(const manifest::ObjectKey& key);
  Workloads& workloads() { return *workloads_; }
  const ScaledJobs& scaled_jobs() const { return *scaled_jobs_; }

  // For scalers of ScaledObjects, and of others.
  scalers::ScalerContext scaler_context();

  // What is scaled, on the control thread. Errors: NotFound, Conflict, InvalidArgument.
  std::vector<manifest::ObjectKey> scaled_objects() const;
  std::optional<TargetPicture> picture(const manifest::ObjectKey& scaled_object) const;
  std::optional<Node> latest_decision(const manifest::ObjectKey& scaled_object) const;
  void describe_scaled_job(TargetPicture& picture) const;           // adds what its manifest says
  std::string manifest_text(const manifest::ObjectKey& key) const;  // YAML
  void explain_target(const manifest::ObjectKey& key, Done<Node> done);
  // By KEDA's annotations of the applied object; it is kept so when this returns.
  Status pause(const manifest::ObjectKey& key, std::optional<int> replicas, bool paused);
  Status set_replicas(const manifest::ObjectKey& scaled_object, int replicas);

  void apply(std::vector<api::ManifestFile> files, std::string ns,
             Done<api::ManifestReport> done) override;
  void remove(std::vector<api::ManifestFile> files, std::string ns,
              Done<api::ManifestReport> done) override;
  void list(std::string kind, std::string ns, std::string name, Done<Node> done) override;
  void explain(std::string ns, std::string name, Done<Node> done) override;
  void watch(std::string ns, std::string name, Duration wait,
             std::function<void()> changed) override;

 private:
  using Key = manifest::ObjectKey;

  // One trigger's scaler, or why it could not be built.
  struct TriggerState {
    std::unique_ptr<scale::Scaler> scaler;
    std::vector<std::string> warnings;
  };

  struct Watcher {
    std::uint64_t id = 0;
    net::EventLoop::TimerId timer = 0;
    std::function<void()> changed;
  };

  // A ScaledObject with its scalers.
  struct Scaled {
    scale::ScaledObjectSpec spec;
    std::int64_t generation = 0;
    manifest::Texts annotations;
    std::vector<std::string> notes;  // what is accepted, and will surprise
    std::vector<TriggerState> triggers;
    std::int64_t revision = 1;
    std::vector<Watcher> watchers;
  };

  Result<api::ManifestReport> apply_now(const std::vector<api::ManifestFile>& files,
                                        const std::string& ns);
  Result<api::ManifestReport> remove_now(const std::vector<api::ManifestFile>& files,
                                         const std::string& ns);
  void reconcile(const std::set<Key>& changed);
  void reconcile_deployment(const Key& key);
  void reconcile_scaled(const Key& key);
  void remember(const Key& key, scale::Autoscaler::Origin& origin);
  void allow_service_names();
  const Scaled* scaler_of(const Key& deployment) const;
  std::vector<std::string> queues_of(const Scaled& scaled) const;
  TargetPicture::Trigger trigger_picture(const scale::ScaleStatus::Trigger& seen,
                                         const Scaled& scaled, std::size_t index,
                                         int replicas) const;

  Result<scale::MetricSpec> build(Scaled& scaled, std::size_t index);
  void read(const scale::Autoscaler::Read& read);
  void tell_replicas(const Key& scaled_object);
  void deployment_changed(const Key& deployment);
  void drive();
  void carry_out(const scale::Autoscaler::Actions& actions);
  void touched(const Key& scaled_object);

  Result<Node> list_now(const std::string& kind, const std::string& ns, const std::string& name);
  Node item(const manifest::Object& object);
  Node status(const Key& key);
  Node scaled_status(const Key& key, const Scaled& scaled);
  Result<Node> explain_now(const Key& key);
  std::optional<Key> scaled_job_of(const Key& scaled_object) const;
  void watch_now(const Key& key, Duration wait, std::function<void()> changed);

  ControlParts parts_;
  scale::Autoscaler autoscaler_;
  std::map<Key, Scaled> scaled_;
  std::unique_ptr<ScaledJobs> scaled_jobs_;
  std::unique_ptr<Workloads> workloads_;
  std::optional<net::EventLoop::TimerId> timer_;
  std::uint64_t last_watcher_ = 0;
  bool started_ = false;
  bool stopping_ = false;
  std::atomic<bool> workers_told_ = false;
};

}  // namespace jobmill::app
