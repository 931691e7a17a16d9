// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/document.h"

// What the readers and the writers of documents share. Not for other modules.
namespace jobmill::document {

struct Position {
  int line = 1;
  int column = 1;  // in characters, not bytes
};

// Follows a text from its start; the readers ask it where they are.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}
  void advance_to(std::size_t offset);
  std::size_t offset() const { return offset_; }
  Position position() const { return position_; }

 private:
  std::string_view text_;
  std::size_t offset_ = 0;
  Position position_;
};

Fault error_at(Position at, std::string text);

// A member whose key an earlier member has too; null when all differ.
const Node::Member* repeated_member(const Node& object);

// The kind that a plain (unquoted) YAML scalar stands for.
Node::Kind plain_kind(std::string_view text);

// Integer texts of JSON and YAML: decimal with a sign, 0x…, 0o… and, as Kubernetes reads it, 0….
std::optional<std::int64_t> integer_of(std::string_view text);
std::optional<double> number_of(std::string_view text);

// Whether the text is a number as RFC 8259 writes it.
bool is_json_number(std::string_view text);

}  // namespace jobmill::document
