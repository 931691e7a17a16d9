// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/migrations/list.h"

namespace jobmill::sqlite {

// What a job's row tells is not written as an event too: that it was enqueued when it was created,
// and that it is running. The event that ends a run carries how it began, so a good run is one row.
// job_history has them all.
//
// Running jobs are not in the index of states either, as each would enter it and leave it again.
// They are few: a worker's row names all that it may hold.
const Migration kJobRunsMigration{11, "job runs", R"sql(
  ALTER TABLE job_event ADD COLUMN began INTEGER;    -- the run that this event ended
  ALTER TABLE job_event ADD COLUMN run TEXT;
  DELETE FROM job_event
   WHERE state = 3 AND n = (SELECT j.version FROM job j WHERE j.seq = job_event.seq AND j.state = 3);

  ALTER TABLE worker ADD COLUMN holds TEXT NOT NULL DEFAULT '[]';    -- JSON: as of its last claim
  UPDATE worker SET holds = (SELECT json_group_array(j.seq) FROM job j
                              WHERE j.state = 3 AND j.worker = worker.id);
  DROP INDEX job_state;
  CREATE INDEX job_state ON job (state, updated_at, lane) WHERE state <> 3;
  CREATE VIEW job_running (seq) AS
    SELECT j.seq FROM worker w CROSS JOIN json_each(w.holds) h
           CROSS JOIN job j ON j.seq = h.value AND j.state = 3 AND j.worker = w.id;

  CREATE VIEW job_history (seq, n, state, at, data) AS
    SELECT seq, n, state, at, data FROM job_event
    UNION ALL
    SELECT seq, n - 1, 3, began, run FROM job_event WHERE began IS NOT NULL
    UNION ALL
    SELECT j.seq, j.version, 3, j.updated_at,
           json_object('serverId', w.uuid, 'serverName', json_extract(w.spec, '$.name'),
                       'attempt', j.attempt)
      FROM job j LEFT JOIN worker w ON w.id = j.worker WHERE j.state = 3
    UNION ALL
    SELECT j.seq, 1, 2, j.created_at, '{}' FROM job j
     WHERE NOT EXISTS (SELECT 1 FROM job_event e WHERE e.seq = j.seq AND e.n = 1);
)sql"};

}  // namespace jobmill::sqlite
