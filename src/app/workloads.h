// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/document.h"
#include "base/result.h"
#include "manifest/label_selector.h"
#include "manifest/object.h"
#include "scale/target.h"
#include "scalers/cluster_pods.h"

namespace jobmill::app {

// What can be scaled here: the Deployments of this machine, or workloads of a cluster. Lives on the
// control thread.
class Workloads {
 public:
  using Key = manifest::ObjectKey;

  virtual ~Workloads() = default;

  // An applied Deployment, or one that is no longer applied. `scaled`: a ScaledObject targets it,
  // so its own `replicas` do not count; a new group starts with `initial` then. In a cluster
  // nothing is applied to us.
  virtual void apply(const manifest::Object& object, bool scaled, int initial) = 0;
  virtual void remove(const Key& key) = 0;

  // A ScaledObject scales this from now on, or does no more. Of the same target more than once.
  virtual void scaled(const Key& target, const std::string& api_version) = 0;
  virtual void not_scaled(const Key& target) = 0;

  // What a ScaledObject scaled gets back the number that it had before: at once where that is more,
  // else as in any scaling in. It may no longer be scaled meanwhile. `done` is called later, once:
  // it has the number, or somebody else's; it cannot have it; or it is scaled again.
  virtual void restore(const Key& target, const std::string& api_version, int replicas,
                       std::function<void()> done) = 0;
  // Nobody waits for that any more, and `done` is not called: it stays at what it has.
  virtual void stop_restoring(const Key& target) = 0;

  // To be used at once. NotFound, Unavailable, PermissionDenied say why it cannot be scaled.
  virtual Result<scale::ScaleTarget*> find(const Key& target) = 0;
  virtual int busy(const Key& target) const = 0;        // replicas that hold a job
  virtual int most_ready(const Key& target) const = 0;  // at one time, since it is known

  // {"items":[{name, deployment, ready, status, restarts, started, pid, detail}]}
  virtual Node pods(std::string_view ns, std::string_view name) const = 0;  // empty name: all

  // What triggers ask for, where the pods of a cluster are watched and known; else nothing.
  virtual std::optional<std::vector<scalers::ClusterPod>> watched_pods(
      std::string_view, const manifest::LabelSelector&) const {
    return std::nullopt;
  }

  // The store said that workers changed: reads them soon and tells the groups.
  virtual void refresh_leases() = 0;

  virtual void shutdown(Duration grace, std::function<void()> done) = 0;
};

}  // namespace jobmill::app
