// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/sql_functions.h"

#include <sqlite3.h>

#include <string>
#include <string_view>

#include "base/document.h"
#include "jobs/job_explorer.h"
#include "store/json_fields.h"

namespace jobmill::sqlite {
namespace {

struct Failed {
  std::string type;
  std::string stack;
  std::string message;
};

Failed failed(sqlite3_value* value) {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_value_text(value));
  const auto size = static_cast<std::size_t>(sqlite3_value_bytes(value));
  Failed failed;
  const auto data = parse_json(std::string_view(bytes == nullptr ? "" : bytes, size));
  if (!data) return failed;  // it says nothing, like all others that say nothing
  store::read(*data, "exceptionType", failed.type);
  store::read(*data, "stackTrace", failed.stack);
  store::read(*data, "exceptionMessage", failed.message);
  return failed;
}

void answer(sqlite3_context* context, std::string_view text) {
  sqlite3_result_text(context, text.empty() ? "" : text.data(), static_cast<int>(text.size()),
                      SQLITE_TRANSIENT);
}

void fingerprint(sqlite3_context* context, int, sqlite3_value** values) {
  const Failed what = failed(values[0]);
  answer(context, jobs::fingerprint_of(what.type, what.stack, what.message));
}

void frame(sqlite3_context* context, int, sqlite3_value** values) {
  const Failed what = failed(values[0]);
  answer(context, jobs::top_frame(what.stack));
}

}  // namespace

int register_functions(sqlite3* db) {
  constexpr int kFlags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;
  const int rc = sqlite3_create_function_v2(db, "job_fingerprint", 1, kFlags, nullptr, fingerprint,
                                            nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) return rc;
  return sqlite3_create_function_v2(db, "job_frame", 1, kFlags, nullptr, frame, nullptr, nullptr,
                                    nullptr);
}

}  // namespace jobmill::sqlite
