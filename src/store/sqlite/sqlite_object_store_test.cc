// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/sqlite_object_store.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <doctest/doctest.h>

#include "base/document.h"
#include "base/duration.h"
#include "temporary_folder.h"

namespace jobmill::sqlite {
namespace {

using manifest::Object;
using manifest::ObjectKey;

constexpr char kManifests[] = R"(
apiVersion: v1
kind: Secret
metadata: {name: db, labels: {app: web}}
stringData: {password: swordfish}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, annotations: {note: "a\nb"}}
spec: {replicas: 3, ratio: 0.25, on: true, port: "8080", mode: 0o644, none: null, list: [1, {}]}
---
apiVersion: keda.sh/v1alpha1
kind: ClusterTriggerAuthentication
metadata: {name: shared}
spec: {}
)";

std::vector<Object> sample() {
  auto documents = parse_yaml(kManifests);
  REQUIRE(documents);
  std::vector<Object> objects;
  for (Node& document : *documents) {
    manifest::Problems problems("all.yaml");
    objects.push_back(manifest::read_object(std::move(document), "default", problems));
    REQUIRE(problems.ok());
    objects.back().generation = 7;
    objects.back().created = *parse_instant("2025-01-01T00:00:00.5Z");
  }
  return objects;
}

// A data folder whose store can be closed and opened again.
class Data {
 public:
  Data() { reopen(); }
  void reopen() {
    store_.reset();
    file_.reset();
    auto file = SqliteFile::open(database());
    REQUIRE(file);
    file_ = *std::move(file);
    auto store = ObjectStore::open(*file_, key());
    REQUIRE(store);
    store_ = *std::move(store);
  }
  void close() {
    store_.reset();
    file_.reset();
  }
  ObjectStore& store() { return *store_; }
  SqliteFile& file() { return *file_; }
  std::string database() const { return folder_.path() + "/jobmill.db"; }
  std::string key() const { return folder_.path() + "/secrets.key"; }

  // What a thief of the database sees: the file and its log.
  std::string bytes() const {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      std::ifstream in(entry.path(), std::ios::binary);
      all.append(std::istreambuf_iterator<char>(in), {});
    }
    return all;
  }

 private:
  testing::TemporaryFolder folder_;
  std::unique_ptr<SqliteFile> file_;
  std::unique_ptr<ObjectStore> store_;
};

std::vector<Object> loaded(Data& data) {
  auto objects = data.store().load();
  REQUIRE(objects);
  return *std::move(objects);
}

TEST_CASE("object store: applied manifests survive a restart as they were") {
  Data data;
  REQUIRE(data.store().save(sample()));
  data.reopen();

  const auto kept = loaded(data);
  const auto original = sample();
  REQUIRE(kept.size() == 3);
  // In the order of their keys: the cluster-wide one, the Deployment, the Secret.
  const std::vector<const Object*> wanted{&original[2], &original[1], &original[0]};
  for (std::size_t i = 0; i < kept.size(); ++i) {
    CHECK(kept[i].key == wanted[i]->key);
    CHECK(kept[i].api_version == wanted[i]->api_version);
    CHECK(kept[i].labels == wanted[i]->labels);
    CHECK(kept[i].annotations == wanted[i]->annotations);
    CHECK(kept[i].source == "all.yaml");
    CHECK(kept[i].generation == 7);
    CHECK(kept[i].created == wanted[i]->created);
    CHECK(to_json(kept[i].document) == to_json(wanted[i]->document));
    CHECK(kept[i].document.line == 0);
  }
}

TEST_CASE("object store: saving again replaces, removing removes, and both can find nothing") {
  Data data;
  auto objects = sample();
  REQUIRE(data.store().save(objects));
  objects[1].generation = 8;
  REQUIRE(data.store().save({objects[1]}));
  REQUIRE(data.store().remove({objects[0].key, objects[2].key, {"Secret", "default", "nobody"}}));
  REQUIRE(data.store().save({}));
  REQUIRE(data.store().remove({}));

  const auto kept = loaded(data);
  REQUIRE(kept.size() == 1);
  CHECK(kept[0].key == ObjectKey{"Deployment", "shop", "web"});
  CHECK(kept[0].generation == 8);
}

TEST_CASE("object store: a secret is not in the files in the clear") {
  Data data;
  REQUIRE(data.store().save(sample()));
  data.close();
  CHECK(data.bytes().find("all.yaml") != std::string::npos);
  CHECK(data.bytes().find("swordfish") == std::string::npos);
}

TEST_CASE("object store: with another key nothing opens, and the message names the file") {
  Data data;
  REQUIRE(data.store().save(sample()));
  data.close();
  std::filesystem::remove(data.key());

  const auto file = SqliteFile::open(data.database());
  REQUIRE(file);
  const auto store = ObjectStore::open(**file, data.key());
  REQUIRE_FALSE(store);
  CHECK(store.error().code == Code::PermissionDenied);
  CHECK(store.error().message.find(data.key()) != std::string::npos);
  CHECK(store.error().message.find("Secret/default/db") != std::string::npos);
}

TEST_CASE("object store: one secret's row cannot be passed off as another's") {
  Data data;
  REQUIRE(data.store().save(sample()));
  REQUIRE(data.file().run<void>(
      [](Database& db) { return db.exec("UPDATE object SET name = 'admin' WHERE name = 'db'"); }));
  CHECK(data.store().load().error().code == Code::PermissionDenied);
}

TEST_CASE("object store: a full disk is an error, and what was kept stays") {
  Data data;
  const auto objects = sample();
  REQUIRE(data.store().save({objects[1]}));
  const auto pages = [&](const char* sql) {
    REQUIRE(data.file().run<void>([&](Database& db) { return db.exec(sql); }));
  };
  pages("PRAGMA max_page_count = 1");  // SQLite takes the present size instead
  Object large = objects[0];
  large.source = std::string(1u << 20, 'x');
  const auto status = data.store().save({objects[2], large});
  REQUIRE_FALSE(status);
  CHECK(status.error().code == Code::Exhausted);
  CHECK(loaded(data).size() == 1);
  pages("PRAGMA max_page_count = 1000000");
  REQUIRE(data.store().save({objects[2], large}));
  CHECK(loaded(data).size() == 3);
}

}  // namespace
}  // namespace jobmill::sqlite
