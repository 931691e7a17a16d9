// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job_store.h"
#include "store/postgres/connection.h"

// What jobs leave beside their rows: progress, lines, results, and the keys of the requests that
// made them.
namespace jobmill::postgres {

// Within a transaction that has seen that the claim still holds the job.
Status put_news(Connection& connection, const jobs::Report& report, int attempt);

// attempt 0: the one that wrote last.
Result<jobs::JobLog> read_log(Connection& connection, std::string_view id, int attempt,
                              std::int64_t after);
Result<std::optional<std::string>> read_result(Connection& connection, std::string_view id);

struct RequestKey {
  std::string payload;
  std::string answer;
};
// Locks the key, whether it exists or not, until the transaction ends.
Result<std::optional<RequestKey>> lock_key(Connection& connection, std::string_view key);
Status put_key(Connection& connection, std::string_view key, const RequestKey& value,
               std::string_view job, TimePoint check_at);

// One page each; how many there were.
Result<std::int64_t> expire_results(Connection& connection);
Result<std::int64_t> expire_keys(Connection& connection, Duration keep, int page);

}  // namespace jobmill::postgres
