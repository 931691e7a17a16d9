// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "app/cluster_events.h"
#include "app/cluster_objects.h"
#include "app/cluster_status.h"
#include "app/control.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "k8s/client.h"
#include "k8s/elector.h"
#include "k8s/reflector.h"
#include "net/event_loop.h"

namespace jobmill::app {

// What a cluster is reached with; all of it outlives it.
struct ClusterParts {
  net::EventLoop& loop;  // the control thread's
  http::Client& http;
  ThreadPool& pool;
  const Clock& clock;
  Log& log;
  const ServerOptions::Kubernetes& options;
  std::function<Control&()> control;  // made later
};

// The objects of a Kubernetes cluster: watches them, gives those that can be used to Control, and
// writes back what became of them. Only the leader among the servers of a cluster does so; to the
// others the cluster is empty. Everything on the control thread.
class Cluster {
 public:
  // Errors of the kubeconfig.
  static Result<std::unique_ptr<Cluster>> open(ClusterParts parts);
  Cluster(ClusterParts parts, k8s::Config config);
  ~Cluster();

  ClusterHooks hooks();
  k8s::Client& client() { return client_; }
  const k8s::World& world() const { return world_; }
  const std::string& watched_namespace() const { return parts_.options.ns; }
  bool dry_run() const { return parts_.options.dry_run; }
  bool leads() const { return leads_; }

  // A target of ours, as it is there now, and when it is gone.
  void found(manifest::Object workload);
  void lost(const manifest::ObjectKey& workload);
  // An Event about a ScaledObject or ScaledJob, beside those that its status tells.
  void tell(const manifest::ObjectKey& about, bool warning, std::string_view reason,
            const std::string& message);

  void start();
  void stop(std::function<void()> done);  // another server may lead at once

 private:
  using Key = manifest::ObjectKey;

  // How the status of an object is kept.
  struct Written {
    bool busy = false;   // a write is on its way
    bool again = false;  // it changed meanwhile
    std::shared_ptr<void> later;
    std::shared_ptr<void> label;  // looks at it
    TimePoint since{};            // we know the object
    TimePoint not_before{};       // the next write
    std::optional<int> original;  // replicas before we set any
    std::shared_ptr<void> finalizers_later;
    std::optional<Key> restoring;  // the target, while its object waits for that
    bool finalizing = false;       // it is being deleted, and that is under way
  };

  void lead(bool leads);
  void watch(const k8s::Resource& resource);
  void first_heard(const std::string& kind);
  void take(ClusterObjects::Change change);
  void give();
  void unreadable(const k8s::Resource& resource, const Fault& fault);

  void look_at(const Key& key);
  void judge_told(const Key& key);
  void settle(const Key& key);
  void finalize(const Key& key);
  void restored(const Key& key);
  void release(const Key& key);
  void stop_finalizing(Written& written);
  void keep_finalizer(const Key& key);
  void keep_label(const Key& key);
  void adopt(const Key& key);
  void set_finalizers(const Key& key, std::vector<std::string> finalizers);
  void finalizers_set(const Key& key, const Result<Node>& answer);
  std::optional<int> to_restore(const Key& key, const Written& written) const;

  Node wanted_status(const Key& key);
  void write_status(const Key& key);
  void status_written(const Key& key, const Result<Node>& answer);
  void tell_of(const Key& key, const Node* before, const Node& after);

  Status annotate(const Key& key, const ClusterHooks::Annotations& annotations);
  void decided(const Key& key, const scale::Decision& decision);

  ClusterParts parts_;
  k8s::World world_;
  k8s::Client client_;
  ClusterEvents events_;
  std::unique_ptr<k8s::Elector> elector_;
  bool leads_ = false;

  ClusterObjects objects_;
  std::vector<std::unique_ptr<k8s::Reflector>> reflectors_;
  std::set<std::string> unheard_;  // kinds that were neither listed nor refused yet
  // To be given to Control: nothing before every kind was heard of, since objects refer to others.
  std::map<Key, manifest::Object> puts_;
  std::set<Key> gone_;
  std::set<Key> given_;
  std::map<Key, Written> written_;
};

}  // namespace jobmill::app
