// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/migrations/list.h"

namespace jobmill::sqlite {

// Applied manifests. `document` is JSON; of a Secret it is sealed (AES-256-GCM) with the key of
// the data folder and the object's name as context, so a row cannot pass for another's.
const Migration kObjectsMigration{2, "objects", R"sql(
  CREATE TABLE object (
    kind       TEXT NOT NULL,
    ns         TEXT NOT NULL,        -- empty: of the whole cluster
    name       TEXT NOT NULL,
    source     TEXT NOT NULL,        -- the file it came from, for messages
    generation INTEGER NOT NULL,
    created    INTEGER NOT NULL,
    document   BLOB NOT NULL,
    PRIMARY KEY (kind, ns, name)) WITHOUT ROWID;
)sql"};

}  // namespace jobmill::sqlite
