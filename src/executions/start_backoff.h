// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "executions/container_job.h"
#include "executions/execution.h"

namespace jobmill::executions {

// Keeps a job that fails from starting execution after execution for the same message: what an
// execution left behind when it failed waits before it starts another one, longer each time until
// one succeeds. Other messages do not wait. Pure: it is given the time.
class StartBackoff {
 public:
  // An execution with bound semantics has ended. `ready`: messages of its rule that are ready now.
  void ended(const Execution& execution, std::int64_t ready, TimePoint now);
  void forget(const JobKey& key);

  // Messages of a rule that are not to start anything yet.
  std::int64_t held(const JobKey& key, int rule, TimePoint now) const;
  // When held() of some job changes next; that job.
  std::optional<std::pair<TimePoint, JobKey>> next() const;
  // Forgets what is over by then.
  void expire(TimePoint now);

 private:
  struct Hold {
    TimePoint until{};
    std::int64_t messages = 0;
  };
  struct Rule {
    int failures = 0;  // since the last success
    std::vector<Hold> holds{};
  };
  std::map<std::pair<JobKey, int>, Rule> rules_;
};

}  // namespace jobmill::executions
