// SPDX-License-Identifier: Apache-2.0
#include "api/openapi.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "api/route.h"
#include "base/document.h"

namespace jobmill::api {
namespace {

using OperationNames = std::set<std::string>;

Node document() {
  auto parsed = parse_json(openapi_json());
  REQUIRE(parsed);
  return *std::move(parsed);
}

// "GET /v1/jobs". Paths that have documents of their own are those of other products.
OperationNames routed() {
  OperationNames operations;
  for (const Route& route : all_routes())
    if (!route.pattern.starts_with("/subscriptions/"))
      operations.insert(std::string(route.method) + " " + std::string(route.pattern));
  return operations;
}

OperationNames documented(const Node& api) {
  constexpr std::array<std::string_view, 5> kMethods{"get", "put", "post", "patch", "delete"};
  OperationNames operations;
  for (const Node::Member& path : api.find("paths")->members)
    for (const Node::Member& method : path.value.members) {
      if (std::ranges::find(kMethods, method.key) == kMethods.end()) continue;
      std::string name = method.key;
      std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
      operations.insert(name + " " + path.key);
    }
  return operations;
}

// Every {"$ref": …} below a node.
void collect_references(const Node& node, std::set<std::string>& found) {
  for (const Node::Member& member : node.members) {
    if (member.key == "$ref") found.insert(member.value.text);
    collect_references(member.value, found);
  }
  for (const Node& item : node.items) collect_references(item, found);
}

bool resolves(const Node& api, std::string_view reference) {
  const Node* at = &api;
  REQUIRE(reference.starts_with("#/"));
  for (reference.remove_prefix(1); at != nullptr && !reference.empty();) {
    reference.remove_prefix(1);
    const auto end = std::min(reference.find('/'), reference.size());
    at = at->find(reference.substr(0, end));
    reference.remove_prefix(end);
  }
  return at != nullptr;
}

}  // namespace

TEST_CASE("openapi: every route has its entry, and every entry its route") {
  OperationNames routes = routed();
  routes.insert("GET /health");  // answered before routes are looked at
  CHECK(routes == documented(document()));
}

TEST_CASE("openapi: what it refers to is there") {
  const Node api = document();
  CHECK(api.find("openapi")->text == "3.1.0");
  std::set<std::string> references;
  collect_references(api, references);
  CHECK(references.size() > 40);
  for (const std::string& reference : references) {
    CAPTURE(reference);
    CHECK(resolves(api, reference));
  }
}

TEST_CASE("openapi: each operation has a name of its own, and says how it fails") {
  const Node api = document();
  std::set<std::string> names;
  std::size_t count = 0;
  for (const Node::Member& path : api.find("paths")->members)
    for (const Node::Member& method : path.value.members) {
      const Node* name = method.value.find("operationId");
      if (name == nullptr) continue;  // parameters
      CAPTURE(name->text);
      ++count;
      names.insert(name->text);
      CHECK(method.value.find("responses")->find("default") != nullptr);
    }
  CHECK(names.size() == count);
  CHECK(count == documented(api).size());
}

}  // namespace jobmill::api
