// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/migrations/list.h"

namespace jobmill::sqlite {

// How many jobs of a queue have ended, and how; and what became of the runs of recurring jobs.
const Migration kJobCountsMigration{6, "job counts", R"sql(
  ALTER TABLE queue ADD COLUMN succeeded INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE queue ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE queue ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;
  UPDATE queue SET succeeded = c.succeeded, failed = c.failed, deleted = c.deleted
    FROM (SELECT lane.queue AS id, sum(job.state = 5) AS succeeded, sum(job.state = 6) AS failed,
                 sum(job.state = 7) AS deleted
            FROM job JOIN lane ON lane.id = job.lane GROUP BY lane.queue) c
   WHERE c.id = queue.id;

  ALTER TABLE recurring ADD COLUMN runs INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE recurring ADD COLUMN missed INTEGER NOT NULL DEFAULT 0;
)sql"};

}  // namespace jobmill::sqlite
