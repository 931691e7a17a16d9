// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/metadata_store.h"

namespace jobmill::sqlite {
namespace {

using jobs::Fact;

constexpr char kPut[] = R"sql(
  INSERT INTO metadata (name, owner, value, created, updated) VALUES (?1, ?2, ?3, ?4, ?4)
  ON CONFLICT (name, owner) DO UPDATE SET value = excluded.value, updated = excluded.updated
)sql";
constexpr char kRemove[] = "DELETE FROM metadata WHERE name = ?1 AND owner = ?2";
constexpr char kGet[] =
    "SELECT name, owner, value, created, updated FROM metadata WHERE name = ?1 AND owner = ?2";
constexpr char kList[] =
    "SELECT name, owner, value, created, updated FROM metadata WHERE name = ?1 ORDER BY owner";

Fact fact_in(const Statement& row) {
  return {.name = row.text(0),
          .owner = row.text(1),
          .value = row.text(2),
          .created_at = row.instant(3),
          .updated_at = row.instant(4)};
}

}  // namespace

Status MetadataStore::put(std::string_view name, std::string_view owner, std::string_view value,
                          TimePoint now) {
  return file_.run<void>([&](Database& db) {
    return db.use(kPut).bind(1, name).bind(2, owner).bind(3, value).bind(4, now).run();
  });
}

Status MetadataStore::remove(std::string_view name, std::string_view owner) {
  return file_.run<void>(
      [&](Database& db) { return db.use(kRemove).bind(1, name).bind(2, owner).run(); });
}

Result<std::optional<Fact>> MetadataStore::get(std::string_view name, std::string_view owner) {
  using Found = std::optional<Fact>;
  return file_.run<Found>([&](Database& db) -> Result<Found> {
    auto query = db.use(kGet);
    query.bind(1, name).bind(2, owner);
    TRY(const bool row, query.step());
    return row ? Found(fact_in(query)) : Found();
  });
}

Result<std::vector<Fact>> MetadataStore::list(std::string_view name) {
  using Facts = std::vector<Fact>;
  return file_.run<Facts>([&](Database& db) -> Result<Facts> {
    Facts facts;
    auto query = db.use(kList);
    query.bind(1, name);
    for (;;) {
      TRY(const bool row, query.step());
      if (!row) return facts;
      facts.push_back(fact_in(query));
    }
  });
}

}  // namespace jobmill::sqlite
