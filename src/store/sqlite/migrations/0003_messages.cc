// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/migrations/list.h"

namespace jobmill::sqlite {

// `queue` is the entity's id times 4 plus the number of broker::SubQueue; states are the numbers of
// broker::MessageState, instants microseconds.
//
// Rows of `message` lie in the order of their coming, whatever their queue, so that many busy
// queues fill the same page instead of splitting one each; the index, of 12 bytes a message, finds
// them. The narrow columns stand before the sections: reading a row's beginning leaves the
// overflow pages of a large message alone.
const Migration kMessagesMigration{3, "messages", R"sql(
  CREATE TABLE message (
    id                 INTEGER PRIMARY KEY,
    queue              INTEGER NOT NULL,
    sequence           INTEGER NOT NULL,
    state              INTEGER NOT NULL,
    delivery_count     INTEGER NOT NULL,
    enqueued_at        INTEGER NOT NULL,
    expires_at         INTEGER,
    scheduled_for      INTEGER,
    message_id         TEXT NOT NULL,
    session_id         TEXT,
    partition_key      TEXT,
    enqueue_sequence   INTEGER NOT NULL,
    forwards           INTEGER NOT NULL,
    dead_letter_source TEXT NOT NULL,
    bytes              BLOB NOT NULL,
    UNIQUE (queue, sequence));

  CREATE TABLE message_sequence (
    queue INTEGER PRIMARY KEY,
    next  INTEGER NOT NULL);         -- numbers from here on were never given

  CREATE TABLE message_session (
    queue   INTEGER NOT NULL,
    session TEXT NOT NULL,
    state   BLOB NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (queue, session)) WITHOUT ROWID;

  CREATE TABLE message_duplicate (
    entity INTEGER NOT NULL,
    key    TEXT NOT NULL,
    until  INTEGER NOT NULL,
    PRIMARY KEY (entity, key)) WITHOUT ROWID;
  CREATE INDEX message_duplicate_until ON message_duplicate (entity, until);

  CREATE TABLE message_entity (
    id          INTEGER PRIMARY KEY,
    ns          TEXT NOT NULL,
    description TEXT NOT NULL,       -- JSON; keys in it are sealed
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL);

  CREATE TABLE message_namespace (
    name       TEXT PRIMARY KEY,
    properties TEXT NOT NULL,        -- JSON
    rules      TEXT NOT NULL         -- JSON; keys in it are sealed
    ) WITHOUT ROWID;
)sql"};

}  // namespace jobmill::sqlite
