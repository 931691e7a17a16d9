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

}  // namespace jobmill::sqlite
