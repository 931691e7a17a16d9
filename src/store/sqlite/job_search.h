// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "jobs/job_explorer.h"
#include "store/sqlite/sqlite.h"

namespace jobmill::sqlite {

// A statement put together from our own texts; whatever comes from outside is bound.
struct Sql {
  std::string text;
  std::vector<std::variant<std::int64_t, std::string>> values;

  Sql& add(std::string_view more);
  Sql& add(std::string_view more, std::int64_t value);
  Sql& add(std::string_view more, std::string value);
  Sql& add(const Sql& other);
  Statement prepare(Database& db) const;  // lives no longer than this
};

// Where a job stands in an order. Jobs of one instant stand by lane, then by number, as they do in
// the index; those that are not part of the order are 0.
struct Place {
  std::int64_t at = 0;
  std::int64_t lane = 0;
  std::int64_t seq = 0;

  auto operator<=>(const Place&) const = default;
};

std::string place_text(jobs::JobOrder order, const Place& place);
Result<Place> read_place(std::string_view text, jobs::JobOrder order, std::string_view field);

// One filter, turned into statements. Each reads an index in the order that is asked for, or few
// rows that are sorted then; which, is decided by what there is.
class JobSearch {
 public:
  // The filter must live as long. InvalidArgument: a value that cannot be compared.
  static Result<JobSearch> make(Database& db, const jobs::JobFilter& filter, jobs::JobOrder order);

  // Places beyond `from`, or from there on, at most `limit`.
  struct Range {
    bool descending = false;
    std::optional<Place> from{};
    bool inclusive = false;
    std::int64_t limit = 0;
  };
  Result<std::vector<Place>> places(const Range& range);

  Result<jobs::JobCount> count(std::int64_t cap);

 private:
  // The rows of one statement: its FROM and WHERE, and the columns that order them.
  struct Source {
    Sql rows;
    std::string at = "0";
    std::string lane = "0";
    std::string seq;
    bool indexed = false;  // by `at`, `lane` and the row's number
  };

  JobSearch(Database& db, const jobs::JobFilter& filter, jobs::JobOrder order)
      : db_(db), filter_(filter), order_(order) {}

  Sql window(const Source& source, bool lower, bool upper) const;
  static Sql beyond(const Source& source, const Place& from, std::string_view compare);
  Status read(const Source& source, const Range& range, std::vector<Place>& found);
  Status read(const Source& source, const Sql& bounds, const Range& range,
              std::vector<Place>& found);

  Status choose();
  Status read_counts();
  void choose_states();
  Status choose_lanes();
  Status choose_conditions();
  Status choose_sources();
  Result<bool> choose_label();
  Status choose_queues();
  void add_source(Sql rows);
  void add_state(int state);
  void add_rest(Sql& rows) const;
  void add_state_list(Sql& rows) const;
  std::int64_t candidates() const;

  Database& db_;
  const jobs::JobFilter& filter_;
  const jobs::JobOrder order_;
  std::vector<std::int64_t> counts_;  // by state, of the queue if one is named
  std::vector<int> states_;           // that can hold matches
  std::string lanes_;                 // a list for IN; empty: any
  bool nothing_ = false;              // can match
  Sql conditions_;                    // what no source has seen to; begins with AND
  std::vector<Source> sources_;
};

}  // namespace jobmill::sqlite
