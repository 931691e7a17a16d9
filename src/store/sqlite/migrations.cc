// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/migrations.h"

#include <array>

#include "store/sqlite/migrations/list.h"

namespace jobmill::sqlite {
namespace {

// Ascending.
const std::array kMigrations{&kJobsMigration,       &kObjectsMigration,       &kMessagesMigration,
                             &kExecutionsMigration, &kJobOperationsMigration, &kJobCountsMigration,
                             &kSearchMigration,     &kAccessMigration,        &kInsightMigration,
                             &kMetadataMigration,   &kJobRunsMigration};

constexpr char kVersionTable[] = R"sql(
  CREATE TABLE IF NOT EXISTS schema_version (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID
)sql";
constexpr char kHasVersions[] = "SELECT 1 FROM sqlite_master WHERE name = 'schema_version'";
constexpr char kVersion[] = "SELECT coalesce(max(number), 0) FROM schema_version";
constexpr char kRecord[] = "INSERT INTO schema_version (number, name) VALUES (?1, ?2)";

Status apply(Database& db, const Migration& migration) {
  TRY(auto tx, Transaction::begin(db));
  TRY_VOID(db.exec(migration.sql));
  TRY_VOID(db.use(kRecord).bind(1, migration.number).bind(2, migration.name).run());
  return tx.commit();
}

}  // namespace

int known_schema() { return kMigrations.back()->number; }

Result<int> schema_version(Database& db) {
  TRY(const bool there, db.use(kHasVersions).step());
  if (!there) return 0;
  auto query = db.use(kVersion);
  TRY([[maybe_unused]] const bool row, query.step());
  return static_cast<int>(query.number(0));
}

Status migrate(Database& db) {
  TRY_VOID(db.exec(kVersionTable));
  TRY(const int have, schema_version(db));
  const int known = known_schema();
  if (have > known) {
    return fail(Code::Unsupported, "the data were written by a newer jobmill (schema " +
                                       std::to_string(have) + ", this program knows " +
                                       std::to_string(known) + "); use that version");
  }
  for (const Migration* migration : kMigrations) {
    if (migration->number > have) TRY_VOID(apply(db, *migration));
  }
  return {};
}

}  // namespace jobmill::sqlite
