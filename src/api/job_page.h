// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/route.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "jobs/job_explorer.h"

// Pages of jobs: what the lists of the dashboard, its export and its searches have in common.
namespace jobmill::api {

// Unavailable where nobody searches.
Result<jobs::JobExplorer*> explorer_of(const ApiContext& context);

struct JobPageRequest {
  jobs::JobFilter filter{};
  std::string order{"updatedAt:ASC"};  // of several, separated by commas, the first one counts
  std::int64_t offset = 0;
  int limit = 20;
  std::string after{};  // cursors of another page of the same filter and order
  std::string before{};
  bool last = false;
  bool counted = true;  // how many there are in all is wanted, too
};

inline constexpr std::int64_t kFarthestOffset = 10'000;
inline constexpr std::int64_t kCountedExactly = 10'000;

struct JobsFound {
  std::vector<jobs::Job> items;
  std::string next;  // cursors; empty: there is no such page
  std::string previous;
  jobs::JobCount total;
};

// InvalidArgument "<parameter>: <reason>": an order that is none, an offset beyond 10,000, a cursor
// that is none or belongs to another filter or order.
Result<JobsFound> find_jobs(jobs::JobExplorer& explorer, const JobPageRequest& request);

// A cursor: opaque, and good for one filter in one order. `about` tells both.
std::string make_cursor(std::string_view about, std::string_view place);
std::optional<std::string> place_of(std::string_view cursor, std::string_view about);

// What a FAILED job ended with.
struct JobError {
  std::string type;
  std::string message;
  std::string fingerprint;
};
std::optional<JobError> error_of(const std::vector<jobs::JobEvent>& history);

// Of each of these jobs, none for one that is not FAILED.
Result<std::vector<std::optional<JobError>>> errors_of(jobs::JobExplorer& explorer,
                                                       const std::vector<jobs::Job>& items);

// A job as lists show it: as everywhere, and with what it ended with.
void write_found_job(JsonWriter& json, const jobs::Job& job, const std::optional<JobError>& error);

}  // namespace jobmill::api
