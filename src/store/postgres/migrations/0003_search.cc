// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/migrations/list.h"

namespace jobmill::postgres {

// What people look for, and what they stop.
//
// jobmill_failure has the latest failure of each job that failed, as far as anybody groups or
// searches by it; the whole of it is in jobmill_event. `final` are those of jobs that are FAILED
// now: such a row leaves with the state. The others are for jobs that wait for their retry; nothing
// is written when that runs, so a row may outlive what it tells of, until the job is gone.
//
// Jobs without labels and failures cost nothing here: the index of labels does not have them. Pages
// of the lists come from (state, at, id) and its like, with the lane in the index, so that those of
// one queue or kind are found without the rows of the others.
const Migration kSearchMigration{3, "search", R"sql(
  CREATE TABLE jobmill_pause (
    queue text PRIMARY KEY,
    at    timestamptz NOT NULL);

  CREATE TABLE jobmill_failure (
    id          uuid PRIMARY KEY,
    at          timestamptz NOT NULL,
    final       boolean NOT NULL,
    quarantined boolean NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    type        text NOT NULL,
    frame       text NOT NULL,
    message     text NOT NULL);
  CREATE INDEX jobmill_failure_alike ON jobmill_failure (fingerprint, at, id)
    INCLUDE (quarantined) WHERE final;
  CREATE INDEX jobmill_failure_type ON jobmill_failure (type, id);

  CREATE INDEX jobmill_job_labels ON jobmill_job USING gin (labels)
    WITH (gin_pending_list_limit = 1024) WHERE labels IS NOT NULL;

  DROP INDEX jobmill_done_state;
  CREATE INDEX jobmill_done_state ON jobmill_done (state, at, id) INCLUDE (lane);
  DROP INDEX jobmill_due_run_at;
  CREATE INDEX jobmill_due_run_at ON jobmill_due (run_at, id) INCLUDE (lane);
  CREATE INDEX jobmill_due_since ON jobmill_due (since, id);

  -- NULL: it holds what jsonb cannot.
  CREATE FUNCTION jobmill_jsonb(written text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
  BEGIN
    RETURN written::jsonb;
  EXCEPTION WHEN data_exception THEN
    RETURN NULL;
  END $$;

  -- Failures from before, by the rule of the servers: FNV-1a over the type and over the top frame,
  -- or the message, without its numbers; each text is ended by one more step.
  CREATE FUNCTION jobmill_hash(so_far numeric, written text) RETURNS numeric
  LANGUAGE plpgsql AS $$
  DECLARE
    bytes bytea := convert_to(written, 'UTF8');
    low integer;
  BEGIN
    FOR i IN 0 .. octet_length(bytes) - 1 LOOP
      low := mod(so_far, 256)::integer;
      so_far := mod((so_far - low + (low # get_byte(bytes, i))) * 1099511628211,
                    18446744073709551616);
    END LOOP;
    RETURN mod(so_far * 1099511628211, 18446744073709551616);
  END $$;

  CREATE FUNCTION jobmill_fingerprint(type text, alike text) RETURNS text LANGUAGE sql AS $$
    SELECT lpad(to_hex(div(h, 4294967296)::bigint), 8, '0') ||
           lpad(to_hex(mod(h, 4294967296)::bigint), 8, '0')
    FROM (SELECT jobmill_hash(jobmill_hash(14695981039346656037, type),
                              regexp_replace(alike, '0[xX][0-9a-fA-F]*|[0-9]+', '#', 'g'))) x(h) $$;

  INSERT INTO jobmill_failure
  SELECT id, at, final, type = 'jobmill.CrashLimit',
         jobmill_fingerprint(type, coalesce(nullif(frame, ''), message)),
         left(type, 500), left(frame, 500), left(message, 16000)
  FROM (SELECT id, version AS n, true AS final FROM jobmill_done WHERE state = 6
        UNION ALL SELECT id, version - 1, false FROM jobmill_due WHERE failures > 0) x
  JOIN (SELECT id, n, at, jobmill_jsonb(data) AS data FROM jobmill_event WHERE state = 6) e
    USING (id, n)
  CROSS JOIN LATERAL (
    SELECT coalesce(data ->> 'exceptionType', ''), coalesce(data ->> 'exceptionMessage', ''),
           coalesce(substring(data ->> 'stackTrace' FROM '[^ \t\r\n][^\n]*'), '')) f(type, message, line)
  CROSS JOIN LATERAL (SELECT rtrim(line, E' \t\r')) t(frame);

  DROP FUNCTION jobmill_fingerprint, jobmill_hash;

  -- Whoever works with the tables works with the new ones.
  DO $$
  DECLARE
    who regrole;
  BEGIN
    FOR who IN SELECT DISTINCT grantee::regrole
               FROM pg_class, aclexplode(relacl) a
               WHERE pg_class.oid = 'jobmill_job'::regclass AND privilege_type = 'INSERT'
                 AND grantee NOT IN (0, relowner) LOOP
      EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON jobmill_pause, jobmill_failure TO %s',
                     who);
    END LOOP;
  END $$;
)sql"};

}  // namespace jobmill::postgres
