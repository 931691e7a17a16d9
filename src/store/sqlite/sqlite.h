// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "store/sqlite/batch.h"

struct sqlite3;
struct sqlite3_stmt;

namespace jobmill::sqlite {

// A prepared statement in use. It belongs to its Database, which keeps it for the next time;
// going out of scope resets it, so that a loop cannot forget to.
//
//   auto query = db.use(kFindJob);
//   query.bind(1, id);
//   TRY(const bool found, query.step());
//
// Bound texts are not copied: they must live until the statement has been stepped or is gone.
class Statement {
 public:
  explicit Statement(sqlite3_stmt* stmt, std::string error = {}, bool kept = true)
      : stmt_(stmt), error_(std::move(error)), kept_(kept) {}
  Statement(Statement&& other) noexcept
      : stmt_(std::exchange(other.stmt_, nullptr)),
        error_(std::move(other.error_)),
        kept_(other.kept_) {}
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  Statement& bind(int index, std::string_view text);
  Statement& bind(int index, std::int64_t number);
  Statement& bind(int index, int number) { return bind(index, static_cast<std::int64_t>(number)); }
  Statement& bind(int index, TimePoint at) { return bind(index, at.time_since_epoch().count()); }
  Statement& bind(int index, std::optional<TimePoint> at);
  Statement& bind_real(int index, double number);
  Statement& bind_blob(int index, std::string_view bytes);
  Statement& bind_null(int index);

  Result<bool> step();  // true while there is a row to read
  Status run();         // for statements without rows; may be bound and run again

  std::string text(int column) const { return std::string(view(column)); }
  std::string_view view(int column) const;  // valid until the next step
  std::string_view blob(int column) const;
  std::int64_t number(int column) const;
  double real(int column) const;
  bool null(int column) const;
  TimePoint instant(int column) const { return TimePoint(Duration(number(column))); }
  std::optional<TimePoint> maybe_instant(int column) const;

 private:
  sqlite3_stmt* stmt_;
  std::string error_;  // why there is no statement; the first step says it
  bool kept_;          // by its Database
};

// One connection. Not for two threads at a time.
class Database {
 public:
  static Result<Database> open(const std::string& path);
  Database(Database&&) noexcept;
  Database& operator=(Database&&) = delete;
  ~Database();

  Status exec(const char* sql);

  // Prepared once per text: `sql` must be a constant. A second use of the same text while the
  // first is alive would disturb it.
  Statement use(const char* sql);
  // The same for a statement that reads `batch`.
  Statement use(const char* sql, const Batch& batch);
  // Prepared for this once: for texts that are put together.
  Statement once(const std::string& sql);

  // Statements end with Timeout from then on; none: they may take as long as they like.
  void limit(std::optional<std::chrono::steady_clock::time_point> until);

  std::int64_t last_insert_rowid() const;
  std::int64_t changes() const;  // rows that the last INSERT, UPDATE or DELETE touched
  std::int64_t total_changes() const;
  bool in_transaction() const;

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  struct Finalize {
    void operator()(sqlite3_stmt* stmt) const;
  };
  explicit Database(sqlite3* db);

  using Limit = std::chrono::steady_clock::time_point;

  std::unique_ptr<const Batch*> batch_;  // what statements that begin read; a fixed address
  std::unique_ptr<Limit> limit_;
  std::unique_ptr<sqlite3, Close> db_;
  std::unordered_map<const char*, std::unique_ptr<sqlite3_stmt, Finalize>> statements_;
};

// Rolls back unless committed, so that an early return cannot leave it open.
class Transaction {
 public:
  static Result<Transaction> begin(Database& db);
  Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  Status commit();

 private:
  explicit Transaction(Database& db) : db_(&db) {}
  Database* db_;
};

}  // namespace jobmill::sqlite
