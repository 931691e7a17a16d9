// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/batch.h"

#include <new>
#include <string>

#include <sqlite3.h>

namespace jobmill::sqlite {
namespace {

// SQLite's own structures come first, as it knows only of those.
struct Table {
  sqlite3_vtab base{};
  const Batch** current = nullptr;
};

struct Cursor {
  sqlite3_vtab_cursor base{};
  const Batch* batch = nullptr;
  std::size_t row = 0;
};

Cursor& cursor_of(sqlite3_vtab_cursor* base) { return *reinterpret_cast<Cursor*>(base); }

std::string declaration() {
  std::string sql = "CREATE TABLE batch (";
  for (std::size_t i = 0; i < Batch::kMaxColumns; ++i) {
    sql += (i == 0 ? "c" : ", c") + std::to_string(i);
  }
  return sql + ")";
}

int connect(sqlite3* db, void* current, int, const char* const*, sqlite3_vtab** table, char**) {
  if (const int rc = sqlite3_declare_vtab(db, declaration().c_str()); rc != SQLITE_OK) return rc;
  auto* made = new (std::nothrow) Table;
  if (made == nullptr) return SQLITE_NOMEM;
  made->current = static_cast<const Batch**>(current);
  *table = &made->base;
  return SQLITE_OK;
}

int disconnect(sqlite3_vtab* table) {
  delete reinterpret_cast<Table*>(table);
  return SQLITE_OK;
}

// Always the outermost loop of a join: it can only be read from front to end.
int best_index(sqlite3_vtab*, sqlite3_index_info* info) {
  info->estimatedCost = 10;
  info->estimatedRows = 10;
  return SQLITE_OK;
}

int open(sqlite3_vtab*, sqlite3_vtab_cursor** cursor) {
  auto* made = new (std::nothrow) Cursor;
  if (made == nullptr) return SQLITE_NOMEM;
  *cursor = &made->base;
  return SQLITE_OK;
}

int close(sqlite3_vtab_cursor* cursor) {
  delete &cursor_of(cursor);
  return SQLITE_OK;
}

int filter(sqlite3_vtab_cursor* base, int, const char*, int, sqlite3_value**) {
  Cursor& cursor = cursor_of(base);
  cursor.batch = *reinterpret_cast<Table*>(base->pVtab)->current;
  cursor.row = 0;
  return SQLITE_OK;
}

int next(sqlite3_vtab_cursor* cursor) {
  ++cursor_of(cursor).row;
  return SQLITE_OK;
}

int eof(sqlite3_vtab_cursor* base) {
  const Cursor& cursor = cursor_of(base);
  return cursor.batch == nullptr || cursor.row >= cursor.batch->rows() ? 1 : 0;
}

int column(sqlite3_vtab_cursor* base, sqlite3_context* out, int index) {
  const Cursor& cursor = cursor_of(base);
  const Batch::Cell& cell = cursor.batch->cell(cursor.row, static_cast<std::size_t>(index));
  const int size = static_cast<int>(cell.text.size());
  const char* bytes = cell.text.empty() ? "" : cell.text.data();
  switch (cell.type) {
    case Batch::Cell::Type::Null:
      sqlite3_result_null(out);
      break;
    case Batch::Cell::Type::Integer:
      sqlite3_result_int64(out, cell.number);
      break;
    case Batch::Cell::Type::Text:
      sqlite3_result_text(out, bytes, size, SQLITE_STATIC);
      break;
    case Batch::Cell::Type::Blob:
      sqlite3_result_blob(out, bytes, size, SQLITE_STATIC);
      break;
  }
  return SQLITE_OK;
}

int rowid(sqlite3_vtab_cursor* cursor, sqlite3_int64* id) {
  *id = static_cast<sqlite3_int64>(cursor_of(cursor).row);
  return SQLITE_OK;
}

// Without xCreate the table exists in every connection by its name alone.
const sqlite3_module kModule = [] {
  sqlite3_module module{};
  module.xConnect = connect;
  module.xBestIndex = best_index;
  module.xDisconnect = disconnect;
  module.xDestroy = disconnect;
  module.xOpen = open;
  module.xClose = close;
  module.xFilter = filter;
  module.xNext = next;
  module.xEof = eof;
  module.xColumn = column;
  module.xRowid = rowid;
  return module;
}();

}  // namespace

int register_batch(sqlite3* db, const Batch** current) {
  return sqlite3_create_module(db, "batch", &kModule, current);
}

}  // namespace jobmill::sqlite
