// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "jobmill/jobs.h"
#include "worker/run.h"

namespace jobmill::worker {

// The handlers that a worker knows.
struct Registry {
  using Handler = std::function<void(Context&, std::vector<std::string>)>;
  std::map<std::string, Handler, std::less<>> handlers;
  std::map<std::string, int, std::less<>> versions;  // of their arguments

  std::vector<std::string> kinds() const;
};

// Runs one job and says how it ended. Whatever the handler throws becomes a failure, but `snooze`.
jobs::Settlement run_job(const Registry& registry, Run& run);

}  // namespace jobmill::worker
