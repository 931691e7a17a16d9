// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/lease_reader.h"
#include "app/workloads.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "jobs/job_store.h"
#include "k8s/client.h"
#include "k8s/reflector.h"
#include "net/event_loop.h"
#include "targets/kubernetes/pod_group.h"
#include "targets/kubernetes/pod_record.h"

namespace jobmill::app {

struct KubernetesWorkloadParts {
  net::EventLoop& loop;  // the control thread's, which is also the client's
  k8s::Client& client;
  k8s::World world;
  jobs::JobStoreOwner& store;
  ThreadPool& pool;
  const Clock& clock;
  Log& log;
  std::string ns{};      // watched; empty: all
  bool dry_run = false;  // what would be scaled is logged, and nothing is changed
  std::optional<Duration> drain_limit{};
  // The workload's own document, whenever its spec changed, and when it is gone.
  std::function<void(manifest::Object)> found{};
  std::function<void(const manifest::ObjectKey&)> lost{};
};

// The workloads of a cluster that ScaledObjects scale: Deployments, StatefulSets and whatever has a
// scale subresource. PodGroup decides, this watches and writes. There is one watch for each kind of
// workload and one of pods, from the first target to the last.
class KubernetesWorkloads final : public Workloads {
 public:
  // `changed`: the counts of that workload did, or why it cannot be scaled.
  KubernetesWorkloads(KubernetesWorkloadParts parts, std::function<void(const Key&)> changed);
  ~KubernetesWorkloads() override;

  void apply(const manifest::Object&, bool, int) override {}
  void remove(const Key&) override {}
  void scaled(const Key& target, const std::string& api_version) override;
  // Its replicas stay as they are, and what it drained goes back to work.
  void not_scaled(const Key& target) override;
  void restore(const Key& target, const std::string& api_version, int replicas,
               std::function<void()> done) override;
  void stop_restoring(const Key& target) override;

  Result<scale::ScaleTarget*> find(const Key& target) override;
  int busy(const Key& target) const override;
  int most_ready(const Key& target) const override;
  Node pods(std::string_view ns, std::string_view name) const override;
  std::optional<std::vector<scalers::ClusterPod>> watched_pods(
      std::string_view ns, const manifest::LabelSelector& selector) const override;
  void refresh_leases() override;
  // Nothing is scaled or ended: pods outlive this server.
  void shutdown(Duration grace, std::function<void()> done) override;

 private:
  class Target;
  using TargetPtr = std::shared_ptr<Target>;
  using PodKey = std::pair<std::string, std::string>;  // namespace and name

  struct Pod {
    targets::PodRecord record;
    scalers::ClusterPod seen;  // by triggers
  };

  // A watch of all workloads of one kind.
  struct Kind {
    std::unique_ptr<k8s::Reflector> reflector{};
    bool listed = false;
    std::optional<Fault> ill{};
  };

  std::vector<TargetPtr> all() const;  // also those that are being left
  TargetPtr target_of(const Key& key, const std::string& api_version);
  void drop(const Key& key);
  void leave(TargetPtr target);
  void end_restore(Target& target);
  void look_at_restore(Target& target);
  void tell_lost(const Key& key);
  void discover(const TargetPtr& target);
  void resolved(const TargetPtr& target, Result<k8s::Resource> resource);
  void watch_kind(const k8s::Resource& resource);
  void fetch(const TargetPtr& target);
  template <class Show>
  void show(const k8s::Resource& resource, Show show);
  void look_at(const TargetPtr& target);
  void scale_read(const TargetPtr& target, const Result<Node>& scale);
  void take(Target& target, const Node& object);
  Status begin(Target& target, const Node& object);
  void watch_pods();
  void pods_listed(const std::vector<Node>& items);
  const targets::PodRecord& keep_pod(const Node& document);
  void give_pods(Target& target);
  void pod_put(const Node& document);
  void pod_removed(const Node& document);
  void end_watches();

  void work(const TargetPtr& target);
  void perform(const TargetPtr& target, const targets::PodAction& action);
  void set_replicas(const TargetPtr& target, const targets::PodAction& action);
  void set_mark(const TargetPtr& target, const targets::PodAction& action);
  void annotate(const TargetPtr& target, const targets::PodAction& action);
  void arm(const TargetPtr& target);
  void tell_changes(Target& target);
  void leases_seen(const std::vector<jobs::Worker>& workers);
  void tell_namesakes(Target& target, std::string_view pod, const Target& other);
  void sweep_later();

  KubernetesWorkloadParts parts_;
  std::function<void(const Key&)> changed_;
  std::map<Key, TargetPtr> targets_;
  std::vector<TargetPtr> leaving_;  // scaled no more, and what they drained is not back yet
  std::map<k8s::Resource, Kind> kinds_;
  std::unique_ptr<k8s::Reflector> pod_reflector_;
  std::map<PodKey, Pod> pods_;
  bool pods_listed_ = false;
  std::optional<Fault> pods_ill_;
  std::function<void()> when_empty_;
  std::shared_ptr<void> grace_over_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  LeaseReader leases_;  // last: it tells the targets
};

}  // namespace jobmill::app
