// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "executions/runner.h"

namespace jobmill::app {

// Those of this machine: a replica goes to the one that it was planned for.
class Runners final : public executions::Runner {
 public:
  Runners(std::unique_ptr<executions::Runner> processes,
          std::unique_ptr<executions::Runner> containers)
      : processes_(std::move(processes)), containers_(std::move(containers)) {}

  void start(executions::RunReplica replica) override {
    const bool container = replica.runner == executions::RunnerKind::Oci;
    (container ? containers_ : processes_)->start(std::move(replica));
  }
  void stop(std::string_view replica, bool kill) override {
    processes_->stop(replica, kill);  // one of them knows it
    containers_->stop(replica, kill);
  }
  std::optional<Duration> cpu_time(std::string_view replica) override {
    const auto time = processes_->cpu_time(replica);
    return time ? time : containers_->cpu_time(replica);
  }
  // The first process of a container is one of this machine too.
  void sweep(const executions::ProcessMark& mark) override { processes_->sweep(mark); }

 private:
  const std::unique_ptr<executions::Runner> processes_;
  const std::unique_ptr<executions::Runner> containers_;
};

}  // namespace jobmill::app
