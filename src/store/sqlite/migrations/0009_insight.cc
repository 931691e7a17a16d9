// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/migrations/list.h"

namespace jobmill::sqlite {

// Why there were as many replicas, and numbers over time. `decision` is in the order of time by its
// key; `series_point` has one row for each bucket in which a number moved, in each resolution.
const Migration kInsightMigration{9, "decisions and series", R"sql(
  CREATE TABLE decision_target (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
  );
  CREATE TABLE decision (
    seq INTEGER PRIMARY KEY,
    target INTEGER NOT NULL REFERENCES decision_target,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    until INTEGER NOT NULL,
    repeated INTEGER NOT NULL,
    kind TEXT NOT NULL,
    was INTEGER NOT NULL,
    becomes INTEGER NOT NULL,
    rule TEXT NOT NULL,
    sentence TEXT NOT NULL,
    document TEXT NOT NULL
  );
  CREATE UNIQUE INDEX decision_id ON decision (target, id);
  CREATE INDEX decision_at ON decision (target, at, seq);
  CREATE INDEX decision_change ON decision (target, at, seq) WHERE was <> becomes;

  CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    track TEXT NOT NULL,
    kind INTEGER NOT NULL,
    UNIQUE (name, track)
  );
  CREATE TABLE series_point (
    series INTEGER NOT NULL,
    step INTEGER NOT NULL,
    at INTEGER NOT NULL,
    low REAL NOT NULL,
    high REAL NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (series, step, at)
  ) WITHOUT ROWID;
  CREATE TABLE series_gap (
    series TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    reason TEXT NOT NULL,
    PRIMARY KEY (series, since)
  ) WITHOUT ROWID;
  CREATE TABLE series_alive (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
  );
)sql"};

}  // namespace jobmill::sqlite
