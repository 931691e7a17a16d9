// SPDX-License-Identifier: Apache-2.0
#include "executions/resources.h"

#include <doctest/doctest.h>

#include <utility>

namespace jobmill::executions {
namespace {

// Remembers, or refuses to.
class MemoryStore final : public ResourceStore {
 public:
  Status save(const Resource& resource) override {
    if (full) return fail(Code::Unavailable, "disk full");
    rows[resource.id] = resource;
    return {};
  }
  Status remove(std::string_view id) override {
    if (full) return fail(Code::Unavailable, "disk full");
    rows.erase(std::string(id));
    return {};
  }
  Result<std::vector<Resource>> load() override {
    if (full) return fail(Code::Unavailable, "disk full");
    std::vector<Resource> all;
    for (const auto& [id, resource] : rows) all.push_back(resource);
    return all;
  }

  std::map<std::string, Resource> rows;
  bool full = false;
};

Resource identity(const std::string& group, const std::string& name) {
  Node properties = Node::object();
  properties.set("clientId", Node::string("client-" + name));
  properties.set("principalId", Node::string("principal-" + name));
  Node document = Node::object();
  document.set("properties", std::move(properties));
  return {.id = "/Groups/" + group + "/" + name,
          .type = std::string(kIdentities),
          .group = group,
          .name = name,
          .document = std::move(document)};
}

}  // namespace

TEST_CASE("resources: ids, types and groups compare without case") {
  MemoryStore store;
  const auto resources = *Resources::open(store);
  REQUIRE(resources->put(identity("RG", "b")));
  REQUIRE(resources->put(identity("rg", "A")));
  REQUIRE(resources->put(identity("other", "c")));
  REQUIRE(resources->put({.id = "/groups/g", .type = std::string(kGroups), .name = "g"}));
  CHECK(resources->find("/GROUPS/rg/B")->name == "b");
  CHECK_FALSE(resources->find("/groups/rg/x"));

  const auto all = resources->list("microsoft.managedidentity/USERASSIGNEDIDENTITIES");
  REQUIRE(all.size() == 3);
  CHECK(all[0].name == "A");
  CHECK(all[1].name == "b");
  CHECK(resources->list(kIdentities, "Rg").size() == 2);
  CHECK(resources->list(kIdentities, "none").empty());
  CHECK(resources->list(kRegistries).empty());
}

TEST_CASE("resources: what is there again replaces what was, and each change counts") {
  MemoryStore store;
  const auto resources = *Resources::open(store);
  const auto before = resources->revision();
  REQUIRE(resources->put(identity("rg", "a")));
  Resource other = identity("rg", "a");
  other.id = "/groups/RG/A";
  REQUIRE(resources->put(other));
  CHECK(resources->list(kIdentities).size() == 1);
  CHECK(resources->revision() > before + 1);
  REQUIRE(resources->remove("/groups/rg/a"));
  CHECK(resources->list(kIdentities).empty());
  const auto after = resources->revision();
  CHECK(resources->remove("/groups/rg/a"));  // no error
  CHECK(resources->revision() == after);
}

TEST_CASE("resources: what the store refuses is not there") {
  MemoryStore store;
  const auto resources = *Resources::open(store);
  REQUIRE(resources->put(identity("rg", "a")));
  const auto revision = resources->revision();
  store.full = true;
  CHECK_FALSE(resources->put(identity("rg", "b")));
  CHECK_FALSE(resources->remove("/groups/rg/a"));
  CHECK(resources->list(kIdentities).size() == 1);
  CHECK(resources->revision() == revision);
  CHECK_FALSE(Resources::open(store));
  store.full = false;
  CHECK((*Resources::open(store))->find("/groups/rg/a"));
}

TEST_CASE("resources: an identity is found by any of its ids") {
  MemoryStore store;
  const auto resources = *Resources::open(store);
  REQUIRE(resources->put(identity("rg", "a")));
  REQUIRE(resources->put(identity("rg", "b")));
  for (const char* id : {"/groups/RG/b", "CLIENT-b", "principal-B"}) {
    CAPTURE(id);
    const auto found = find_identity(*resources, id);
    REQUIRE(found);
    CHECK(found->id == "/Groups/rg/b");
    CHECK(found->client_id == "client-b");
    CHECK(found->principal_id == "principal-b");
  }
  CHECK_FALSE(find_identity(*resources, "b"));
  CHECK_FALSE(find_identity(*resources, ""));
}

}  // namespace jobmill::executions
