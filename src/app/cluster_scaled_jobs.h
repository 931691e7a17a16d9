// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/execution_triggers.h"
#include "app/recorder.h"
#include "app/scaled_job.h"
#include "app/scaled_jobs.h"
#include "net/event_loop.h"
#include "targets/kubernetes/job_cluster.h"
#include "targets/kubernetes/scaled_job_runs.h"

namespace jobmill::app {

// What ScaledJobs of a cluster work with; all of it outlives them.
struct ClusterScaledJobParts {
  net::EventLoop& control;
  const manifest::Catalog& catalog;
  const Clock& clock;
  Log& log;
  Recorder& recorder;
  std::function<scalers::ScalerContext()> scaler_context;
  std::unique_ptr<targets::JobCluster> cluster;  // owned
  std::string ns{};                              // whose Jobs are watched; empty: all
  bool dry_run = false;                          // decides, and changes nothing
  // An Event about a ScaledJob, beside those that its status tells.
  std::function<void(const manifest::ObjectKey& about, bool warning, std::string_view reason,
                     const std::string& message)>
      event;
  std::function<void(const manifest::ObjectKey& key)> status_changed;
};

// ScaledJobs of a cluster: they start Jobs made from their jobTargetRef. Those that there are, by
// whomever they were started, are known from watches, which begin with the first ScaledJob; nothing
// is decided before they were listed. How many is KEDA's arithmetic: `jobmill/semantics: bound`
// counts what executions of this server have taken, so here it is refused.
//
// To a server that does not lead the cluster the catalog is empty, so it does nothing here.
class ClusterScaledJobs final : public ScaledJobs {
 public:
  explicit ClusterScaledJobs(ClusterScaledJobParts parts);
  ~ClusterScaledJobs() override;

  std::vector<manifest::Remark> rivals(std::span<const manifest::Object>) const override {
    return {};
  }
  std::optional<JobPicture> picture(const Key& key) const override;
  void explain(const Key& key, Done<Node> done) const override;
  void watch(const Key& key, Duration wait, std::function<void()> changed) override;

 private:
  // One that can be used.
  struct Kept {
    scale::ScaledJobSpec spec;
    manifest::Object object;
    executions::ContainerJob job;
    int creating = 0;  // were asked for, and are not known yet
    std::optional<bool> active{};
    bool failing = false;  // a trigger is
  };
  struct Batch {  // Jobs that were asked for together
    int open = 0;
    int created = 0;
  };
  struct Waiter {
    std::uint64_t id = 0;
    net::EventLoop::TimerId timer = 0;
    std::function<void()> wake;
  };

  void put(const manifest::Object& object) override;
  bool follows(const Key& key) const override;
  void remove(const Key& key) override;
  std::string obstacle(const manifest::Object& object) const override;

  void keep(const manifest::Object& object, scale::ScaledJobSpec spec);
  void begin_to_watch();
  void cluster_changed(const targets::ScaledJobRuns::Changed& changed);
  targets::ScaledJobRuns::Counts counts(const Key& key, const Kept& kept) const;
  void tell_scaler(const Key& key);
  void drive();
  void create(const scale::JobScaler::Create& wish);
  void created(const Key& key, const std::shared_ptr<Batch>& batch, const Result<Node>& job);
  void decided(const Key& key);
  void roll_out(const Key& key);
  void clean(const Key& key);
  void remove_job(const Key& key, const std::string& job, k8s::Client::Propagation propagation,
                  std::function<void(Status)> done);
  void touched(const Key& key);

  ClusterScaledJobParts parts_;
  ExecutionTriggers triggers_;
  targets::ScaledJobRuns runs_;
  std::map<Key, Kept> kept_;
  std::set<std::pair<std::string, std::string>> removing_;  // Jobs: namespace, name
  std::map<Key, std::vector<Waiter>> waiters_;
  std::uint64_t last_waiter_ = 0;
  std::optional<net::EventLoop::TimerId> timer_;
  bool known_ = false;  // what Jobs there are, at least once
  bool driving_ = false;
  bool again_ = false;
  std::shared_ptr<void> watch_;  // last: its answers use all of the above
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace jobmill::app
