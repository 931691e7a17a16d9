// SPDX-License-Identifier: Apache-2.0
#include <boost/json/basic_parser_impl.hpp>
#include <exception>
#include <utility>

#include "base/document.h"
#include "base/document_rules.h"

namespace jobmill {
namespace {

namespace json = boost::json;
using document::Position;

// Builds the tree from the parser's events. The parser does not say where it is, so a cursor
// walks the text beside it: every event belongs to the next token of the text, and the parser
// has already found that token to be well formed.
class TreeBuilder {
 public:
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);

  TreeBuilder(std::string_view text, const DocumentLimits& limits)
      : text_(text), limits_(limits), cursor_(text) {}

  Node take_root() { return std::move(root_); }
  std::optional<Fault> take_error() { return std::move(error_); }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code& ec) { return open(Node::Kind::Object, ec); }
  bool on_array_begin(json::error_code& ec) { return open(Node::Kind::Array, ec); }
  bool on_array_end(std::size_t, json::error_code& ec) { return close(ec); }
  bool on_object_end(std::size_t, json::error_code& ec) { return close(ec); }

  bool on_key_part(json::string_view part, std::size_t, json::error_code&) { return keep(part); }
  bool on_key(json::string_view part, std::size_t, json::error_code&) {
    keep(part);
    key_at_ = begin_token();
    key_ = std::exchange(pending_, {});
    skip_string();
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) { return keep(part); }
  bool on_string(json::string_view part, std::size_t, json::error_code& ec) {
    keep(part);
    Node node = at_token(Node::Kind::String);
    node.text = std::exchange(pending_, {});
    skip_string();
    return add(std::move(node), ec);
  }

  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t, json::string_view, json::error_code& ec) { return number(ec); }
  bool on_uint64(std::uint64_t, json::string_view, json::error_code& ec) { return number(ec); }
  bool on_double(double, json::string_view, json::error_code& ec) { return number(ec); }
  bool on_bool(bool, json::error_code& ec) { return word(Node::Kind::Bool, ec); }
  bool on_null(json::error_code& ec) { return word(Node::Kind::Null, ec); }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  struct Open {
    Node node;
    std::string key;  // under which it goes into the one around it
    Position key_at;
  };

  bool keep(json::string_view part) {
    pending_.append(part.data(), part.size());
    return true;
  }

  // Goes to the next token, over blanks and the marks that open no value.
  Position begin_token() {
    std::size_t at = cursor_.offset();
    at = std::min(text_.find_first_not_of(" \t\r\n,:]}", at), text_.size());
    cursor_.advance_to(at);
    return cursor_.position();
  }

  Node at_token(Node::Kind kind) {
    const Position at = begin_token();
    Node node;
    node.kind = kind;
    node.line = at.line;
    node.column = at.column;
    return node;
  }

  void skip_string() {
    std::size_t at = cursor_.offset() + 1;
    for (; text_[at] != '"'; ++at)
      if (text_[at] == '\\') ++at;
    cursor_.advance_to(at + 1);
  }

  std::string_view take_word() {
    const std::size_t begin = cursor_.offset();
    const std::size_t end = std::min(text_.find_first_of(" \t\r\n,]}", begin), text_.size());
    cursor_.advance_to(end);
    return text_.substr(begin, end - begin);
  }

  bool word(Node::Kind kind, json::error_code& ec) {
    Node node = at_token(kind);
    node.text = take_word();
    return add(std::move(node), ec);
  }

  bool number(json::error_code& ec) {
    Node node = at_token(Node::Kind::Integer);
    node.text = take_word();
    if (node.text.find_first_of(".eE") != std::string::npos) node.kind = Node::Kind::Number;
    return add(std::move(node), ec);
  }

  bool open(Node::Kind kind, json::error_code& ec) {
    if (!count(ec)) return false;
    if (static_cast<int>(open_.size()) == limits_.depth)
      return refuse(begin_token(), "nested deeper than " + std::to_string(limits_.depth), ec);
    open_.push_back({at_token(kind), std::exchange(key_, {}), key_at_});
    cursor_.advance_to(cursor_.offset() + 1);
    return true;
  }

  bool close(json::error_code& ec) {
    Open done = std::move(open_.back());
    open_.pop_back();
    if (const Node::Member* again = document::repeated_member(done.node))
      return refuse({again->line, again->column}, "duplicate key " + json_quote(again->key), ec);
    place(std::move(done.node), std::move(done.key), done.key_at);
    return true;
  }

  bool add(Node node, json::error_code& ec) {
    if (!count(ec)) return false;
    place(std::move(node), std::exchange(key_, {}), key_at_);
    return true;
  }

  void place(Node node, std::string key, Position key_at) {
    if (open_.empty()) {
      root_ = std::move(node);
    } else if (Node& parent = open_.back().node; parent.is_object()) {
      parent.members.push_back({std::move(key), std::move(node), key_at.line, key_at.column});
    } else {
      parent.items.push_back(std::move(node));
    }
  }

  bool count(json::error_code& ec) {
    if (++nodes_ <= limits_.nodes) return true;
    return refuse(begin_token(), "more than " + std::to_string(limits_.nodes) + " values", ec);
  }

  bool refuse(Position at, std::string text, json::error_code& ec) {
    error_ = document::error_at(at, std::move(text));
    ec = json::error::exception;  // only says "stop"; error_ says why
    return false;
  }

  std::string_view text_;
  DocumentLimits limits_;
  document::Cursor cursor_;
  std::vector<Open> open_;
  std::string pending_;  // the parts of a string so far
  std::string key_;
  Position key_at_;
  std::size_t nodes_ = 0;
  Node root_;
  std::optional<Fault> error_;
};

Fault syntax_error(std::string_view text, std::size_t offset, std::string what) {
  document::Cursor cursor(text);
  cursor.advance_to(std::min(offset, text.size()));
  return document::error_at(cursor.position(), "not JSON: " + std::move(what));
}

Result<Node> read(std::string_view text, const DocumentLimits& limits) {
  json::parse_options options;
  options.max_depth = static_cast<std::size_t>(limits.depth) + 1;  // ours has the better message
  json::basic_parser<TreeBuilder> parser(options, text, limits);
  json::error_code ec;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), ec);
  if (auto error = parser.handler().take_error()) return *std::move(error);
  if (ec) return syntax_error(text, used, ec.message());
  if (used < text.size()) return syntax_error(text, used, "something follows the value");
  return parser.handler().take_root();
}

}  // namespace

Result<Node> parse_json(std::string_view text, const DocumentLimits& limits) {
  if (text.size() > limits.bytes)
    return document::error_at({}, "more than " + std::to_string(limits.bytes) + " bytes");
  try {
    return read(text, limits);
  } catch (const std::exception& error) {
    return fail(Code::Internal, std::string("JSON reader: ") + error.what());
  }
}

}  // namespace jobmill
