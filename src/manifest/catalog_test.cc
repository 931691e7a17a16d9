// SPDX-License-Identifier: Apache-2.0
#include "manifest/catalog.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "manifest/reader.h"

using namespace jobmill::manifest;
using jobmill::ManualClock;

namespace {

Object config(const std::string& name, const std::string& value, const std::string& label = "x") {
  Manifests manifests;
  read_manifests("{apiVersion: v1, kind: ConfigMap, metadata: {name: " + name +
                     ", labels: {l: " + label + "}}, data: {a: " + value + "}}",
                 "m.yaml", kDefaultNamespace, manifests);
  return manifests.objects.at(0);
}

}  // namespace

TEST_CASE("catalog: generations count what is wanted, notices tell of every change") {
  ManualClock clock;
  Catalog catalog;
  std::vector<std::string> told;
  catalog.on_change([&](const ObjectKey& key) {
    const Object* object = catalog.find(key);
    told.push_back(object ? std::to_string(object->generation) : "gone");
  });
  const auto created = clock.now();
  CHECK(catalog.put(config("a", "x"), clock.now()));
  clock.advance(std::chrono::hours(1));
  CHECK_FALSE(catalog.put(config("a", "x"), clock.now()));
  CHECK(catalog.put(config("a", "y"), clock.now()));
  CHECK(catalog.put(config("a", "y", "other"), clock.now()));
  CHECK(catalog.find("ConfigMap", "default", "a")->created == created);
  CHECK(catalog.remove({"ConfigMap", "default", "a"}));
  CHECK_FALSE(catalog.remove({"ConfigMap", "default", "a"}));
  CHECK(told == std::vector<std::string>{"1", "2", "2", "gone"});
}

TEST_CASE("catalog: listings are of one kind and in order") {
  Catalog catalog;
  catalog.put(config("b", "x"), {});
  catalog.put(config("a", "x"), {});
  REQUIRE(catalog.list("ConfigMap").size() == 2);
  CHECK(catalog.list("ConfigMap")[0]->key.name == "a");
  CHECK(catalog.list("Config").empty());
  CHECK(catalog.list("Secret").empty());
  CHECK(catalog.all().size() == 2);
}

TEST_CASE("catalog: what the store kept comes back as it was") {
  Catalog catalog;
  Object object = config("a", "x");
  object.generation = 7;
  object.created = jobmill::TimePoint(std::chrono::seconds(5));
  catalog.restore(object);
  CHECK_FALSE(catalog.put(config("a", "x"), {}));
  CHECK(catalog.find(object.key)->generation == 7);
  CHECK(catalog.find(object.key)->created == object.created);
}
