// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/migrations/list.h"

namespace jobmill::sqlite {

// Instants are microseconds; documents are JSON. `secrets` is sealed (AES-256-GCM) with the key of
// the data folder and the job's name as context, so a row cannot pass for another's.
//
// An execution keeps the group and name of its job, which it may outlive. Its number is the order
// of creation among those of one instant. A holder, of outcomes, is the replica that settled them.
const Migration kExecutionsMigration{4, "executions", R"sql(
  CREATE TABLE container_job (
    grp        TEXT NOT NULL,
    name       TEXT NOT NULL,
    document   TEXT NOT NULL,        -- as GET shows it
    secrets    BLOB NOT NULL,        -- sealed
    generation INTEGER NOT NULL,
    created    INTEGER NOT NULL,
    updated    INTEGER NOT NULL,
    PRIMARY KEY (grp, name)) WITHOUT ROWID;

  CREATE TABLE execution (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    grp      TEXT NOT NULL,
    job      TEXT NOT NULL,
    status   TEXT NOT NULL,
    created  INTEGER NOT NULL,
    finished INTEGER,                -- null: it goes on
    document TEXT NOT NULL);
  CREATE INDEX execution_job ON execution (grp, job, created, id);
  CREATE INDEX execution_unfinished ON execution (id) WHERE finished IS NULL;
  CREATE INDEX execution_finished ON execution (grp, job, finished) WHERE finished IS NOT NULL;

  CREATE TABLE message_outcome (
    holder     TEXT NOT NULL,
    entity     TEXT NOT NULL,
    sequence   INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (holder, entity, sequence)) WITHOUT ROWID;

  CREATE TABLE resource (
    id   TEXT PRIMARY KEY,           -- lower case
    type TEXT NOT NULL,
    body TEXT NOT NULL
    ) WITHOUT ROWID;
)sql"};

}  // namespace jobmill::sqlite
