// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "executions/runner.h"

namespace jobmill::app {

// Those of this machine, and of a cluster: a replica goes to the one that it was planned for.
class Runners final : public executions::Runner {
 public:
  // `jobs`: of a cluster; null: there is none, and nothing is planned for it.
  Runners(std::unique_ptr<executions::Runner> processes,
          std::unique_ptr<executions::Runner> containers,
          std::unique_ptr<executions::Runner> jobs = nullptr)
      : processes_(std::move(processes)),
        containers_(std::move(containers)),
        jobs_(std::move(jobs)) {}

  void start(executions::RunReplica replica) override {
    const auto kind = replica.runner;
    if (kind == executions::RunnerKind::Kubernetes)
      jobs_->start(std::move(replica));
    else
      (kind == executions::RunnerKind::Oci ? containers_ : processes_)->start(std::move(replica));
  }
  void stop(std::string_view replica, bool kill) override {
    processes_->stop(replica, kill);  // one of them knows it
    containers_->stop(replica, kill);
    if (jobs_) jobs_->stop(replica, kill);
  }
  std::optional<Duration> cpu_time(std::string_view replica) override {
    const auto time = processes_->cpu_time(replica);
    return time ? time : containers_->cpu_time(replica);
  }
  // The first process of a container is one of this machine too; Jobs are found without a mark.
  void sweep(const executions::ProcessMark& mark) override { processes_->sweep(mark); }
  void leave() override {
    if (jobs_) jobs_->leave();
  }

 private:
  const std::unique_ptr<executions::Runner> processes_;
  const std::unique_ptr<executions::Runner> containers_;
  const std::unique_ptr<executions::Runner> jobs_;
};

}  // namespace jobmill::app
