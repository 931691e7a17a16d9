// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"

struct sqlite3;

namespace jobmill::sqlite {

// Rows of this program that statements read as the table `batch` with the columns c0, c1, …:
//
//   Batch rows(2);
//   for (const auto& job : jobs) rows.add(job.seq).add(job.args);
//   TRY_VOID(db.use("INSERT INTO job_payload SELECT c0, c1 FROM batch", rows).run());
//
// One statement for many rows finds its place in each b-tree once; it costs half of what a
// statement per row does. Texts are not copied.
class Batch {
 public:
  static constexpr std::size_t kMaxColumns = 20;

  struct Cell {
    enum class Type : std::uint8_t { Null, Integer, Text, Blob };
    Type type = Type::Null;
    std::int64_t number = 0;
    std::string_view text;
  };

  explicit Batch(std::size_t columns) : columns_(columns) {}

  Batch& add(std::int64_t number) { return put({Cell::Type::Integer, number, {}}); }
  Batch& add(int number) { return add(static_cast<std::int64_t>(number)); }
  Batch& add(std::string_view text) { return put({Cell::Type::Text, 0, text}); }
  Batch& add(TimePoint at) { return add(at.time_since_epoch().count()); }
  Batch& add(std::optional<TimePoint> at) { return at ? add(*at) : add_null(); }
  Batch& add_blob(std::string_view bytes) { return put({Cell::Type::Blob, 0, bytes}); }
  Batch& add_null() { return put({}); }

  std::size_t rows() const { return cells_.size() / columns_; }
  bool empty() const { return cells_.empty(); }
  const Cell& cell(std::size_t row, std::size_t column) const {
    return cells_[row * columns_ + column];
  }

 private:
  Batch& put(const Cell& cell) {
    cells_.push_back(cell);
    return *this;
  }

  std::size_t columns_;
  std::vector<Cell> cells_;
};

// Makes the table `batch` known to a connection. A statement that reads it reads the batch that
// `*current` points to when it begins.
int register_batch(sqlite3* db, const Batch** current);

}  // namespace jobmill::sqlite
