// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store/postgres/migrations.h"

namespace jobmill::postgres {

// One line per file of this folder; migrations.cc has them in order.
extern const Migration kJobsMigration;
extern const Migration kEnqueueMigration;
extern const Migration kSearchMigration;

}  // namespace jobmill::postgres
