// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store/sqlite/migrations.h"

namespace jobmill::sqlite {

// One line per file of this folder; migrations.cc has them in order.
extern const Migration kJobsMigration;
extern const Migration kObjectsMigration;
extern const Migration kMessagesMigration;
extern const Migration kExecutionsMigration;
extern const Migration kJobOperationsMigration;
extern const Migration kJobCountsMigration;
extern const Migration kSearchMigration;
extern const Migration kAccessMigration;
extern const Migration kInsightMigration;
extern const Migration kMetadataMigration;
extern const Migration kJobRunsMigration;

}  // namespace jobmill::sqlite
