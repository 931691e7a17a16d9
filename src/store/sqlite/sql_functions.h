// SPDX-License-Identifier: Apache-2.0
#pragma once

struct sqlite3;

namespace jobmill::sqlite {

// What our statements call: job_fingerprint(data) and job_frame(data), of the event of a failure.
int register_functions(sqlite3* db);

}  // namespace jobmill::sqlite
