// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/migrations/list.h"

namespace jobmill::sqlite {

// What people look for, at the least cost for those who work. Lists of a state, also of one queue
// or kind, read job_state alone. Labels and failures have rows only for the jobs that have some:
// job_failure holds what is FAILED now, failure_group how many of them failed alike.
const Migration kSearchMigration{7, "search", R"sql(
  DROP INDEX job_state;
  CREATE INDEX job_state ON job (state, updated_at, lane);

  ALTER TABLE job ADD COLUMN ran INTEGER;    -- how long the run took that succeeded
  UPDATE job SET ran = (SELECT CAST(round(1e6 * json_extract(e.data, '$.processDuration'))
                                    AS INTEGER)
                          FROM job_event e WHERE e.seq = job.seq AND e.n = job.version)
   WHERE state = 5;

  ALTER TABLE queue ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;

  CREATE TABLE job_label (
    label TEXT NOT NULL,
    seq   INTEGER NOT NULL,
    PRIMARY KEY (label, seq)) WITHOUT ROWID;
  INSERT OR IGNORE INTO job_label (label, seq)
    WITH RECURSIVE part (seq, label, rest) AS (
      SELECT seq, NULL, labels || char(31) FROM job WHERE labels <> ''
      UNION ALL
      SELECT seq, substr(rest, 1, instr(rest, char(31)) - 1), substr(rest, instr(rest, char(31)) + 1)
        FROM part WHERE rest <> '')
    SELECT label, seq FROM part WHERE label IS NOT NULL;

  CREATE TABLE job_failure (
    seq         INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    at          INTEGER NOT NULL,
    lane        INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    type        TEXT NOT NULL,
    frame       TEXT NOT NULL,
    message     TEXT NOT NULL);
  CREATE INDEX job_failure_alike ON job_failure (fingerprint, at, lane);

  CREATE TABLE failure_group (
    fingerprint TEXT PRIMARY KEY,
    count       INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    last_at     INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX failure_group_last ON failure_group (last_at);

  INSERT INTO job_failure (seq, fingerprint, at, lane, quarantined, type, frame, message)
    SELECT j.seq, job_fingerprint(e.data), j.updated_at, j.lane,
           coalesce(json_extract(e.data, '$.exceptionType') = 'jobmill.CrashLimit', 0),
           coalesce(json_extract(e.data, '$.exceptionType'), ''), job_frame(e.data),
           coalesce(json_extract(e.data, '$.exceptionMessage'), '')
      FROM job j JOIN job_event e ON e.seq = j.seq AND e.n = j.version WHERE j.state = 6;
  INSERT INTO failure_group (fingerprint, count, quarantined, last_at)
    SELECT fingerprint, count(*), sum(quarantined), max(at) FROM job_failure GROUP BY fingerprint;
)sql"};

}  // namespace jobmill::sqlite
