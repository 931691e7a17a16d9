// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "executions/container_job.h"
#include "executions/execution.h"

namespace jobmill::executions {

// A page of a job's executions, newest first.
struct ExecutionQuery {
  JobKey job{};  // without a name: of all jobs
  std::optional<ExecutionStatus> status{};
  std::optional<TimePoint> since{};  // created then or later
  std::size_t limit = 100;
  std::string after{};  // name of the last one of the page before
};

// Where jobs and executions live. Values of secrets are encrypted at rest.
//
// save…() and forget…() return at once; `done` is called when it is durable, on the thread that the
// implementation names. Their order is kept. The others block: not on a loop's thread.
class ExecutionStore {
 public:
  using Done = std::function<void(const Status&)>;
  virtual ~ExecutionStore() = default;

  virtual void save_job(const ContainerJob& job, Done done) = 0;
  virtual void remove_job(const JobKey& key, Done done) = 0;  // its executions stay for history
  virtual void save(const Execution& execution, Done done) = 0;

  virtual Result<std::vector<ContainerJob>> jobs() = 0;
  virtual Result<std::vector<Execution>> unfinished() = 0;
  virtual Result<std::vector<Execution>> list(const ExecutionQuery& query) = 0;
  // NotFound. Names are unique: without the name of a job it may be any job's.
  virtual Result<Execution> find(const JobKey& job, std::string_view name) = 0;
  // Finished executions beyond the job's history, at most `limit`: they are gone from the store;
  // their names, so that their logs can go too.
  virtual Result<std::vector<std::string>> prune(const JobKey& job, const History& history,
                                                 TimePoint now, std::size_t limit) = 0;
  // Outcomes that the broker wrote with the settlements of a replica (see broker::RecordOutcome).
  virtual Result<std::vector<TakenMessage>> outcomes(std::string_view replica) = 0;
};

}  // namespace jobmill::executions
