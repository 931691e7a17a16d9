// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace jobmill {

// The one tree for everything structured that we read, whether it came as YAML or as JSON.
// Decoders take Node, so the same code decodes a manifest from a file, from HTTP and from the
// store, and every error can name file and line.
struct Node {
  enum class Kind { Null, Bool, Integer, Number, String, Array, Object };

  struct Member;

  Kind kind = Kind::Null;
  std::string text;             // a scalar as it was written (strings: their value)
  std::vector<Node> items;      // Array
  std::vector<Member> members;  // Object, in the order written; keys are unique
  int line = 0;                 // 1-based; 0 = made by a program
  int column = 0;

  bool is(Kind k) const { return kind == k; }
  bool is_null() const { return kind == Kind::Null; }
  bool is_object() const { return kind == Kind::Object; }
  bool is_array() const { return kind == Kind::Array; }
  bool is_string() const { return kind == Kind::String; }

  // The member's value, or null when this is not an object or has no such member.
  const Node* find(std::string_view key) const;
  Node* find(std::string_view key);
  // Sets or replaces a member; makes this an object.
  Node& set(std::string key, Node value);
  void push(Node value);  // makes this an array

  // Scalars. Nothing when the kind is another one or the text does not fit.
  std::optional<bool> as_bool() const;
  std::optional<std::int64_t> as_int() const;         // Integer only
  std::optional<double> as_double() const;            // Integer or Number
  std::optional<std::string_view> as_string() const;  // String only

  // For programs that write documents.
  static Node object();
  static Node array();
  static Node string(std::string_view value);
  static Node boolean(bool value);
  static Node integer(std::int64_t value);
  static Node number(double value);  // shortest text that reads back as the same double
};

struct Node::Member {
  std::string key;
  Node value;
  int line = 0;  // of the key
  int column = 0;
};

std::string_view to_string(Node::Kind kind);  // "string", "integer", … as in messages for users

// Limits on everything that is read from outside.
struct DocumentLimits {
  std::size_t bytes = 4u << 20;
  int depth = 100;
  std::size_t nodes = 1'000'000;
};

// JSON as RFC 8259 has it: one value, no comments, no duplicate keys, valid UTF-8.
// InvalidArgument with line and column in the message.
Result<Node> parse_json(std::string_view text, const DocumentLimits& limits = {});

// All documents of a YAML 1.1/1.2 stream, with the scalar rules that Kubernetes' reader uses
// (true/false/null/numbers of the JSON schema, plus 0x, 0o, and ~). Aliases are expanded within
// the limits, duplicate keys are refused, empty documents are skipped.
// InvalidArgument with line and column in the message.
Result<std::vector<Node>> parse_yaml(std::string_view text, const DocumentLimits& limits = {});

std::string to_json(const Node& node);         // one line, no blanks
std::string to_json_pretty(const Node& node);  // two blanks an indent
std::string to_yaml(const Node& node);
std::string json_quote(std::string_view text);  // "…" with escapes

}  // namespace jobmill
