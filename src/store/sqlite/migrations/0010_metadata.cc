// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/migrations/list.h"

namespace jobmill::sqlite {

// Small facts by name and owner.
const Migration kMetadataMigration{10, "metadata", R"sql(
  CREATE TABLE metadata (
    name    TEXT NOT NULL,
    owner   TEXT NOT NULL,
    value   TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (name, owner)) WITHOUT ROWID;
)sql"};

}  // namespace jobmill::sqlite
