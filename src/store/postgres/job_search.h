// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "jobs/job_explorer.h"
#include "store/postgres/lanes.h"
#include "store/postgres/parameters.h"
#include "store/postgres/storage_clock.h"

// Searches for jobs as SQL: each is put together from what it asks for, so that the server plans it
// for just that.
namespace jobmill::postgres {

struct Query {
  std::string sql;
  Parameters values;
};

// By what jobs are put in order. ENQUEUED ones alone are in the order of their places, which is the
// one in which they are claimed, and has an index.
enum class SortKey { Place, UpdatedAt, CreatedAt, ScheduledAt };

// Where a job stands in an order.
struct Place {
  std::int64_t key = 0;  // a place, or µs
  std::string id;

  std::string text(SortKey by) const;
  static Result<Place> parse(std::string_view text, SortKey by);
};

// What to take of all that matches.
struct Cut {
  const Place* from = nullptr;  // without it, from the start
  bool inclusive = false;
  bool backward = false;  // towards lower keys
  std::int64_t limit = 0;
  std::int64_t offset = 0;
};

class JobSearch {
 public:
  // InvalidArgument "<field>: <reason>".
  static Result<JobSearch> make(const jobs::JobFilter& filter, jobs::JobOrder order,
                                const Lanes& lanes, const StorageClock& times);

  bool nothing() const { return branches_.empty(); }  // by the filter alone
  SortKey sorted_by() const { return key_; }

  // How many jobs there are, up to a limit, by what an index has of them; nothing when it has
  // nothing of this. The server believes that those are spread evenly and may look for them in
  // order, among all others: where they are few, it is told to begin with them.
  std::optional<Query> few() const;
  void begin_with(std::int64_t jobs);  // as few() has counted them

  // Columns as job_of() reads them, then the key.
  Query jobs(const Cut& cut) const;
  Query ids(const Cut& cut) const;  // id and key
  Query count(std::int64_t cap) const;

 private:
  enum class Table { Ready, Running, Hot, Due, Done };
  // A part of a table: where the jobs of some states are.
  struct Branch {
    Table table;
    std::vector<jobs::JobState> states;
    std::optional<std::int32_t> lane{};  // Ready by place: of this one only
  };
  // How the jobs that an index has are brought together with their states.
  enum class Few { None, Joined, EachLookedUp };
  class Writer;

  JobSearch(const jobs::JobFilter& filter, const StorageClock& times)
      : filter_(filter), times_(&times) {}
  std::vector<Branch> branches() const;
  std::vector<Branch> ready() const;

  jobs::JobFilter filter_;
  const StorageClock* times_;
  SortKey key_ = SortKey::UpdatedAt;
  Few few_ = Few::None;
  bool some_lanes_ = false;  // else all
  std::vector<std::int32_t> lanes_;
  std::vector<std::int32_t> text_lanes_;  // whose kind has the text
  std::vector<jobs::JobState> states_;
  std::vector<Branch> branches_;
};

}  // namespace jobmill::postgres
