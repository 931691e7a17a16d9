// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/migrations/list.h"

namespace jobmill::postgres {

// States are the numbers of jobs::JobState: 1 SCHEDULED, 2 ENQUEUED, 3 PROCESSING, 5 SUCCEEDED,
// 6 FAILED, 7 DELETED.
//
// A job's row is written once. Where the job is tells its state: jobmill_due holds what waits for
// its time, jobmill_hot what is ready or runs, jobmill_done what has ended. So the table that
// claims look into holds no history and no future.
//
// A lane is what one queue holds of one kind at one priority. `place` is the order of enqueueing:
// the number of the transaction, shifted, and a number in it. A claim starts at the place below
// which no ready job can be any more (all transactions that could write there have ended), so it
// never walks over the dead rows of what was done since the last vacuum.
//
// A claim changes no column that an index has, and pages have room for it (fillfactor): no index is
// written, and the row's old version is pruned with the page. Nothing here needs statistics: the
// plans of all hot statements are the same on an empty, a fresh and an analyzed table (see
// Statement, and the settings of a session).
//
// History: jobmill_event has what cannot be derived. The first event is in the job's row; the run
// that ended well, the usual case, is in the row of jobmill_done.
//
// Counters are sharded: a process writes rows that are its own, so that nobody waits for a counter.
const Migration kJobsMigration{1, "jobs", R"sql(
  CREATE TABLE jobmill_setting (
    name  text PRIMARY KEY,
    value text NOT NULL);

  CREATE TABLE jobmill_lane (
    id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue    text NOT NULL,
    kind     text NOT NULL,
    priority smallint NOT NULL,
    UNIQUE (queue, kind, priority));

  CREATE TABLE jobmill_count (
    lane      integer NOT NULL,
    shard     bigint NOT NULL,
    enqueued  bigint NOT NULL DEFAULT 0,
    scheduled bigint NOT NULL DEFAULT 0,
    running   bigint NOT NULL DEFAULT 0,
    succeeded bigint NOT NULL DEFAULT 0,
    failed    bigint NOT NULL DEFAULT 0,
    deleted   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (lane, shard))
    WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

  CREATE TABLE jobmill_job (
    id           uuid PRIMARY KEY,
    lane         integer NOT NULL,
    v            integer NOT NULL,
    retries      integer,
    max_attempts integer NOT NULL,
    max_crashes  integer NOT NULL,
    created_at   timestamptz NOT NULL,
    first_state  smallint NOT NULL,
    first_event  text NOT NULL,
    name         text NOT NULL,
    labels       text[],
    recurring    text,
    created_by   text NOT NULL,
    meta         text NOT NULL,
    extra        text NOT NULL,
    args         text NOT NULL);
  CREATE INDEX jobmill_job_created ON jobmill_job (created_at, id);
  CREATE INDEX jobmill_job_recurring ON jobmill_job (recurring) WHERE recurring IS NOT NULL;

  CREATE TABLE jobmill_hot (
    id       uuid PRIMARY KEY,
    place    bigint NOT NULL,
    token    bigint NOT NULL DEFAULT 0,   -- PROCESSING: of the one claim that may settle it
    since    timestamptz NOT NULL,        -- when it came into its state
    waited   bigint NOT NULL DEFAULT 0,   -- PROCESSING: µs from ENQUEUED
    lane     integer NOT NULL,
    worker   integer NOT NULL DEFAULT 0,  -- PROCESSING
    version  integer NOT NULL,
    attempt  integer NOT NULL,
    failures integer NOT NULL,
    crashes  integer NOT NULL,
    state    smallint NOT NULL,
    deadline timestamptz)                 -- PROCESSING with a time limit
    WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
          autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);
  CREATE INDEX jobmill_hot_place ON jobmill_hot (lane, place);
  CREATE INDEX jobmill_hot_deadline ON jobmill_hot (deadline) WHERE deadline IS NOT NULL;

  CREATE TABLE jobmill_due (
    id       uuid PRIMARY KEY,
    run_at   timestamptz NOT NULL,
    since    timestamptz NOT NULL,
    lane     integer NOT NULL,
    version  integer NOT NULL,
    attempt  integer NOT NULL,
    failures integer NOT NULL,
    crashes  integer NOT NULL)
    WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
  CREATE INDEX jobmill_due_run_at ON jobmill_due (run_at, lane);

  CREATE TABLE jobmill_done (
    id       uuid PRIMARY KEY,
    at       timestamptz NOT NULL,        -- when it came into its state
    started  timestamptz,                 -- of the run that ended well
    ended    timestamptz,
    waited   bigint NOT NULL,
    lane     integer NOT NULL,
    worker   integer NOT NULL,
    version  integer NOT NULL,
    attempt  integer NOT NULL,
    failures integer NOT NULL,
    crashes  integer NOT NULL,
    state    smallint NOT NULL);
  CREATE INDEX jobmill_done_state ON jobmill_done (state, at, id);

  CREATE TABLE jobmill_event (
    id    uuid NOT NULL,
    n     integer NOT NULL,               -- the job's version at that time
    state smallint NOT NULL,
    at    timestamptz NOT NULL,
    data  text NOT NULL,
    PRIMARY KEY (id, n));

  CREATE TABLE jobmill_worker (
    number      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid NOT NULL UNIQUE,
    name        text NOT NULL,
    spec        text NOT NULL,            -- JSON
    state       smallint NOT NULL DEFAULT 0,
    drain_until timestamptz,
    first_beat  timestamptz NOT NULL,
    last_beat   timestamptz NOT NULL,
    occupied    integer NOT NULL DEFAULT 0,
    busy_since  timestamptz,
    gone_at     timestamptz)              -- kept for the history of what it ran
    WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

  CREATE TABLE jobmill_recurring (
    id            text PRIMARY KEY,
    spec          text NOT NULL,          -- JSON
    version       integer NOT NULL,
    created_at    timestamptz NOT NULL,
    next_run      timestamptz,
    next_job      uuid,                   -- the job that waits for next_run
    active        uuid[] NOT NULL,        -- its runs that had not ended when last looked at
    last_run      timestamptz,
    runs          bigint NOT NULL DEFAULT 0,
    missed        bigint NOT NULL DEFAULT 0,
    skipped       bigint NOT NULL DEFAULT 0,
    first_skipped timestamptz,
    last_skipped  timestamptz,
    skip_reason   text NOT NULL DEFAULT '');

  CREATE TABLE jobmill_result (
    id    uuid PRIMARY KEY,
    until timestamptz,                    -- when it shall be forgotten before its job
    json  text NOT NULL);
  CREATE INDEX jobmill_result_until ON jobmill_result (until) WHERE until IS NOT NULL;

  -- How far an attempt has come, and its lines: those from `first` to `next` are kept.
  CREATE TABLE jobmill_progress (
    id      uuid NOT NULL,
    attempt integer NOT NULL,
    done    bigint,                       -- NULL: it told no progress
    total   bigint,
    failed  bigint,
    first   bigint NOT NULL DEFAULT 0,
    next    bigint NOT NULL DEFAULT 0,
    bytes   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (id, attempt))
    WITH (fillfactor = 80);

  CREATE TABLE jobmill_log (
    id      uuid NOT NULL,
    attempt integer NOT NULL,
    n       bigint NOT NULL,
    level   smallint NOT NULL,
    at      timestamptz NOT NULL,
    text    text NOT NULL,
    PRIMARY KEY (id, attempt, n));

  -- Requests that producers may repeat.
  CREATE TABLE jobmill_key (
    key      text PRIMARY KEY,
    payload  text NOT NULL,               -- what was asked for
    answer   text NOT NULL,
    job      uuid,                        -- the first one that it made
    check_at timestamptz NOT NULL);       -- when to look whether that has ended long ago
  CREATE INDEX jobmill_key_check_at ON jobmill_key (check_at);

  -- What each process has counted, for metrics; row 0 is what those counted that are gone.
  CREATE TABLE jobmill_tally (
    shard bigint PRIMARY KEY,
    at    timestamptz NOT NULL,
    data  text NOT NULL);                 -- JSON
  INSERT INTO jobmill_tally VALUES (0, now(), '[]');

  -- The database's clock decides what is due and who is alive. `jobmill.now` stands in for it in
  -- tests.
  CREATE FUNCTION jobmill_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    $$ SELECT coalesce(nullif(current_setting('jobmill.now', true), '')::timestamptz,
                       clock_timestamp()) $$;

  -- Where the jobs of this transaction begin in the order of enqueueing.
  CREATE FUNCTION jobmill_first_place() RETURNS bigint LANGUAGE sql VOLATILE AS
    $$ SELECT pg_current_xact_id()::text::bigint << 20 $$;

  -- Below this place there will be no more ready jobs than one can see now.
  CREATE FUNCTION jobmill_settled_place() RETURNS bigint LANGUAGE sql STABLE AS
    $$ SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 20 $$;

  CREATE FUNCTION jobmill_notify(what text) RETURNS void LANGUAGE sql VOLATILE AS
    $$ SELECT pg_notify('jobmill_' || current_schema(), what) $$;
)sql"};

}  // namespace jobmill::postgres
