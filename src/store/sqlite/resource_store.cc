// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/resource_store.h"

#include <string>
#include <utility>

#include "base/base64.h"
#include "base/json_writer.h"
#include "base/seal.h"
#include "base/text.h"
#include "executions/job_fields.h"
#include "store/json_fields.h"

namespace jobmill::sqlite {

using namespace store;

using executions::Resource;

namespace {

constexpr char kPut[] = "INSERT OR REPLACE INTO resource (id, type, body) VALUES (?1, ?2, ?3)";
constexpr char kRemove[] = "DELETE FROM resource WHERE id = ?1";
constexpr char kAll[] = "SELECT type, body FROM resource ORDER BY id";

// The id stands in it as it was written; its column is lower case, to be found in any case.
Result<std::string> body_of(const Resource& resource, const Secret& key) {
  JsonWriter json;
  json.object()
      .member("id", resource.id)
      .member("group", resource.group)
      .member("name", resource.name)
      .raw_member("document", to_json(resource.document));
  if (!resource.value.empty()) {
    TRY(const std::string sealed, seal(key, resource.value.reveal(), lower(resource.id)));
    json.member("sealed", base64_encode(sealed));
  }
  return std::move(json.end()).text();
}

Result<Resource> read_resource(std::string type, std::string_view body, const Secret& key) {
  TRY(Node node, parse_kept(body));
  Resource resource{.type = std::move(type)};
  read(node, "id", resource.id);
  read(node, "group", resource.group);
  read(node, "name", resource.name);
  if (Node* document = node.find("document")) resource.document = std::move(*document);
  std::string sealed;
  read(node, "sealed", sealed);
  if (sealed.empty()) return resource;
  auto value = open_seal(key, base64_decode(sealed).value_or(""), lower(resource.id));
  if (!value) return fail(value.error().code, resource.id + ": " + value.error().message);
  resource.value = Secret(*std::move(value));
  return resource;
}

}  // namespace

Result<std::unique_ptr<ResourceStore>> ResourceStore::open(SqliteFile& file,
                                                           const std::string& key_path) {
  TRY(Secret key, load_or_create_key(key_path));
  return std::unique_ptr<ResourceStore>(new ResourceStore(file, std::move(key)));
}

Status ResourceStore::save(const Resource& resource) {
  const std::string id = lower(resource.id);
  TRY(const std::string body, body_of(resource, key_));
  return file_.run<void>([&](Database& db) {
    return db.use(kPut).bind(1, id).bind(2, resource.type).bind(3, body).run();
  });
}

Status ResourceStore::remove(std::string_view id) {
  const std::string key = lower(id);
  return file_.run<void>([&](Database& db) { return db.use(kRemove).bind(1, key).run(); });
}

Result<std::vector<Resource>> ResourceStore::load() {
  using Resources = std::vector<Resource>;
  return file_.run<Resources>([this](Database& db) -> Result<Resources> {
    Resources resources;
    auto query = db.use(kAll);
    for (;;) {
      TRY(const bool row, query.step());
      if (!row) return resources;
      TRY(Resource resource, read_resource(query.text(0), query.view(1), key_));
      resources.push_back(std::move(resource));
    }
  });
}

}  // namespace jobmill::sqlite
