// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "jobmill/jobs.h"
#include "jobs/job_store.h"

namespace jobmill::worker {

// The handlers that a worker knows.
struct Registry {
  using Handler = std::function<void(Context&, std::vector<std::string>)>;
  std::map<std::string, Handler, std::less<>> handlers;
  std::map<std::string, int, std::less<>> versions;  // of their arguments

  std::vector<std::string> kinds() const;
};

// Runs one job and says how it ended. Whatever the handler throws becomes a failure.
jobs::Settlement run_job(const Registry& registry, const jobs::ClaimedJob& job,
                         std::stop_token stop);

}  // namespace jobmill::worker
