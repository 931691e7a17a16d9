// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job_explorer.h"
#include "store/postgres/url.h"

namespace jobmill::postgres {

struct JobExplorerOptions {
  ConnectOptions connect{};      // but for the limit of time, which is the contract's
  const Clock* clock = nullptr;  // tests: stands in for the database's clock
};

// Two connections of its own, made when they are first needed and again when they were lost, so the
// database may be away: one for what an index answers, and one for searches that look at jobs which
// do not match, so that nobody's list waits for them.
//
// Completion of labels knows those of the latest jobs, and the most common ones.
Result<std::unique_ptr<jobs::JobExplorer>> open_job_explorer(const Url& url,
                                                             JobExplorerOptions options = {});

}  // namespace jobmill::postgres
