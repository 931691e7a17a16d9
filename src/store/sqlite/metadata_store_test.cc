// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/metadata_store.h"

#include <doctest/doctest.h>

#include "temporary_folder.h"

namespace jobmill::sqlite {
namespace {

std::unique_ptr<SqliteFile> file_at(const std::string& path) {
  auto file = SqliteFile::open(path);
  REQUIRE(file);
  return *std::move(file);
}

}  // namespace

TEST_CASE("metadata: a fact is there after a restart, with when it was made and changed") {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/jobmill.db";
  ManualClock clock;
  const TimePoint begin = clock.now();
  {
    const auto file = file_at(path);
    MetadataStore store(*file);
    REQUIRE(store.put("id", "cluster", "a", begin));
    clock.advance(std::chrono::seconds(5));
    REQUIRE(store.put("id", "cluster", "b", clock.now()));
  }
  const auto file = file_at(path);
  MetadataStore store(*file);
  const auto fact = store.get("id", "cluster");
  REQUIRE(fact);
  REQUIRE(*fact);
  CHECK((*fact)->value == "b");
  CHECK((*fact)->created_at == begin);
  CHECK((*fact)->updated_at == clock.now());
}

TEST_CASE("metadata: facts of a name are listed by owner, and removed one by one") {
  const auto file = file_at(":memory:");
  MetadataStore store(*file);
  const TimePoint now = ManualClock().now();
  REQUIRE(store.put("muted", "b", "2", now));
  REQUIRE(store.put("muted", "a", "1", now));
  REQUIRE(store.put("other", "a", "3", now));
  const auto facts = store.list("muted");
  REQUIRE(facts);
  REQUIRE(facts->size() == 2);
  CHECK(facts->front().owner == "a");
  REQUIRE(store.remove("muted", "a"));
  REQUIRE(store.remove("muted", "a"));
  CHECK(store.list("muted")->size() == 1);
  CHECK_FALSE(*store.get("muted", "a"));
  CHECK((*store.get("other", "a"))->value == "3");
}

TEST_CASE("metadata: a value that is kept is the first one proposed") {
  const auto file = file_at(":memory:");
  MetadataStore store(*file);
  const TimePoint now = ManualClock().now();
  CHECK(*jobs::kept_value(store, "id", "cluster", "first", now) == "first");
  CHECK(*jobs::kept_value(store, "id", "cluster", "second", now) == "first");
}

}  // namespace jobmill::sqlite
