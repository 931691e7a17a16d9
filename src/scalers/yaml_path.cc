// SPDX-License-Identifier: Apache-2.0
#include "scalers/yaml_path.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include <fmt/core.h>

#include "base/document.h"
#include "scalers/dot_path.h"

namespace jobmill::scalers {
namespace {

Fault not_found(std::string_view path) {
  return fail(Code::NotFound, fmt::format("nothing at {}", path));
}

Fault not_numeric(std::string_view path) {
  return fail(Code::Unavailable, fmt::format("no number at {}", path));
}

const Node* child(const Node& node, std::string_view part) {
  if (node.is_object()) return node.find(part);
  if (!node.is_array()) return nullptr;
  const auto index = path_index(part);
  return index && *index < node.items.size() ? &node.items[*index] : nullptr;
}

const Node* walk(const Node& root, std::string_view path) {
  const Node* node = &root;
  for (const std::string_view part : path_parts(path)) {
    node = child(*node, part);
    if (node == nullptr) return nullptr;
  }
  return node;
}

int base_of(std::string_view& digits) {
  if (digits.size() < 3 || digits[0] != '0') return 10;
  const int base = digits[1] == 'x' ? 16 : digits[1] == 'o' ? 8 : digits[1] == 'b' ? 2 : 10;
  if (base != 10) digits.remove_prefix(2);
  return base;
}

struct Whole {
  bool negative = false;
  std::optional<std::uint64_t> value{};  // nothing: beyond 64 bits
};

// YAML's whole numbers: a sign, 0x, 0o or 0b, and underscores between the digits.
std::optional<Whole> parse_whole(std::string_view text) {
  Whole whole{.negative = text.starts_with('-')};
  if (whole.negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.starts_with('_')) return std::nullopt;
  const int base = base_of(text);
  std::string digits(text);
  std::erase(digits, '_');
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (digits.empty() || end != digits.data() + digits.size()) return std::nullopt;
  if (error == std::errc()) whole.value = value;
  return whole;
}

std::optional<double> special_number(std::string_view text) {
  using Limits = std::numeric_limits<double>;
  if (text == ".nan" || text == ".NaN" || text == ".NAN") return Limits::quiet_NaN();
  const double sign = text.starts_with('-') ? -1 : 1;
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (text == ".inf" || text == ".Inf" || text == ".INF") return sign * Limits::infinity();
  return std::nullopt;
}

std::optional<double> whole_number(const Whole& whole) {
  const auto limit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!whole.value || *whole.value > limit + (whole.negative ? 1 : 0)) return std::nullopt;
  const double value = static_cast<double>(*whole.value);
  return whole.negative ? -value : value;
}

std::optional<double> scalar_number(const Node& node) {
  if (node.is(Node::Kind::Null) || node.is(Node::Kind::Bool)) return std::nullopt;
  if (const auto special = special_number(node.text)) return special;
  const bool plain_number = node.is(Node::Kind::Integer) || node.is(Node::Kind::Number);
  const bool grouped = node.text.find('_') != std::string::npos || node.text.starts_with("0b");
  const auto whole = plain_number || grouped ? parse_whole(node.text) : std::nullopt;
  if (whole && (whole->value || !node.is(Node::Kind::Number))) return whole_number(*whole);
  if (plain_number) return node.as_double();
  return quantity_number(node.text);
}

}  // namespace

Result<double> yaml_number(std::string_view yaml, std::string_view path) {
  const auto documents = parse_yaml(yaml);
  if (!documents) return fail(Code::Unavailable, "the answer is not YAML");
  if (documents->empty() || !documents->front().is_object())
    return fail(Code::Unavailable, "the answer is not a YAML map");
  const Node* node = walk(documents->front(), path);
  if (node == nullptr || node->is_object() || node->is_array()) return not_found(path);
  const auto value = scalar_number(*node);
  if (!value) return not_numeric(path);
  return *value;
}

}  // namespace jobmill::scalers
