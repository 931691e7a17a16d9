// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "jobs/job_store.h"
#include "store/postgres/connection.h"

// Producers that write jobs in transactions of their own, by the functions jobmill_enqueue and
// jobmill_enqueue_many (migrations/0002_enqueue.cc), and what servers do for them.
namespace jobmill::postgres {

// Stores jobs as a part of the transaction that `connection` is in, or else as one of its own. Uses
// plain statements and leaves nothing in the session, so a pooler may stand between. `schema` is
// where the functions are; empty: the search path leads there. After a failure the transaction can
// only be rolled back, or go back to a savepoint.
//
// Errors as of JobStore::insert, and those of errors.h.
Result<jobs::InsertResult> insert_within(pg_conn* connection, std::string_view schema,
                                         std::span<const jobs::JobSpec> specs);

// --- for servers ---------------------------------------------------------------------------------

// How often the jobs of each kind may be retried, for who has no configuration.
Status put_retry_settings(Connection& connection, const jobs::RetryRules& rules);

// Adds up to `page` shards of counters that nobody writes any more to shard 0: those of producers'
// transactions, and of processes that have gone. Returns how many there were. Whoever still writes
// one, against all appearances, starts it anew: no count is lost.
Result<std::int64_t> fold_counts(Connection& connection, int page);

}  // namespace jobmill::postgres
