// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "store/sqlite/sqlite.h"

namespace jobmill::sqlite {

// One numbered step of the schema, in migrations/<number>_<name>.cc. Never edited after a release.
struct Migration {
  int number;
  const char* name;
  const char* sql;
};

int known_schema();  // the number of this program's last step
// The number of the last step that the database has, 0 for none. Changes nothing.
Result<int> schema_version(Database& db);

// Brings an open database to the schema of this program, each step in its own transaction.
// Unsupported: the file was written by a newer jobmill.
Status migrate(Database& db);

}  // namespace jobmill::sqlite
