// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <exception>
#include <functional>
#include <iterator>
#include <utility>
#include <vector>

#include "base/document.h"
#include "base/document_rules.h"
#include "base/json_check.h"

namespace jobmill {
namespace {

namespace json = boost::json;
using document::Position;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// The marks that open no value.
bool is_gap(char c) { return c == ',' || c == ':' || c == ']' || c == '}'; }

bool is_in(std::string_view text, json::string_view part) {
  const std::less_equal<const char*> before;
  return before(text.data(), part.data()) &&
         before(part.data() + part.size(), text.data() + text.size());
}

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
    const Position at = begin_token();
    members_.push_back({whole(part), Node(), at.line, at.column});
    skip_string(part);
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) { return keep(part); }
  bool on_string(json::string_view part, std::size_t, json::error_code& ec) {
    if (!count(ec)) return false;
    put(Node::Kind::String, begin_token()).text = whole(part);
    skip_string(part);
    return true;
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
    Node::Kind kind;
    Position at;
    std::size_t first;  // of its values, in items_ or members_
  };

  bool keep(json::string_view part) {
    pending_.append(part.data(), part.size());
    return true;
  }

  // The string that ends with this part.
  std::string whole(json::string_view part) {
    if (pending_.empty()) return std::string(part.data(), part.size());
    keep(part);
    return std::exchange(pending_, {});
  }

  // Goes to the next token.
  Position begin_token() {
    while (at_ < text_.size() && (is_blank(text_[at_]) || is_gap(text_[at_]))) ++at_;
    cursor_.advance_to(at_);
    return cursor_.position();
  }

  // Where the next value goes: to the key that waits for it, or behind the items before it.
  Node& put(Node::Kind kind, Position at) {
    Node& node = open_.empty()                             ? root_
                 : open_.back().kind == Node::Kind::Object ? members_.back().value
                                                           : items_.emplace_back();
    node.kind = kind;
    node.line = at.line;
    node.column = at.column;
    return node;
  }

  // The last part of a string with escapes may stand elsewhere than in the text.
  void skip_string(json::string_view part) {
    if (is_in(text_, part)) {
      at_ = static_cast<std::size_t>(part.data() + part.size() - text_.data());
    } else {
      for (++at_; text_[at_] != '"'; ++at_)
        if (text_[at_] == '\\') ++at_;
    }
    ++at_;
  }

  std::string_view take_word() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && !is_blank(text_[at_]) && !is_gap(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  bool word(Node::Kind kind, json::error_code& ec) {
    if (!count(ec)) return false;
    Node& node = put(kind, begin_token());
    node.text = take_word();
    return true;
  }

  bool number(json::error_code& ec) {
    if (!count(ec)) return false;
    Node& node = put(Node::Kind::Integer, begin_token());
    node.text = take_word();
    if (node.text.find_first_of(".eE") != std::string::npos) node.kind = Node::Kind::Number;
    return true;
  }

  bool open(Node::Kind kind, json::error_code& ec) {
    if (!count(ec)) return false;
    const Position at = begin_token();
    if (static_cast<int>(open_.size()) == limits_.depth)
      return refuse(at, "nested deeper than " + std::to_string(limits_.depth), ec);
    open_.push_back({kind, at, kind == Node::Kind::Array ? items_.size() : members_.size()});
    ++at_;
    return true;
  }

  bool close(json::error_code& ec) {
    const Open done = open_.back();
    open_.pop_back();
    if (done.kind == Node::Kind::Array) {
      auto items = take_from(items_, done.first);
      put(done.kind, done.at).items = std::move(items);
      return true;
    }
    auto members = take_from(members_, done.first);
    Node& node = put(done.kind, done.at);
    node.members = std::move(members);
    const Node::Member* again = document::repeated_member(node);
    if (again == nullptr) return true;
    return refuse({again->line, again->column}, "duplicate key " + json_quote(again->key), ec);
  }

  template <class Value>
  static std::vector<Value> take_from(std::vector<Value>& values, std::size_t first) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(first);
    std::vector<Value> taken(std::make_move_iterator(begin), std::make_move_iterator(values.end()));
    values.erase(begin, values.end());
    return taken;
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
  document::Cursor cursor_;  // at the last token that began
  std::size_t at_ = 0;       // behind all that was told
  std::vector<Open> open_;
  std::vector<Node> items_;            // of the arrays that are open
  std::vector<Node::Member> members_;  // of the objects that are; the last may wait for its value
  std::string pending_;                // the parts of a string so far
  std::size_t nodes_ = 0;
  Node root_;
  std::optional<Fault> error_;
};

// Counts, and builds nothing. What is wrong, or needs more than a look, is for the tree to judge,
// which also knows where in the text it is.
class Checker {
 public:
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);

  Checker(std::string_view text, const DocumentLimits& limits) : text_(text), limits_(limits) {}

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_array_begin(json::error_code& ec) { return fine(count() && enter(), ec); }
  bool on_array_end(std::size_t, json::error_code&) { return leave(); }
  bool on_object_begin(json::error_code& ec) {
    objects_.push_back(keys_.size());
    return fine(count() && enter(), ec);
  }
  bool on_object_end(std::size_t, json::error_code& ec) {
    const std::size_t first = objects_.back();
    const bool distinct = are_distinct(first);
    objects_.pop_back();
    keys_.resize(first);
    return fine(distinct && leave(), ec);
  }

  // A key with escapes is not in the text as it is meant.
  bool on_key_part(json::string_view, std::size_t, json::error_code& ec) { return fine(false, ec); }
  bool on_key(json::string_view key, std::size_t, json::error_code& ec) {
    keys_.emplace_back(key.data(), key.size());
    return fine(is_in(text_, key), ec);
  }

  bool on_string_part(json::string_view, std::size_t, json::error_code&) { return true; }
  bool on_string(json::string_view, std::size_t, json::error_code& ec) { return fine(count(), ec); }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t, json::string_view, json::error_code& ec) { return fine(count(), ec); }
  bool on_uint64(std::uint64_t, json::string_view, json::error_code& ec) {
    return fine(count(), ec);
  }
  bool on_double(double, json::string_view, json::error_code& ec) { return fine(count(), ec); }
  bool on_bool(bool, json::error_code& ec) { return fine(count(), ec); }
  bool on_null(json::error_code& ec) { return fine(count(), ec); }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  bool count() { return ++nodes_ <= limits_.nodes; }
  bool enter() { return ++depth_ <= limits_.depth; }
  bool leave() {
    --depth_;
    return true;
  }

  bool are_distinct(std::size_t first) {
    const auto begin = keys_.begin() + static_cast<std::ptrdiff_t>(first);
    std::sort(begin, keys_.end());
    return std::adjacent_find(begin, keys_.end()) == keys_.end();
  }

  static bool fine(bool yes, json::error_code& ec) {
    if (!yes) ec = json::error::exception;  // only says "stop"
    return yes;
  }

  std::string_view text_;
  DocumentLimits limits_;
  std::vector<std::string_view> keys_;  // of all objects that are open
  std::vector<std::size_t> objects_;    // where the keys of each begin
  std::size_t nodes_ = 0;
  int depth_ = 0;
};

// False: it is wrong, or only the tree can tell.
bool is_plainly_json(std::string_view text, const DocumentLimits& limits) {
  json::parse_options options;
  options.max_depth = static_cast<std::size_t>(limits.depth) + 1;
  json::basic_parser<Checker> parser(options, text, limits);
  json::error_code ec;
  return parser.write_some(false, text.data(), text.size(), ec) == text.size() && !ec;
}

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

Result<Node::Kind> check_json(std::string_view text, const DocumentLimits& limits) {
  const auto first = text.find_first_not_of(" \t\r\n");
  const char mark = first == text.npos ? '\0' : text[first];
  if ((mark == '[' || mark == '{') && text.size() <= limits.bytes && is_plainly_json(text, limits))
    return mark == '[' ? Node::Kind::Array : Node::Kind::Object;
  TRY(const Node node, parse_json(text, limits));
  return node.kind;
}

}  // namespace jobmill
