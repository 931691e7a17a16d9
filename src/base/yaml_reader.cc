// SPDX-License-Identifier: Apache-2.0
#include <yaml.h>

#include <exception>
#include <map>
#include <utility>

#include "base/document.h"
#include "base/document_rules.h"

namespace jobmill {
namespace {

using document::Position;

Position position_of(const yaml_mark_t& mark) {
  return {static_cast<int>(mark.line) + 1, static_cast<int>(mark.column) + 1};
}

std::string_view text_of(const yaml_char_t* text) {
  return text ? std::string_view(reinterpret_cast<const char*>(text)) : std::string_view();
}

class Event {
 public:
  Event() = default;
  ~Event() { yaml_event_delete(&event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  yaml_event_t* get() { return &event_; }
  yaml_event_type_t type() const { return event_.type; }
  Position position() const { return position_of(event_.start_mark); }

  std::string_view anchor() const {
    switch (event_.type) {
      case YAML_ALIAS_EVENT:
        return text_of(event_.data.alias.anchor);
      case YAML_SCALAR_EVENT:
        return text_of(event_.data.scalar.anchor);
      case YAML_SEQUENCE_START_EVENT:
        return text_of(event_.data.sequence_start.anchor);
      case YAML_MAPPING_START_EVENT:
        return text_of(event_.data.mapping_start.anchor);
      default:
        return {};
    }
  }

  std::string_view tag() const {
    switch (event_.type) {
      case YAML_SCALAR_EVENT:
        return text_of(event_.data.scalar.tag);
      case YAML_SEQUENCE_START_EVENT:
        return text_of(event_.data.sequence_start.tag);
      case YAML_MAPPING_START_EVENT:
        return text_of(event_.data.mapping_start.tag);
      default:
        return {};
    }
  }

  std::string_view text() const {
    return {reinterpret_cast<const char*>(event_.data.scalar.value), event_.data.scalar.length};
  }
  bool is_plain() const { return event_.data.scalar.style == YAML_PLAIN_SCALAR_STYLE; }

 private:
  yaml_event_t event_{};
};

// The kind that a core-schema tag asks for; nothing for tags that mean something to others only.
std::optional<Node::Kind> tagged_kind(std::string_view tag) {
  constexpr std::string_view kCore = "tag:yaml.org,2002:";
  if (tag == "!") return Node::Kind::String;
  if (!tag.starts_with(kCore)) return std::nullopt;
  tag.remove_prefix(kCore.size());
  if (tag == "str") return Node::Kind::String;
  if (tag == "int") return Node::Kind::Integer;
  if (tag == "float") return Node::Kind::Number;
  if (tag == "bool") return Node::Kind::Bool;
  if (tag == "null") return Node::Kind::Null;
  if (tag == "seq") return Node::Kind::Array;
  if (tag == "map") return Node::Kind::Object;
  return std::nullopt;
}

class StreamReader {
 public:
  StreamReader(std::string_view text, const DocumentLimits& limits) : limits_(limits) {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  ~StreamReader() { yaml_parser_delete(&parser_); }
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;

  Result<std::vector<Node>> read() {
    std::vector<Node> documents;
    for (;;) {
      Event event;
      TRY_VOID(next(event));
      if (event.type() == YAML_STREAM_END_EVENT) return documents;
      if (event.type() != YAML_DOCUMENT_START_EVENT) continue;
      TRY(Node root, read_document());
      const bool empty = root.is_null() && root.text.empty();
      if (!empty) documents.push_back(std::move(root));
    }
  }

 private:
  struct Anchored {
    Node node;
    std::size_t nodes = 0;
    int height = 0;
  };

  Status next(Event& event) {
    if (yaml_parser_parse(&parser_, event.get())) return {};
    return document::error_at(
        problem_position(),
        "not YAML: " + std::string(parser_.problem ? parser_.problem : "out of memory"));
  }

  // The reader of bytes knows no line, the scanner and the parser do.
  Position problem_position() const {
    const bool scanned = parser_.error == YAML_SCANNER_ERROR || parser_.error == YAML_PARSER_ERROR;
    return position_of(scanned ? parser_.problem_mark : parser_.mark);
  }

  Result<Node> read_document() {
    anchors_.clear();
    Event event;
    TRY_VOID(next(event));
    return read_node(event, 0);
  }

  Result<Node> read_node(Event& event, int depth) {
    if (event.type() == YAML_ALIAS_EVENT) return expand_alias(event, depth);
    TRY_VOID(count(event.position(), 1, 0));
    TRY(Node node, read_value(event, depth));
    if (event.anchor().empty()) return node;
    return remember(event, std::move(node));
  }

  Result<Node> read_value(Event& event, int depth) {
    Node node;
    node.line = event.position().line;
    node.column = event.position().column;
    if (event.type() == YAML_SCALAR_EVENT) return read_scalar(event, std::move(node));
    if (depth == limits_.depth)
      return document::error_at(event.position(),
                                "nested deeper than " + std::to_string(limits_.depth));
    const bool list = event.type() == YAML_SEQUENCE_START_EVENT;
    node.kind = list ? Node::Kind::Array : Node::Kind::Object;
    TRY_VOID(check_tag(event, node.kind));
    if (list) return read_items(std::move(node), depth + 1);
    return read_members(std::move(node), depth + 1);
  }

  Result<Node> read_scalar(Event& event, Node node) {
    node.text = event.text();
    const bool resolves = event.tag().empty() && event.is_plain();
    node.kind = resolves ? document::plain_kind(node.text) : Node::Kind::String;
    if (event.tag().empty() || event.tag() == "!") return node;

    const auto wanted = tagged_kind(event.tag());
    if (wanted == Node::Kind::String) return node;
    node.kind = document::plain_kind(node.text);
    if (wanted == Node::Kind::Number && node.kind == Node::Kind::Integer) node.kind = *wanted;
    TRY_VOID(check_tag(event, node.kind));
    return node;
  }

  Status check_tag(const Event& event, Node::Kind kind) {
    if (event.tag().empty() || tagged_kind(event.tag()) == kind) return {};
    return document::error_at(event.position(),
                              "the tag " + std::string(event.tag()) + " does not fit here");
  }

  Result<Node> read_items(Node list, int depth) {
    for (;;) {
      Event event;
      TRY_VOID(next(event));
      if (event.type() == YAML_SEQUENCE_END_EVENT) return list;
      TRY(Node item, read_node(event, depth));
      list.items.push_back(std::move(item));
    }
  }

  Result<Node> read_members(Node object, int depth) {
    std::vector<Node> merged;
    for (;;) {
      Event event;
      TRY_VOID(next(event));
      if (event.type() == YAML_MAPPING_END_EVENT) break;
      const bool merge = event.type() == YAML_SCALAR_EVENT && event.is_plain() &&
                         event.tag().empty() && event.text() == "<<";
      TRY(Node key, read_key(event));
      Event value_event;
      TRY_VOID(next(value_event));
      TRY(Node value, read_node(value_event, depth));
      if (merge) {
        merged.push_back(std::move(value));
      } else {
        object.members.push_back({std::move(key.text), std::move(value), key.line, key.column});
      }
    }
    if (const Node::Member* again = document::repeated_member(object))
      return document::error_at({again->line, again->column},
                                "duplicate key " + json_quote(again->key));
    for (Node& from : merged) TRY_VOID(merge_into(object, std::move(from)));
    return object;
  }

  Result<Node> read_key(Event& event) {
    if (event.type() != YAML_SCALAR_EVENT)
      return document::error_at(event.position(), "a key must be a text");
    return read_node(event, limits_.depth);
  }

  // "<<: *base" and "<<: [*a, *b]": what the object does not say itself comes from there.
  Status merge_into(Node& object, Node from) {
    if (from.is_array()) {
      for (Node& item : from.items) TRY_VOID(merge_into(object, std::move(item)));
      return {};
    }
    if (!from.is_object())
      return document::error_at({from.line, from.column}, "<< takes an object or a list of them");
    std::map<std::string, bool, std::less<>> known;
    for (const Node::Member& member : object.members) known[member.key] = true;
    for (Node::Member& member : from.members)
      if (!known.contains(member.key)) object.members.push_back(std::move(member));
    return {};
  }

  // The copies count against the limits, or a few lines could stand for gigabytes.
  Result<Node> expand_alias(const Event& event, int depth) {
    const auto it = anchors_.find(event.anchor());
    if (it == anchors_.end())
      return document::error_at(event.position(),
                                "*" + std::string(event.anchor()) + " names no anchor before it");
    const Anchored& anchored = it->second;
    if (depth + anchored.height > limits_.depth)
      return document::error_at(event.position(),
                                "nested deeper than " + std::to_string(limits_.depth));
    TRY_VOID(count(event.position(), anchored.nodes, text_size(anchored.node)));
    return anchored.node;
  }

  Result<Node> remember(const Event& event, Node node) {
    Anchored anchored{node, node_count(node), height(node)};
    TRY_VOID(count(event.position(), anchored.nodes, text_size(node)));
    anchors_.insert_or_assign(std::string(event.anchor()), std::move(anchored));
    return node;
  }

  Status count(Position at, std::size_t nodes, std::size_t bytes) {
    nodes_ += nodes;
    copied_bytes_ += bytes;
    if (nodes_ > limits_.nodes)
      return document::error_at(at, "more than " + std::to_string(limits_.nodes) + " values");
    if (copied_bytes_ > limits_.bytes)
      return document::error_at(
          at, "aliases stand for more than " + std::to_string(limits_.bytes) + " bytes");
    return {};
  }

  static std::size_t node_count(const Node& node) {
    std::size_t count = 1;
    for (const Node& item : node.items) count += node_count(item);
    for (const Node::Member& member : node.members) count += 1 + node_count(member.value);
    return count;
  }

  static std::size_t text_size(const Node& node) {
    std::size_t size = node.text.size();
    for (const Node& item : node.items) size += text_size(item);
    for (const Node::Member& member : node.members)
      size += member.key.size() + text_size(member.value);
    return size;
  }

  static int height(const Node& node) {
    int below = 0;
    for (const Node& item : node.items) below = std::max(below, height(item));
    for (const Node::Member& member : node.members) below = std::max(below, height(member.value));
    return node.is_array() || node.is_object() ? below + 1 : 0;
  }

  yaml_parser_t parser_{};
  DocumentLimits limits_;
  std::map<std::string, Anchored, std::less<>> anchors_;
  std::size_t nodes_ = 0;
  std::size_t copied_bytes_ = 0;
};

}  // namespace

Result<std::vector<Node>> parse_yaml(std::string_view text, const DocumentLimits& limits) {
  if (text.size() > limits.bytes)
    return document::error_at({}, "more than " + std::to_string(limits.bytes) + " bytes");
  try {
    return StreamReader(text, limits).read();
  } catch (const std::exception& error) {
    return fail(Code::Internal, std::string("YAML reader: ") + error.what());
  }
}

}  // namespace jobmill
