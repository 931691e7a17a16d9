// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "jobs/job_store.h"
#include "store/postgres/postgres_job_store.h"
#include "store/postgres/url.h"

namespace jobmill::postgres {

// For workers and clients: opened by the first call, and by the next one if that failed. So a
// program may start before its database.
std::shared_ptr<jobs::JobStore> lazy_job_store(const Url& url, JobStoreOptions options);

}  // namespace jobmill::postgres
