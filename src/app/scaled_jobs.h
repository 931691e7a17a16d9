// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "api/control_plane.h"
#include "app/execution_control.h"
#include "base/document.h"
#include "base/log.h"
#include "manifest/catalog.h"
#include "manifest/object.h"

namespace jobmill::app {

// The ScaledJobs of the catalog, kept as jobs that start executions. On the control thread.
class ScaledJobs {
 public:
  using Key = manifest::ObjectKey;
  template <class T>
  using Done = api::ControlPlane::Done<T>;

  // `executions` is asked for when it is needed: it is made later than this.
  ScaledJobs(const manifest::Catalog& catalog, std::function<ExecutionControl&()> executions,
             Log& log);

  // These objects were put or removed. What ScaledJobs refer to is looked up again.
  void reconcile(const std::set<Key>& changed);

  // Those that cannot be applied, because a job that is no ScaledJob has the name.
  std::vector<manifest::Remark> rivals(std::span<const manifest::Object> objects) const;

  bool knows(const Key& key) const { return catalog_.find(key) != nullptr; }
  Node status(const Key& key) const;
  void explain(const Key& key, Done<Node> done) const;
  void watch(const Key& key, Duration wait, std::function<void()> changed) const;

 private:
  void put(const manifest::Object& object);
  std::function<Result<scale::TriggerSpec>(std::size_t)> resolver(scale::ScaledJobSpec spec) const;

  const manifest::Catalog& catalog_;
  const std::function<ExecutionControl&()> executions_;
  Log& log_;
};

}  // namespace jobmill::app
