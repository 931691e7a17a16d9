// SPDX-License-Identifier: Apache-2.0
#include "manifest/fields.h"

#include <algorithm>

#include "base/nearest.h"

namespace jobmill::manifest {
namespace {

std::string with_article(std::string_view noun) {
  const bool vowel = std::string_view("aeiou").find(noun.front()) != std::string_view::npos;
  return (vowel ? "an " : "a ") + std::string(noun);
}

bool is_scalar(const Node& node) { return !node.is_object() && !node.is_array(); }

std::string found(const Node& node) {
  std::string text = with_article(to_string(node.kind));
  if (node.is_null()) return "null";
  if (!is_scalar(node)) return text;
  return text + " " + (node.is_string() ? json_quote(node.text.substr(0, 80)) : node.text);
}

std::string joined(const std::set<std::string, std::less<>>& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return all;
}

std::string meant(std::string_view name, const std::set<std::string, std::less<>>& known) {
  const std::string_view near = nearest(name, {known.begin(), known.end()});
  return near.empty() ? "" : "; did you mean " + std::string(near) + "?";
}

}  // namespace

Fields::Fields(const Node& node, std::string path, Unknown unknown, Problems& problems)
    : node_(node), path_(std::move(path)), unknown_(unknown), problems_(problems) {
  if (!node.is_object())
    wrong_type(node, path_.empty() ? "the manifest" : path_, to_string(Node::Kind::Object));
}

Fields::~Fields() {
  if (unknown_ != Unknown::Ignored) report_unknown();
}

void Fields::report_unknown() const {
  for (const Node::Member& member : node_.members) {
    if (known_.contains(member.key)) continue;
    Node at = Node();
    at.line = member.line;
    if (unknown_ == Unknown::Refused)
      problems_.error(at, path_to(member.key) + ": unknown field; known: " + joined(known_) +
                              meant(member.key, known_));
    else
      problems_.note(at, path_to(member.key) + ": no meaning on this machine, ignored");
  }
}

std::string Fields::path_to(std::string_view key) const {
  if (path_.empty() || key.empty()) return path_ + std::string(key);
  return path_ + "." + std::string(key);
}

bool Fields::has(std::string_view key) const {
  const Node* member = node_.find(key);
  return member && !member->is_null();
}

const Node* Fields::any(std::string_view key) {
  known_.emplace(key);
  return has(key) ? node_.find(key) : nullptr;
}

const Node* Fields::take(std::string_view key, Node::Kind kind) {
  const Node* member = any(key);
  if (!member || member->is(kind)) return member;
  wrong_type(*member, path_to(key), to_string(kind));
  return nullptr;
}

void Fields::wrong_type(const Node& at, const std::string& path, std::string_view expected) {
  std::string text = path + ": expected " + with_article(expected) + ", found " + found(at);
  if (expected == "string" && is_scalar(at) && !at.is_null())
    text += "; put it in quotes: " + json_quote(at.text);
  problems_.error(at, std::move(text));
}

bool Fields::require(std::string_view key) {
  if (any(key)) return true;
  error(key, "required, and missing");
  return false;
}

void Fields::error(std::string_view key, std::string text) {
  const Node* member = node_.find(key);
  problems_.error(member ? *member : node_, path_to(key) + ": " + std::move(text));
}

std::string Fields::text(std::string_view key) {
  const Node* member = take(key, Node::Kind::String);
  return member ? member->text : std::string();
}

std::string Fields::required_text(std::string_view key) {
  if (!require(key)) return {};
  const Node* member = take(key, Node::Kind::String);
  if (member && member->text.empty()) error(key, "must not be empty");
  return member ? member->text : std::string();
}

std::optional<bool> Fields::boolean(std::string_view key) {
  const Node* member = take(key, Node::Kind::Bool);
  return member ? member->as_bool() : std::nullopt;
}

std::optional<int> Fields::integer(std::string_view key, IntegerRange range) {
  const Node* member = take(key, Node::Kind::Integer);
  if (!member) return std::nullopt;
  const auto value = member->as_int();
  if (value && *value >= range.least && *value <= range.most) return static_cast<int>(*value);
  error(key, "must be from " + std::to_string(range.least) + " to " + std::to_string(range.most) +
                 ", found " + member->text);
  return std::nullopt;
}

std::optional<int> Fields::required_integer(std::string_view key, IntegerRange range) {
  return require(key) ? integer(key, range) : std::nullopt;
}

std::optional<Duration> Fields::seconds(std::string_view key, IntegerRange range) {
  const auto count = integer(key, range);
  if (!count) return std::nullopt;
  return std::chrono::seconds(*count);
}

Texts Fields::texts(std::string_view key) {
  Texts all;
  const Node* object = take(key, Node::Kind::Object);
  if (!object) return all;
  for (const Node::Member& member : object->members) {
    if (member.value.is_string()) all.emplace(member.key, member.value.text);
    if (!member.value.is_string())
      wrong_type(member.value, path_to(key) + "." + member.key, "string");
  }
  return all;
}

std::vector<std::string> Fields::text_list(std::string_view key) {
  std::vector<std::string> all;
  const Node* list = take(key, Node::Kind::Array);
  for (std::size_t i = 0; list && i < list->items.size(); ++i) {
    const Node& item = list->items[i];
    if (item.is_string()) all.push_back(item.text);
    if (!item.is_string()) wrong_type(item, path_to(key) + "[" + std::to_string(i) + "]", "string");
  }
  return all;
}

std::optional<std::size_t> Fields::word(std::string_view key,
                                        std::span<const std::string_view> words) {
  const Node* member = take(key, Node::Kind::String);
  if (!member) return std::nullopt;
  const auto at = std::find(words.begin(), words.end(), member->text);
  if (at != words.end()) return static_cast<std::size_t>(at - words.begin());
  std::string known;
  for (const std::string_view word : words)
    known += (known.empty() ? "" : ", ") + std::string(word);
  error(key, "expected one of " + known + ", found " + json_quote(member->text));
  return std::nullopt;
}

void Fields::accept(std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) known_.emplace(key);
}

void Fields::not_supported_yet(std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (any(key)) error(key, "not supported yet");
    // Not to be offered as known where another name is mistyped.
    if (!node_.find(key)) known_.erase(known_.find(key));
  }
}

}  // namespace jobmill::manifest
