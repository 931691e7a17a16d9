// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/migrations/list.h"

namespace jobmill::sqlite {

// What most jobs do not have: each table has rows only for those that do.
//
// `extra` is the text of jobs::Extra. An idempotency key names the first job of its request; at
// `check_at` somebody looks whether that job has ended long enough ago.
const Migration kJobOperationsMigration{5, "operations of jobs", R"sql(
  ALTER TABLE job ADD COLUMN extra TEXT NOT NULL DEFAULT '';

  CREATE TABLE job_result (
    seq     INTEGER PRIMARY KEY,
    json    TEXT NOT NULL,
    expires INTEGER);                -- with a life of its own
  CREATE INDEX job_result_expires ON job_result (expires) WHERE expires IS NOT NULL;

  CREATE TABLE job_progress (
    seq     INTEGER PRIMARY KEY,
    attempt INTEGER NOT NULL,
    done    INTEGER NOT NULL,
    total   INTEGER NOT NULL,
    failed  INTEGER NOT NULL);

  CREATE TABLE job_log (
    seq     INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    level   INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    text    TEXT NOT NULL,
    PRIMARY KEY (seq, attempt, n)) WITHOUT ROWID;

  CREATE TABLE job_log_size (
    seq     INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    first   INTEGER NOT NULL,        -- lines before it were dropped
    next    INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    at      INTEGER NOT NULL,        -- when the last line came
    PRIMARY KEY (seq, attempt)) WITHOUT ROWID;

  CREATE TABLE job_key (
    key      TEXT PRIMARY KEY,
    payload  TEXT NOT NULL,          -- fingerprint of the request
    answer   TEXT NOT NULL,          -- JSON
    job      INTEGER,                -- none: it is gone
    check_at INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX job_key_check ON job_key (check_at);
)sql"};

}  // namespace jobmill::sqlite
