// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/sqlite_object_store.h"

#include <cstddef>

#include "base/document.h"
#include "base/seal.h"
#include "store/json_fields.h"

namespace jobmill::sqlite {

namespace {

using namespace store;

constexpr char kPut[] = R"sql(
  INSERT OR REPLACE INTO object (kind, ns, name, source, generation, created, document)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
)sql";
constexpr char kRemove[] = "DELETE FROM object WHERE kind = ?1 AND ns = ?2 AND name = ?3";
constexpr char kAll[] = R"sql(
  SELECT kind, ns, name, source, generation, created, document
    FROM object ORDER BY kind, ns, name
)sql";

bool is_sealed(const manifest::ObjectKey& key) { return key.kind == "Secret"; }

std::string full_name(const manifest::ObjectKey& key) {
  return key.kind + "/" + key.ns + "/" + key.name;
}

struct Row {
  manifest::ObjectKey key;
  std::string source;
  std::int64_t generation = 1;
  TimePoint created{};
  std::string stored;
};

Result<std::vector<Row>> read_rows(Database& db) {
  std::vector<Row> rows;
  auto query = db.use(kAll);
  for (;;) {
    TRY(const bool found, query.step());
    if (!found) return rows;
    rows.push_back({.key = {query.text(0), query.text(1), query.text(2)},
                    .source = query.text(3),
                    .generation = query.number(4),
                    .created = query.instant(5),
                    .stored = std::string(query.blob(6))});
  }
}

Result<manifest::Object> read_object(const Row& row, std::string_view text) {
  TRY(Node document, parse_kept(text));
  manifest::Problems problems(row.source);
  manifest::Object object = manifest::read_object(std::move(document), row.key.ns, problems);
  if (!problems.ok())
    return fail(Code::Internal, "kept " + full_name(row.key) + ": " + problems.errors()[0].text);
  object.generation = row.generation;
  object.created = row.created;
  return object;
}

}  // namespace

Result<std::unique_ptr<ObjectStore>> ObjectStore::open(SqliteFile& file,
                                                       const std::string& key_path) {
  TRY(Secret key, load_or_create_key(key_path));
  std::unique_ptr<ObjectStore> store(new ObjectStore(file, std::move(key), key_path));
  // Found out now, a lost key is an error at start. Later it would be replicas without passwords.
  TRY([[maybe_unused]] const auto readable, store->load());
  return store;
}

Status ObjectStore::save(const std::vector<manifest::Object>& objects) {
  std::vector<std::string> stored;
  for (const manifest::Object& object : objects) {
    TRY(std::string form, stored_form(object));
    stored.push_back(std::move(form));
  }
  return file_.run<void>([&](Database& db) -> Status {
    auto put = db.use(kPut);
    for (std::size_t i = 0; i < objects.size(); ++i) {
      const manifest::Object& object = objects[i];
      put.bind(1, object.key.kind).bind(2, object.key.ns).bind(3, object.key.name);
      put.bind(4, object.source).bind(5, object.generation).bind(6, object.created);
      TRY_VOID(put.bind_blob(7, stored[i]).run());
    }
    return {};
  });
}

Status ObjectStore::remove(const std::vector<manifest::ObjectKey>& keys) {
  return file_.run<void>([&](Database& db) -> Status {
    auto query = db.use(kRemove);
    for (const manifest::ObjectKey& key : keys)
      TRY_VOID(query.bind(1, key.kind).bind(2, key.ns).bind(3, key.name).run());
    return {};
  });
}

Result<std::vector<manifest::Object>> ObjectStore::load() {
  TRY(std::vector<Row> rows, file_.run<std::vector<Row>>(read_rows));
  std::vector<manifest::Object> objects;
  for (Row& row : rows) {
    TRY(const std::string text, document_text(row.key, std::move(row.stored)));
    TRY(manifest::Object object, read_object(row, text));
    objects.push_back(std::move(object));
  }
  return objects;
}

Result<std::string> ObjectStore::stored_form(const manifest::Object& object) const {
  std::string text = to_json(object.document);
  if (!is_sealed(object.key)) return text;
  return seal(key_, text, full_name(object.key));
}

Result<std::string> ObjectStore::document_text(const manifest::ObjectKey& key,
                                               std::string stored) const {
  if (!is_sealed(key)) return stored;
  auto opened = open_seal(key_, stored, full_name(key));
  if (!opened)
    return fail(opened.error().code,
                key_path_ + " does not open " + full_name(key) + ": " + opened.error().message);
  return opened;
}

}  // namespace jobmill::sqlite
