// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/auth.h"
#include "app/lease_reader.h"
#include "app/local_images.h"
#include "app/trigger_fetch.h"
#include "app/workloads.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "jobs/job_store.h"
#include "manifest/catalog.h"
#include "net/event_loop.h"
#include "targets/process/process_target.h"

namespace jobmill::app {

struct LocalWorkloadParts {
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
class LocalWorkloads final : public Workloads {
 public:
  // `changed`: the counts of that Deployment did.
  LocalWorkloads(LocalWorkloadParts parts, std::function<void(const manifest::ObjectKey&)> changed);
  ~LocalWorkloads() override;

  void apply(const manifest::Object& object, bool scaled, int initial) override;
  void remove(const manifest::ObjectKey& key) override;  // drains; gone when it is empty
  void scaled(const manifest::ObjectKey&, const std::string&) override {}  // apply() was told
  void not_scaled(const manifest::ObjectKey&) override {}
  // Objects of this machine go at once: nothing is restored.
  void restore(const manifest::ObjectKey&, const std::string&, int,
               std::function<void()>) override {}
  void stop_restoring(const manifest::ObjectKey&) override {}

  Result<scale::ScaleTarget*> find(const manifest::ObjectKey& key) override;
  int busy(const manifest::ObjectKey& key) const override;
  int most_ready(const manifest::ObjectKey& key) const override;
  Node pods(std::string_view ns, std::string_view name) const override;
  void refresh_leases() override;
  void shutdown(Duration grace, std::function<void()> done) override;

 private:
  struct Group;

  targets::ProcessTarget::World world(Group& group);
  targets::ProcessTargetHooks hooks(Group& group);
  targets::Texts environment(const std::string& ns, const std::string& replica) const;
  void worker_died(const std::string& id, const targets::ProcessExit& exit, bool ordered);
  void leases_seen(const std::vector<jobs::Worker>& workers);
  void group_changed(Group& group);
  void sweep_later();

  LocalWorkloadParts parts_;
  std::function<void(const manifest::ObjectKey&)> changed_;
  targets::ProcessWatcher watcher_;
  targets::Cgroups cgroups_;
  std::map<manifest::ObjectKey, std::unique_ptr<Group>> groups_;
  std::vector<std::unique_ptr<Group>> leaving_;  // removed, and not empty yet
  std::function<void()> when_empty_;
  LeaseReader leases_;  // last: it tells the groups
};

}  // namespace jobmill::app
