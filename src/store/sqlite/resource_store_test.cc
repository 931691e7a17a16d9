// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/resource_store.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "temporary_folder.h"

namespace jobmill::sqlite {
namespace {

using executions::Resource;

constexpr char kId[] = "/subscriptions/0/resourceGroups/Shop/providers/Microsoft.App/jobs/Mail";

Resource sample() {
  Resource resource{.id = kId, .type = "Microsoft.App/jobs", .group = "Shop", .name = "Mail"};
  resource.document.set("tags", Node::object()).set("team", Node::string("a\n\"b\""));
  return resource;
}

// Of a database in memory, with a key of its own.
struct Store {
  testing::TemporaryFolder folder;
  std::unique_ptr<SqliteFile> file = *SqliteFile::open(":memory:");
  std::unique_ptr<ResourceStore> store = *ResourceStore::open(*file, folder.path() + "/key");
};

std::vector<Resource> loaded(ResourceStore& store) {
  auto resources = store.load();
  REQUIRE(resources);
  return *std::move(resources);
}

}  // namespace

TEST_CASE("resource store: resources survive a restart as they were") {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/jobmill.db";
  const std::string key = folder.path() + "/key";
  {
    const auto file = SqliteFile::open(path);
    REQUIRE((*ResourceStore::open(**file, key))->save(sample()));
  }
  const auto file = SqliteFile::open(path);
  REQUIRE(file);
  const auto kept = loaded(**ResourceStore::open(**file, key));
  REQUIRE(kept.size() == 1);
  CHECK(kept[0].id == kId);
  CHECK(kept[0].type == "Microsoft.App/jobs");
  CHECK(kept[0].group == "Shop");
  CHECK(kept[0].name == "Mail");
  CHECK(to_json(kept[0].document) == to_json(sample().document));
}

TEST_CASE("resource store: an id is the same in any case") {
  const Store memory;
  ResourceStore& store = *memory.store;
  REQUIRE(store.save(sample()));
  Resource again = sample();
  again.id = "/SUBSCRIPTIONS/0/resourcegroups/shop/providers/microsoft.app/jobs/mail";
  again.name = "mail";
  REQUIRE(store.save(again));
  const auto kept = loaded(store);
  REQUIRE(kept.size() == 1);
  CHECK(kept[0].name == "mail");
  CHECK(kept[0].id == again.id);

  REQUIRE(store.remove(kId));
  REQUIRE(store.remove(kId));
  CHECK(loaded(store).empty());
}

TEST_CASE("resource store: values are sealed, each to its place") {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/jobmill.db";
  Resource secret = sample();
  secret.value = Secret("swordfish");
  {
    const auto file = SqliteFile::open(path);
    REQUIRE((*ResourceStore::open(**file, folder.path() + "/key"))->save(secret));
  }
  for (const auto& one : std::filesystem::directory_iterator(folder.path())) {
    std::ifstream bytes(one.path(), std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(bytes), {}};
    CHECK(text.find("swordfish") == std::string::npos);
  }
  const auto file = SqliteFile::open(path);
  const auto kept = loaded(**ResourceStore::open(**file, folder.path() + "/key"));
  REQUIRE(kept.size() == 1);
  CHECK(kept[0].value.reveal() == "swordfish");
  CHECK(to_json(kept[0].document).find("swordfish") == std::string::npos);
  const auto other = ResourceStore::open(**file, folder.path() + "/another-key");
  CHECK((*other)->load().error().code == Code::PermissionDenied);
}

TEST_CASE("resource store: all resources work on it") {
  const Store memory;
  ResourceStore& store = *memory.store;
  {
    const auto resources = executions::Resources::open(store);
    REQUIRE((*resources)->put(sample()));
  }
  const auto resources = executions::Resources::open(store);
  const auto found = (*resources)->list("microsoft.app/jobs", "shop");
  REQUIRE(found.size() == 1);
  CHECK(found[0].name == "Mail");
}

}  // namespace jobmill::sqlite
