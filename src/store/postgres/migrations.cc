// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/migrations.h"

#include <array>

#include "store/postgres/migrations/list.h"

namespace jobmill::postgres {
namespace {

// Ascending, without gaps.
const std::array<const Migration*, 3> kMigrations{&kJobsMigration, &kEnqueueMigration,
                                                  &kSearchMigration};

constexpr char kVersionTable[] =
    R"sql(CREATE TABLE IF NOT EXISTS jobmill_schema_version (
  number     integer PRIMARY KEY,
  name       text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now());
)sql";

// A migration takes as long as it takes, also to wait for the one that runs already. The lock's
// number is ours among the database's advisory locks; it ends with the transaction.
constexpr char kEnter[] =
    "SET LOCAL statement_timeout = 0;\n"
    "SELECT pg_advisory_xact_lock(7654109388142301);\n";

// The first schema of the search path, as it is where the tables are made: those of other schemas
// are not ours.
constexpr Statement kHasVersions{
    "has_versions",
    "SELECT current_schema() IS NULL,"
    "       to_regclass(quote_ident(current_schema()) || '.jobmill_schema_version') IS NOT NULL"};
constexpr Statement kVersion{"schema_version",
                             "SELECT coalesce(max(number), 0) FROM jobmill_schema_version"};

// What a server works with, as the middle of GRANT … TO …: only what is jobmill's.
constexpr Statement kObjects{"jobmill_objects", R"sql(
  SELECT 'USAGE ON SCHEMA ' || quote_ident(current_schema())
  UNION ALL (
  SELECT CASE relkind WHEN 'S' THEN 'USAGE, SELECT ON SEQUENCE '
                      ELSE 'SELECT, INSERT, UPDATE, DELETE ON ' END ||
         format('%I.%I', current_schema(), relname)
    FROM pg_class
   WHERE relnamespace = current_schema()::regnamespace
     AND relname LIKE 'jobmill\_%' AND relkind IN ('r', 'p', 'v', 'S')
   ORDER BY relname)
  UNION ALL (
  SELECT format('EXECUTE ON FUNCTION %I.%I(%s)', current_schema(), proname,
                oidvectortypes(proargtypes))
    FROM pg_proc
   WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'jobmill\_enqueue%'
   ORDER BY proname)
)sql"};

std::string record(const Migration& migration) {
  return "INSERT INTO jobmill_schema_version (number, name) VALUES (" +
         std::to_string(migration.number) + ", '" + migration.name + "');\n";
}

Fault too_new(int have) {
  return fail(Code::Unsupported, "this database was made by a newer jobmill (schema " +
                                     std::to_string(have) + ", this program knows " +
                                     std::to_string(known_schema()) + "); use that version");
}

Fault too_old(int have) {
  const std::string state = have == 0 ? "has no schema of jobmill"
                                      : "has schema " + std::to_string(have) +
                                            " of an older jobmill, this one needs " +
                                            std::to_string(known_schema());
  return fail(Code::Unsupported, "the database " + state + "; run jobmill migrate");
}

// One step within a transaction. Looks again under the lock: another program may have been faster.
Status take(Connection& connection, const Migration& migration) {
  TRY_VOID(connection.script(std::string(kEnter) + kVersionTable));
  TRY(const int have, schema_version(connection));
  if (have >= migration.number) return {};
  return connection.script(migration.sql + record(migration));
}

Status apply(Connection& connection, const Migration& migration) {
  TRY(auto tx, Transaction::begin(connection));
  TRY_VOID(take(connection, migration));
  return tx.commit();
}

std::string quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) out.append(c == quote ? 2 : 1, c);
  return out + quote;
}

}  // namespace

std::span<const Migration* const> migrations() { return kMigrations; }

int known_schema() { return static_cast<int>(kMigrations.size()); }

Result<int> schema_version(Connection& connection) {
  TRY(const Rows found, connection.run(kHasVersions));
  if (found.boolean(0, 0)) {
    return statement_fault({.sqlstate = "3F000"}, connection.peer());  // no schema may be used
  }
  if (!found.boolean(0, 1)) return 0;
  TRY(const Rows version, connection.run(kVersion));
  return version.int4(0, 0);
}

Status check_schema(Connection& connection) {
  TRY(const int have, schema_version(connection));
  if (have > known_schema()) return too_new(have);
  return have < known_schema() ? Status(too_old(have)) : Status();
}

Status migrate(Connection& connection) {
  TRY(const int have, schema_version(connection));
  if (have > known_schema()) return too_new(have);
  for (const Migration* migration : kMigrations) {
    if (migration->number > have) TRY_VOID(apply(connection, *migration));
  }
  return {};
}

Status rehearse_migration(Connection& connection) {
  TRY(const int have, schema_version(connection));
  if (have > known_schema()) return too_new(have);
  TRY([[maybe_unused]] const auto undone, Transaction::begin(connection));
  for (const Migration* migration : kMigrations) TRY_VOID(take(connection, *migration));
  return {};
}

std::string migration_script(int have) {
  std::string script;
  for (const Migration* migration : kMigrations) {
    if (migration->number <= have) continue;
    script += "-- " + std::to_string(migration->number) + ": " + migration->name + "\nBEGIN;\n" +
              kEnter + kVersionTable + migration->sql + record(*migration) + "COMMIT;\n\n";
  }
  return script;
}

Result<std::string> grant_script(Connection& connection, std::string_view role) {
  TRY(const Rows objects, connection.run(kObjects));
  const std::string to = " TO " + quoted(role, '"') + ";\n";
  std::string script;
  for (std::size_t row = 0; row < objects.size(); ++row) {
    script += "GRANT " + std::string(objects.text(row, 0)) + to;
  }
  return script;
}

}  // namespace jobmill::postgres
