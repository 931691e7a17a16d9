// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "api/control_plane.h"
#include "app/execution_explain.h"
#include "base/document.h"
#include "base/log.h"
#include "manifest/catalog.h"
#include "manifest/object.h"
#include "scale/scaled_job.h"
#include "scale/scaler.h"

namespace jobmill::app {

// The ScaledJobs of the catalog: what they start, and what people see of it. On this machine they
// are jobs that start executions; in a cluster they start Jobs. On the control thread.
class ScaledJobs {
 public:
  using Key = manifest::ObjectKey;
  template <class T>
  using Done = api::ControlPlane::Done<T>;

  virtual ~ScaledJobs() = default;

  // These objects were put or removed. What ScaledJobs refer to is looked up again.
  void reconcile(const std::set<Key>& changed);

  // Those that cannot be applied, because a job that is no ScaledJob has the name.
  virtual std::vector<manifest::Remark> rivals(std::span<const manifest::Object> objects) const = 0;

  bool knows(const Key& key) const { return catalog_.find(key) != nullptr; }
  std::vector<Key> keys() const;
  Node status(const Key& key) const;  // empty: it is unknown
  // None: it is unknown, or cannot be read. To be used at once.
  virtual std::optional<JobPicture> picture(const Key& key) const = 0;
  virtual void explain(const Key& key, Done<Node> done) const = 0;
  virtual void watch(const Key& key, Duration wait, std::function<void()> changed) = 0;

 protected:
  ScaledJobs(const manifest::Catalog& catalog, Log& log) : catalog_(catalog), log_(log) {}

  virtual void put(const manifest::Object& object) = 0;
  // Whether it is put again when something changed that it may refer to.
  virtual bool follows(const Key& key) const = 0;
  virtual void remove(const Key& key) = 0;
  // Why it starts nothing, however much there is to do; empty: it can.
  virtual std::string obstacle(const manifest::Object& object) const = 0;

  static Result<scale::ScaledJobSpec> decoded(const manifest::Object& object);
  // A trigger with what it refers to, as that is when it is asked for.
  std::function<Result<scale::TriggerSpec>(std::size_t)> resolver(scale::ScaledJobSpec spec) const;
  // What explains it, with a name and a revision by which a change is seen.
  static Node explained(const Key& key, const JobPicture& picture, Node document);
  const manifest::Catalog& catalog() const { return catalog_; }
  Log& log() const { return log_; }

 private:
  const manifest::Catalog& catalog_;
  Log& log_;
};

}  // namespace jobmill::app
