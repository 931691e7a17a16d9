// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/migrations/list.h"

namespace jobmill::sqlite {

// Instants and durations are microseconds, states the numbers of jobs::JobState, ids the 16 bytes
// of the UUID.
//
// A lane is what one queue holds of one kind at one priority. Claims look into the lanes whose kind
// the worker has, and never into jobs that they may not take. `place` is the order of enqueueing.
//
// Finished jobs have left job_ready and job_due, so claiming does not depend on history.
const Migration kJobsMigration{1, "jobs", R"sql(
  CREATE TABLE queue (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    scheduled  INTEGER NOT NULL DEFAULT 0,
    processing INTEGER NOT NULL DEFAULT 0);

  CREATE TABLE lane (
    id       INTEGER PRIMARY KEY,
    queue    INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    priority INTEGER NOT NULL,
    enqueued INTEGER NOT NULL DEFAULT 0,
    UNIQUE (queue, kind, priority));

  CREATE TABLE job (
    seq          INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE,
    lane         INTEGER NOT NULL,
    v            INTEGER NOT NULL,
    name         TEXT NOT NULL,
    labels       TEXT NOT NULL,      -- separated by U+001F
    state        INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    run_at       INTEGER,            -- SCHEDULED
    place        INTEGER,            -- ENQUEUED
    attempt      INTEGER NOT NULL,
    failures     INTEGER NOT NULL,
    crashes      INTEGER NOT NULL,
    retries      INTEGER,
    max_attempts INTEGER NOT NULL,
    max_crashes  INTEGER NOT NULL,
    token        INTEGER,            -- PROCESSING: of the one claim that may settle it
    worker       INTEGER,            -- PROCESSING
    waited       INTEGER NOT NULL,   -- from ENQUEUED to the last PROCESSING
    recurring    TEXT,
    created_by   TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL);
  CREATE INDEX job_state ON job (state, updated_at);
  CREATE INDEX job_recurring ON job (recurring) WHERE recurring IS NOT NULL;

  CREATE TABLE job_payload (
    seq  INTEGER PRIMARY KEY,
    args TEXT NOT NULL,
    meta TEXT NOT NULL);

  CREATE TABLE job_event (
    seq   INTEGER NOT NULL,
    n     INTEGER NOT NULL,          -- the job's version at that time
    state INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    data  TEXT NOT NULL,
    PRIMARY KEY (seq, n)) WITHOUT ROWID;

  CREATE TABLE job_ready (
    lane  INTEGER NOT NULL,
    place INTEGER NOT NULL,
    seq   INTEGER NOT NULL,
    at    INTEGER NOT NULL,          -- when it was enqueued
    PRIMARY KEY (lane, place)) WITHOUT ROWID;

  CREATE TABLE job_due (
    queue  INTEGER NOT NULL,
    run_at INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    lane   INTEGER NOT NULL,
    PRIMARY KEY (queue, run_at, seq)) WITHOUT ROWID;

  CREATE TABLE worker (
    id          INTEGER PRIMARY KEY,
    uuid        TEXT NOT NULL UNIQUE,
    spec        TEXT NOT NULL,       -- JSON
    state       INTEGER NOT NULL,
    drain_until INTEGER,
    first_beat  INTEGER NOT NULL);

  CREATE TABLE recurring (
    id            TEXT PRIMARY KEY,
    spec          TEXT NOT NULL,     -- JSON
    version       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    next_run      INTEGER,
    next_seq      INTEGER,           -- the job that waits for next_run
    last_run      INTEGER,
    skipped       INTEGER NOT NULL DEFAULT 0,
    first_skipped INTEGER,
    last_skipped  INTEGER,
    skip_reason   TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
)sql"};

}  // namespace jobmill::sqlite
