// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/auth.h"
#include "app/local_images.h"
#include "app/trigger_fetch.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "jobs/job_store.h"
#include "manifest/catalog.h"
#include "net/event_loop.h"
#include "targets/process/process_target.h"

namespace jobmill::app {

struct WorkloadParts {
  net::EventLoop& loop;  // the control thread's
  jobs::JobStoreOwner& store;
  const manifest::Catalog& catalog;
  const ServiceMap& services;
  ThreadPool& pool;
  const Clock& clock;
  Log& log;
  api::Authenticator& authenticator;
  LocalImages images;
  std::string logs;  // folder for the output of replicas
  std::string url;   // of this server, for JOBMILL_URL
  std::optional<Duration> drain_limit;
};

// The Deployments of this machine: one group of local processes each. Lives on the control thread,
// which starts the processes: they end with the thread that started them.
class Workloads {
 public:
  // `changed`: the counts of that Deployment did.
  Workloads(WorkloadParts parts, std::function<void(const manifest::ObjectKey&)> changed);
  ~Workloads();

  // Creates or changes the group of an applied Deployment. `scaled`: a ScaledObject targets it, so
  // its own `replicas` do not count; a new group starts with `initial` then.
  void apply(const manifest::Object& object, bool scaled, int initial);
  void remove(const manifest::ObjectKey& key);  // drains; gone when it is empty

  targets::ProcessTarget* find(const manifest::ObjectKey& key);
  int busy(const manifest::ObjectKey& key) const;        // replicas that hold a job
  int most_ready(const manifest::ObjectKey& key) const;  // at one time, since the group exists

  // {"items":[{name, deployment, ready, status, restarts, started, pid, detail}]}
  Node pods(std::string_view ns, std::string_view name) const;  // empty name: all

  // The store said that workers changed: reads them soon and tells the groups.
  void refresh_leases();

  void shutdown(Duration grace, std::function<void()> done);

 private:
  struct Group;

  targets::ProcessTarget::World world(Group& group);
  targets::ProcessTargetHooks hooks(Group& group);
  targets::Texts environment(const std::string& ns, const std::string& replica) const;
  void set_worker_state(const std::string& id, bool quiet, std::function<void(Status)> done);
  void worker_died(const std::string& id, const targets::ProcessExit& exit, bool ordered);
  void read_soon(Duration pause);
  void read_leases();
  void read_once();
  void group_changed(Group& group);
  void sweep_later();

  WorkloadParts parts_;
  std::function<void(const manifest::ObjectKey&)> changed_;
  targets::ProcessWatcher watcher_;
  targets::Cgroups cgroups_;
  std::map<manifest::ObjectKey, std::unique_ptr<Group>> groups_;
  std::vector<std::unique_ptr<Group>> leaving_;  // removed, and not empty yet
  bool reading_soon_ = false;
  bool reading_ = false;
  bool read_again_ = false;
  std::function<void()> when_empty_;
};

}  // namespace jobmill::app
