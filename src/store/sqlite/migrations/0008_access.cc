// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/migrations/list.h"

namespace jobmill::sqlite {

// Logins of browsers, bearer tokens, and who did what. Keys are digests: who reads the file cannot
// log in with them. `scopes` are bits, `queues` a JSON array.
const Migration kAccessMigration{8, "access", R"sql(
  CREATE TABLE session (
    id      TEXT PRIMARY KEY,
    key     TEXT NOT NULL UNIQUE,
    user    TEXT NOT NULL,
    role    TEXT NOT NULL,
    address TEXT NOT NULL,
    foreign_user INTEGER NOT NULL,
    started INTEGER NOT NULL,
    seen    INTEGER NOT NULL) WITHOUT ROWID;

  CREATE TABLE access_token (
    id      TEXT PRIMARY KEY,
    key     TEXT NOT NULL UNIQUE,
    name    TEXT NOT NULL,
    scopes  INTEGER NOT NULL,
    queues  TEXT NOT NULL,
    creator TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    used    INTEGER) WITHOUT ROWID;

  CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    user    TEXT NOT NULL,
    address TEXT NOT NULL,
    action  TEXT NOT NULL,
    target  TEXT NOT NULL,
    before  TEXT NOT NULL,
    after   TEXT NOT NULL,
    status  INTEGER NOT NULL);
  CREATE INDEX audit_at ON audit (at);
)sql"};

}  // namespace jobmill::sqlite
