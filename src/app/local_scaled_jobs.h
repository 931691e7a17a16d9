// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "app/execution_control.h"
#include "app/scaled_jobs.h"

namespace jobmill::app {

// ScaledJobs on this machine, kept as jobs that start executions.
class LocalScaledJobs final : public ScaledJobs {
 public:
  // `executions` is asked for when it is needed: it is made later than this.
  LocalScaledJobs(const manifest::Catalog& catalog, std::function<ExecutionControl&()> executions,
                  Log& log)
      : ScaledJobs(catalog, log), executions_(std::move(executions)) {}

  std::vector<manifest::Remark> rivals(std::span<const manifest::Object> objects) const override;
  std::optional<JobPicture> picture(const Key& key) const override;
  void explain(const Key& key, Done<Node> done) const override;
  void watch(const Key& key, Duration wait, std::function<void()> changed) override;

 private:
  void put(const manifest::Object& object) override;
  bool follows(const Key&) const override { return true; }
  void remove(const Key& key) override;
  std::string obstacle(const manifest::Object& object) const override;

  const std::function<ExecutionControl&()> executions_;
};

}  // namespace jobmill::app
