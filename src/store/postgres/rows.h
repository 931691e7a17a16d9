// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

struct pg_result;

namespace jobmill::postgres {

// What a statement answered: its rows, in binary. Views live as long as the Rows. A column must
// have the type that its reader is named after, and be not NULL but where it says so: statements
// and readers are both ours, so this is asserted.
class Rows {
 public:
  explicit Rows(pg_result* result) : result_(result) {}

  std::size_t size() const;
  bool empty() const { return size() == 0; }
  std::int64_t affected() const;     // rows that INSERT, UPDATE, DELETE or SELECT touched
  std::string_view command() const;  // what the server calls it: "INSERT 0 1", "COMMIT"

  bool is_null(std::size_t row, int column) const;
  std::int32_t int4(std::size_t row, int column) const;
  std::int64_t int8(std::size_t row, int column) const;  // int2 and int4 too
  bool boolean(std::size_t row, int column) const;
  double float8(std::size_t row, int column) const;
  std::string_view text(std::size_t row, int column) const;  // text, json; NULL: empty
  std::string_view jsonb(std::size_t row, int column) const;
  std::string_view bytea(std::size_t row, int column) const;  // NULL: empty
  std::string uuid(std::size_t row, int column) const;        // NULL: empty
  TimePoint timestamp(std::size_t row, int column) const;
  std::optional<TimePoint> maybe_timestamp(std::size_t row, int column) const;
  std::vector<std::string> texts(std::size_t row, int column) const;  // text[]; NULLs are empty

 private:
  std::string_view value(std::size_t row, int column) const;
  struct Clear {
    void operator()(pg_result* result) const;
  };
  std::unique_ptr<pg_result, Clear> result_;
};

}  // namespace jobmill::postgres
