// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "jobs/tally.h"
#include "store/postgres/connection.h"
#include "store/postgres/lanes.h"

// What processes have counted, in jobmill_tally: each adds to a row of its own.
namespace jobmill::postgres {

// As a row has it; without what is in progress, which jobmill_count knows exactly.
std::string to_text(std::span<const jobs::Tally> tallies);
Result<std::vector<jobs::Tally>> tallies_of(std::string_view text);

// Within a transaction.
Status add_tallies(Connection& connection, std::int64_t shard,
                   std::span<const jobs::Tally> counted);

// The sum of all rows.
Result<std::vector<jobs::Tally>> all_tallies(Connection& connection, const Lanes& lanes);

// Rows that were left alone for an hour become one. Within a transaction; a process that still
// lives begins a new one.
Status fold_tallies(Connection& connection);

}  // namespace jobmill::postgres
