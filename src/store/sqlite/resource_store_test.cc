// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/resource_store.h"

#include <doctest/doctest.h>

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

std::vector<Resource> loaded(ResourceStore& store) {
  auto resources = store.load();
  REQUIRE(resources);
  return *std::move(resources);
}

}  // namespace

TEST_CASE("resource store: resources survive a restart as they were") {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/jobmill.db";
  REQUIRE(ResourceStore(**SqliteFile::open(path)).save(sample()));

  auto file = SqliteFile::open(path);
  REQUIRE(file);
  ResourceStore store(**file);
  const auto kept = loaded(store);
  REQUIRE(kept.size() == 1);
  CHECK(kept[0].id == kId);
  CHECK(kept[0].type == "Microsoft.App/jobs");
  CHECK(kept[0].group == "Shop");
  CHECK(kept[0].name == "Mail");
  CHECK(to_json(kept[0].document) == to_json(sample().document));
}

TEST_CASE("resource store: an id is the same in any case") {
  auto file = SqliteFile::open(":memory:");
  REQUIRE(file);
  ResourceStore store(**file);
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

TEST_CASE("resource store: all resources work on it") {
  auto file = SqliteFile::open(":memory:");
  REQUIRE(file);
  ResourceStore store(**file);
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
