// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "base/result.h"
#include "jobs/job_explorer.h"
#include "store/sqlite/sqlite_file.h"

namespace jobmill::sqlite {

// Looks into the jobs of a file over connections of its own, each of which sees one moment. Of a
// file in memory there is but one connection, which all share: reads go with the commits then.
Result<std::unique_ptr<jobs::JobExplorer>> open_job_explorer(SqliteFile& file);

}  // namespace jobmill::sqlite
