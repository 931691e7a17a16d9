// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job_store.h"
#include "store/job_store_options.h"
#include "store/sqlite/sqlite_file.h"

namespace jobmill::sqlite {

using store::JobStoreOptions;

// Jobs in the control server's SQLite file. Everything that must survive is in the file; whether a
// worker lives is not: its beats stay in memory, and after a restart each registered worker has
// one lease from `now` on to say that it is still there, so running jobs outlive the server.
//
// Counters, and what is needed to see that there is nothing to do, are also kept in memory: an
// idle store runs no statement.
Result<std::unique_ptr<jobs::JobStoreOwner>> open_job_store(SqliteFile& file, TimePoint now,
                                                            JobStoreOptions options = {});

}  // namespace jobmill::sqlite
