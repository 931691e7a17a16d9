// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/postgres/connection.h"

namespace jobmill::postgres {

// One numbered step of the schema, in migrations/<number>_<name>.cc. Never edited after a release.
// Names are not qualified: they go to the first schema of the connection's search path. Each step
// runs in a transaction of its own.
struct Migration {
  int number;
  const char* name;
  const char* sql;
};

// Of this program: ascending from 1, without gaps.
std::span<const Migration* const> migrations();
int known_schema();  // the number of the last one

// The number of the last step that the database has, 0 for none.
Result<int> schema_version(Connection& connection);

// Unsupported: the schema is older ("run jobmill migrate") or newer ("made by a newer jobmill")
// than this program's.
Status check_schema(Connection& connection);

// Brings the database to the schema of this program, and makes sure that no two programs do so at
// once. Unsupported: it is newer. The connection's user must be the owner of the schema's tables.
Status migrate(Connection& connection);

// Takes all of those steps in one transaction and undoes it: whether they would succeed, and may be
// taken by this user.
Status rehearse_migration(Connection& connection);

// The same as text, for psql, Flyway or Liquibase: the steps after `have`, and the notes that
// they were taken.
std::string migration_script(int have = 0);

// What a server's user needs when another user made the tables: GRANT … TO role, for each of them
// as they are now.
Result<std::string> grant_script(Connection& connection, std::string_view role);

}  // namespace jobmill::postgres
