// SPDX-License-Identifier: Apache-2.0
#include "vectors.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <doctest/doctest.h>
#include <fmt/core.h>

namespace jobmill::testing {
namespace {

std::string folder() {
  const char* set = std::getenv("JOBMILL_VECTORS");
  return set != nullptr && *set != '\0' ? set : JOBMILL_DEFAULT_VECTORS;
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file.good(), "missing vector file: " << path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

// `count` is a number, or an object from array name to number.
std::int64_t declared_count(const Node& file, std::string_view array) {
  const Node& count = member(file, "count");
  const auto number = count.is_object() ? member(count, array).as_int() : count.as_int();
  REQUIRE_MESSAGE(number, "count is not a number");
  return *number;
}

}  // namespace

std::vector<Node> vectors(std::string_view file, std::string_view array) {
  const std::string path = folder() + "/" + std::string(file);
  auto document = parse_json(contents(path));
  REQUIRE_MESSAGE(document, path << ": " << (document ? "" : document.error().message));
  const Node& found = member(*document, array);
  REQUIRE(found.is_array());
  REQUIRE_MESSAGE(static_cast<std::int64_t>(found.items.size()) == declared_count(*document, array),
                  path << ": the count differs");
  fmt::print("vectors: {} {} {}\n", file, array, found.items.size());
  return found.items;
}

const Node& member(const Node& node, std::string_view key) {
  const Node* found = node.find(key);
  REQUIRE_MESSAGE(found != nullptr, "no member " << std::string(key) << " in " << to_json(node));
  return *found;
}

bool has(const Node& node, std::string_view key) {
  const Node* found = node.find(key);
  return found != nullptr && !found->is_null();
}

std::string text(const Node& node, std::string_view key) {
  const auto value = member(node, key).as_string();
  REQUIRE_MESSAGE(value, std::string(key) << " is not a string in " << to_json(node));
  return std::string(*value);
}

std::string text_or(const Node& node, std::string_view key, std::string_view fallback) {
  return has(node, key) ? text(node, key) : std::string(fallback);
}

double number(const Node& node, std::string_view key) {
  const auto value = member(node, key).as_double();
  REQUIRE_MESSAGE(value, std::string(key) << " is not a number in " << to_json(node));
  return *value;
}

bool flag(const Node& node, std::string_view key) {
  const Node* found = node.find(key);
  return found != nullptr && found->as_bool().value_or(false);
}

}  // namespace jobmill::testing
