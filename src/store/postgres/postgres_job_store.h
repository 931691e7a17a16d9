// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job_store.h"
#include "store/job_store_options.h"
#include "store/postgres/url.h"

namespace jobmill::postgres {

struct JobStoreOptions : store::JobStoreOptions {
  // Whether this process may be the one that does the chores: a control server, not a worker.
  bool leads = true;
  ConnectOptions connect{};
  const Clock* clock = nullptr;  // tests: stands in for the database's clock
};

// Jobs in PostgreSQL 15 or later, in the first schema of the search path. Any number of servers and
// workers may share it: what one does wakes the others (LISTEN and NOTIFY), and one server, the
// leader, does the chores; for all others they have nothing to do.
//
// The database's clock decides what is due and who is alive, so the hosts' clocks may differ; all
// instants that callers give and get are those of their own clock.
//
// Three connections: one that writes, one that reads, one that listens. While the database is away
// every call answers Unavailable at once.
//
// An empty database is given its tables. Unsupported: the schema is older or newer than this
// program's. See errors.h for the others.
Result<std::unique_ptr<jobs::JobStoreOwner>> open_job_store(const Url& url,
                                                            JobStoreOptions options = {});

}  // namespace jobmill::postgres
