// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job.h"

namespace jobmill::jobs {

// A value inside the arguments: path "0.customer" is the member `customer` of the first one, and
// "named.customer" or "customer" that of the named form.
struct ArgumentFilter {
  enum class Op { Equal, NotEqual, Less, AtMost, Greater, AtLeast, Contains, Exists };
  std::string path{};
  Op op = Op::Equal;
  std::string value{};  // a JSON scalar: 42, "eu", true, null; of Contains a text

  bool operator==(const ArgumentFilter&) const = default;
};

// Which jobs. All that is set must hold; what is empty does not matter.
struct JobFilter {
  std::vector<JobState> states{};
  std::string name{};  // a prefix, or words that it contains, without case
  std::string kind{};
  std::string queue{};
  std::vector<std::string> labels{};  // all of them
  std::string error_type{};           // of the failure that it ended with or waits after
  std::string error_text{};           // part of that failure's message, without case
  std::string failure_fingerprint{};  // see fingerprint_of(); FAILED jobs only
  std::string recurring_id{};
  std::optional<TimePoint> created_after{};  // not before; `before`: earlier than
  std::optional<TimePoint> created_before{};
  std::optional<TimePoint> updated_after{};
  std::optional<TimePoint> updated_before{};
  std::optional<TimePoint> scheduled_after{};
  std::optional<TimePoint> scheduled_before{};
  std::optional<Duration> min_duration{};  // of the run that succeeded
  std::optional<int> min_attempt{};
  std::optional<ArgumentFilter> arg{};
  std::string text{};  // in name, kind, labels, arguments or the failure's message, without case

  bool operator==(const JobFilter&) const = default;
};

// UpdatedAt: when the job came into its state. ScheduledAt: only jobs that are SCHEDULED.
enum class JobOrder { UpdatedAt, CreatedAt, ScheduledAt };

// A page of a list. A place is a store's own text for where a job stands in an order: stable while
// jobs come and go, and valid for the same filter and order only.
struct JobSliceRequest {
  JobFilter filter{};
  JobOrder order = JobOrder::UpdatedAt;
  bool descending = false;
  int limit = 20;           // 1..1000
  std::string after{};      // the first page behind this place …
  std::string before{};     // … or the last one before it
  bool last = false;        // the last page of all
  std::int64_t offset = 0;  // skipped from the start; at most 10,000, excludes the others
};

struct JobSlice {
  std::vector<Job> items;  // in the order asked for; args and meta are there, too
  std::string first;       // places of the first and the last item
  std::string last;
  bool has_before = false;
  bool has_after = false;
};

struct JobCount {
  std::int64_t count = 0;
  bool exact = true;  // false: at least this many
};

struct JobIds {
  std::vector<std::string> ids;
  std::string last;  // place of the last one; empty: there is none
};

// FAILED jobs that failed alike.
struct FailureGroup {
  std::string fingerprint;
  std::string error_type;
  std::string top_frame;  // the first line of the stack, as it was sent
  std::string message;    // of the latest
  std::string kind;       // of the latest
  std::string example;    // id of the latest
  std::int64_t count = 0;
  std::int64_t quarantined = 0;  // those of them that crashed too often
  TimePoint first_seen{};
  TimePoint last_seen{};
};

// What failures have in common: 16 hex digits of the error's type and the top frame of its stack,
// in which numbers and addresses do not matter. Without a stack the message stands in for it.
std::string fingerprint_of(std::string_view error_type, std::string_view stack,
                           std::string_view message);

// The first line of a stack that says something; empty: there is none.
std::string_view top_frame(std::string_view stack);

// What people look for. Reads of their own, apart from the engine: they see what was confirmed
// before them, never wait for writers and never make one wait. Blocks; safe from many threads.
//
// Errors: InvalidArgument (a place of another order), Timeout (it took longer than 5
// seconds: the filter must be narrowed), Unavailable.
class JobExplorer {
 public:
  virtual ~JobExplorer() = default;

  virtual Result<JobSlice> slice(const JobSliceRequest& request) = 0;

  // Exact up to `cap`. A filter by state alone, or state and queue, is exact without counting.
  virtual Result<JobCount> count(const JobFilter& filter, std::int64_t cap) = 0;

  // Ids only, the longest unchanged first, at most 10,000: for actions on all that match.
  virtual Result<JobIds> ids(const JobFilter& filter, const std::string& after, int limit) = 0;

  // The histories of these jobs, in their order; an empty one for a job that is gone.
  virtual Result<std::vector<std::vector<JobEvent>>> histories(
      std::span<const std::string> ids) = 0;

  // FAILED jobs by fingerprint, the latest first. `offset` at most 10,000.
  virtual Result<std::vector<FailureGroup>> failures(std::int64_t offset, int limit) = 0;
  virtual Result<JobCount> failure_groups() = 0;

  // For completion: kinds that there are; labels that begin so.
  virtual Result<std::vector<std::string>> kinds() = 0;
  virtual Result<std::vector<std::string>> labels(std::string_view prefix, int limit) = 0;
};

}  // namespace jobmill::jobs
