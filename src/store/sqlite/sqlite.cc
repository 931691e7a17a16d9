// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cassert>

#include "store/sqlite/sql_functions.h"

namespace jobmill::sqlite {
namespace {

Code code_of(int rc) {
  switch (rc & 0xff) {
    case SQLITE_FULL:
      return Code::Exhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:  // a full quota, a file size limit or a failing disk: it may pass
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
      return Code::Unavailable;
    case SQLITE_INTERRUPT:
      return Code::Timeout;
    default:
      return Code::Internal;
  }
}

Fault error_of(sqlite3* db) {
  const int rc = sqlite3_extended_errcode(db);
  return fail(code_of(rc), std::string("storage: ") + sqlite3_errmsg(db));
}

int length(std::string_view text) { return static_cast<int>(text.size()); }

// A null pointer would bind NULL, and an empty view may hold one.
const char* data(std::string_view text) { return text.empty() ? "" : text.data(); }

// A new database is its user's alone; its log files take their mode from it. Where it cannot be
// made, opening says why.
void make_private(const std::string& path) {
  if (path.empty() || path == ":memory:") return;
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file >= 0) ::close(file);
}

}  // namespace

Statement::~Statement() {
  if (stmt_ == nullptr) return;
  if (!kept_) {
    sqlite3_finalize(stmt_);
    return;
  }
  sqlite3_reset(stmt_);
  sqlite3_clear_bindings(stmt_);  // they point to texts that are about to go
}

Statement& Statement::bind(int index, std::string_view text) {
  if (stmt_ != nullptr) {
    sqlite3_bind_text(stmt_, index, data(text), length(text), SQLITE_STATIC);
  }
  return *this;
}

Statement& Statement::bind(int index, std::int64_t number) {
  if (stmt_ != nullptr) sqlite3_bind_int64(stmt_, index, number);
  return *this;
}

Statement& Statement::bind(int index, std::optional<TimePoint> at) {
  return at ? bind(index, *at) : bind_null(index);
}

Statement& Statement::bind_real(int index, double number) {
  if (stmt_ != nullptr) sqlite3_bind_double(stmt_, index, number);
  return *this;
}

Statement& Statement::bind_blob(int index, std::string_view bytes) {
  if (stmt_ != nullptr) {
    sqlite3_bind_blob(stmt_, index, data(bytes), length(bytes), SQLITE_STATIC);
  }
  return *this;
}

Statement& Statement::bind_null(int index) {
  if (stmt_ != nullptr) sqlite3_bind_null(stmt_, index);
  return *this;
}

Result<bool> Statement::step() {
  if (stmt_ == nullptr) return fail(Code::Internal, error_);
  const int rc = sqlite3_step(stmt_);
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) return false;
  return error_of(sqlite3_db_handle(stmt_));
}

Status Statement::run() {
  TRY([[maybe_unused]] const bool row, step());
  assert(!row);
  sqlite3_reset(stmt_);
  return {};
}

std::string_view Statement::view(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(stmt_, column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(stmt_, column));
  return bytes == nullptr ? std::string_view() : std::string_view(bytes, size);
}

std::string_view Statement::blob(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(stmt_, column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(stmt_, column));
  return bytes == nullptr ? std::string_view() : std::string_view(bytes, size);
}

std::int64_t Statement::number(int column) const { return sqlite3_column_int64(stmt_, column); }

double Statement::real(int column) const { return sqlite3_column_double(stmt_, column); }

bool Statement::null(int column) const { return sqlite3_column_type(stmt_, column) == SQLITE_NULL; }

std::optional<TimePoint> Statement::maybe_instant(int column) const {
  if (null(column)) return std::nullopt;
  return instant(column);
}

void Database::Close::operator()(sqlite3* db) const { sqlite3_close_v2(db); }
void Database::Finalize::operator()(sqlite3_stmt* stmt) const { sqlite3_finalize(stmt); }

Database::Database(sqlite3* db)
    : batch_(std::make_unique<const Batch*>(nullptr)),
      limit_(std::make_unique<Limit>(Limit::max())),
      db_(db) {}
Database::Database(Database&&) noexcept = default;
Database::~Database() = default;

Result<Database> Database::open(const std::string& path) {
  // Counting what is allocated would take a lock at each allocation. Refused, and without harm,
  // once somebody in this process has opened a database.
  static const int configured = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  (void)configured;
  make_private(path);
  sqlite3* raw = nullptr;
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int rc = sqlite3_open_v2(path.c_str(), &raw, kFlags, nullptr);
  Database db(raw);
  if (rc != SQLITE_OK) {
    return fail(Code::Unavailable, "cannot open " + path + ": " + sqlite3_errmsg(raw));
  }
  if (register_batch(raw, db.batch_.get()) != SQLITE_OK) return error_of(raw);
  if (register_functions(raw) != SQLITE_OK) return error_of(raw);
  return db;
}

Status Database::exec(const char* sql) {
  if (sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return error_of(db_.get());
  }
  return {};
}

Statement Database::use(const char* sql) {
  auto& known = statements_[sql];
  if (!known) {
    sqlite3_stmt* stmt = nullptr;
    if (sqlite3_prepare_v3(db_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, nullptr) !=
        SQLITE_OK) {
      return Statement(nullptr, error_of(db_.get()).message + " in: " + sql);
    }
    known.reset(stmt);
  }
  return Statement(known.get());
}

Statement Database::use(const char* sql, const Batch& batch) {
  *batch_ = &batch;
  return use(sql);
}

Statement Database::once(const std::string& sql) {
  sqlite3_stmt* stmt = nullptr;
  if (sqlite3_prepare_v3(db_.get(), sql.c_str(), -1, 0, &stmt, nullptr) != SQLITE_OK) {
    return Statement(nullptr, error_of(db_.get()).message + " in: " + sql);
  }
  return Statement(stmt, {}, false);
}

void Database::limit(std::optional<std::chrono::steady_clock::time_point> until) {
  constexpr int kInstructions = 10'000;  // between two looks at the clock
  *limit_ = until.value_or(Limit::max());
  const auto over = [](void* at) -> int {
    return std::chrono::steady_clock::now() >= *static_cast<const Limit*>(at) ? 1 : 0;
  };
  sqlite3_progress_handler(db_.get(), until ? kInstructions : 0, over, limit_.get());
}

std::int64_t Database::last_insert_rowid() const { return sqlite3_last_insert_rowid(db_.get()); }
std::int64_t Database::changes() const { return sqlite3_changes64(db_.get()); }
std::int64_t Database::total_changes() const { return sqlite3_total_changes64(db_.get()); }
bool Database::in_transaction() const { return sqlite3_get_autocommit(db_.get()) == 0; }

Result<Transaction> Transaction::begin(Database& db) {
  TRY_VOID(db.exec("BEGIN IMMEDIATE"));
  return Transaction(db);
}

Transaction::~Transaction() {
  if (db_ != nullptr) (void)db_->exec("ROLLBACK");  // nobody left to tell; the next BEGIN says it
}

Status Transaction::commit() {
  TRY_VOID(db_->exec("COMMIT"));
  db_ = nullptr;
  return {};
}

}  // namespace jobmill::sqlite
