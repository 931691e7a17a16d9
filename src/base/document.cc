// SPDX-License-Identifier: Apache-2.0
#include "base/document.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/document_rules.h"

namespace jobmill {

const Node* Node::find(std::string_view key) const {
  for (const Member& member : members)
    if (member.key == key) return &member.value;
  return nullptr;
}

Node* Node::find(std::string_view key) {
  for (Member& member : members)
    if (member.key == key) return &member.value;
  return nullptr;
}

Node& Node::set(std::string key, Node value) {
  if (!is_object()) *this = object();
  if (Node* old = find(key)) return *old = std::move(value);
  Member member{std::move(key), std::move(value)};
  member.line = member.value.line;
  member.column = member.value.column;
  return members.emplace_back(std::move(member)).value;
}

void Node::push(Node value) {
  if (!is_array()) *this = array();
  items.push_back(std::move(value));
}

std::optional<bool> Node::as_bool() const {
  if (kind != Kind::Bool) return std::nullopt;
  return text.front() == 't' || text.front() == 'T';
}

std::optional<std::int64_t> Node::as_int() const {
  if (kind != Kind::Integer) return std::nullopt;
  return document::integer_of(text);
}

std::optional<double> Node::as_double() const {
  if (kind != Kind::Integer && kind != Kind::Number) return std::nullopt;
  return document::number_of(text);
}

std::optional<std::string_view> Node::as_string() const {
  if (kind != Kind::String) return std::nullopt;
  return text;
}

namespace {

Node scalar(Node::Kind kind, std::string text) {
  Node node;
  node.kind = kind;
  node.text = std::move(text);
  return node;
}

}  // namespace

Node Node::object() { return scalar(Kind::Object, {}); }
Node Node::array() { return scalar(Kind::Array, {}); }
Node Node::string(std::string_view value) { return scalar(Kind::String, std::string(value)); }
Node Node::boolean(bool value) { return scalar(Kind::Bool, value ? "true" : "false"); }

Node Node::integer(std::int64_t value) { return scalar(Kind::Integer, std::to_string(value)); }

Node Node::number(double value) {
  if (!std::isfinite(value)) return Node();  // JSON has no word for it
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return scalar(Kind::Number, std::string(text.data(), end));
}

std::string_view to_string(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::Null:
      return "null";
    case Node::Kind::Bool:
      return "boolean";
    case Node::Kind::Integer:
      return "integer";
    case Node::Kind::Number:
      return "number";
    case Node::Kind::String:
      return "string";
    case Node::Kind::Array:
      return "list";
    case Node::Kind::Object:
      return "object";
  }
  return "unknown";
}

namespace document {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes digits from the front and says whether there were any.
bool take_digits(std::string_view& text) {
  const auto end = std::find_if_not(text.begin(), text.end(), is_digit);
  const auto count = static_cast<std::size_t>(end - text.begin());
  text.remove_prefix(count);
  return count > 0;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == any_of.npos) return false;
  text.remove_prefix(1);
  return true;
}

bool take_exponent(std::string_view& text) {
  if (!take(text, "eE")) return true;
  take(text, "+-");
  return take_digits(text);
}

// [-+]? ( .d+ | d+ (.d*)? ) ( e[-+]?d+ )?   as YAML 1.2's core schema has it
bool is_yaml_number(std::string_view text) {
  take(text, "+-");
  const bool whole = take_digits(text);
  const bool point = take(text, ".");
  const bool fraction = point && take_digits(text);
  return (whole || fraction) && take_exponent(text) && text.empty();
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

struct Radix {
  int base;
  std::string_view digits;
};

Radix radix_of(std::string_view digits) {
  if (digits.starts_with("0x")) return {16, digits.substr(2)};
  if (digits.starts_with("0o")) return {8, digits.substr(2)};
  if (digits.size() > 1 && digits.front() == '0') return {8, digits.substr(1)};
  return {10, digits};
}

// The value without its sign. Too big ones and those with stray characters have none.
std::optional<std::uint64_t> magnitude_of(std::string_view digits) {
  const Radix radix = radix_of(digits);
  std::uint64_t value = 0;
  const char* end = radix.digits.data() + radix.digits.size();
  const auto [stop, error] = std::from_chars(radix.digits.data(), end, value, radix.base);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

bool is_integer_text(std::string_view text) {
  take(text, "+-");
  const Radix radix = radix_of(text);
  const std::string_view known = std::string_view("0123456789abcdefABCDEF")
                                     .substr(0, radix.base == 8    ? 8
                                                : radix.base == 10 ? 10
                                                                   : std::string_view::npos);
  return !radix.digits.empty() && radix.digits.find_first_not_of(known) == std::string_view::npos;
}

}  // namespace

namespace {

// Whether eight bytes are eight characters, and none of them ends a line.
bool stay_in_line(const char* bytes) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kHighBits = 0x8080808080808080;
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  const std::uint64_t line_end = word ^ kOnes * '\n';  // a byte of zeros
  return ((word | ((line_end - kOnes) & ~line_end)) & kHighBits) == 0;
}

}  // namespace

void Cursor::advance_to(std::size_t offset) {
  while (offset_ < offset) {
    if (text_.size() - offset_ >= 8 && stay_in_line(text_.data() + offset_)) {
      const std::size_t step = std::min<std::size_t>(8, offset - offset_);
      offset_ += step;
      position_.column += static_cast<int>(step);
      continue;
    }
    const auto byte = static_cast<unsigned char>(text_[offset_]);
    if (byte == '\n') {
      position_ = {position_.line + 1, 1};
    } else if ((byte & 0xC0) != 0x80) {  // continuation bytes belong to the character before
      ++position_.column;
    }
    ++offset_;
  }
}

Fault error_at(Position at, std::string text) {
  return fail(Code::InvalidArgument, "line " + std::to_string(at.line) + ", column " +
                                         std::to_string(at.column) + ": " + std::move(text));
}

const Node::Member* repeated_member(const Node& object) {
  constexpr std::size_t kFew = 32;  // for which looking at all pairs is quicker than sorting
  const auto& members = object.members;
  if (members.size() <= kFew) {
    for (std::size_t i = 1; i < members.size(); ++i)
      for (std::size_t k = 0; k < i; ++k)
        if (members[k].key == members[i].key) return &members[i];
    return nullptr;
  }
  std::vector<const Node::Member*> sorted;
  sorted.reserve(object.members.size());
  for (const Node::Member& member : object.members) sorted.push_back(&member);
  const auto before = [](const auto* a, const auto* b) {
    return a->key != b->key ? a->key < b->key : a < b;
  };
  std::sort(sorted.begin(), sorted.end(), before);
  const auto same = std::adjacent_find(sorted.begin(), sorted.end(),
                                       [](auto* a, auto* b) { return a->key == b->key; });
  return same == sorted.end() ? nullptr : *(same + 1);
}

Node::Kind plain_kind(std::string_view text) {
  if (is_one_of(text, {"", "~", "null", "Null", "NULL"})) return Node::Kind::Null;
  if (is_one_of(text, {"true", "True", "TRUE", "false", "False", "FALSE"})) return Node::Kind::Bool;
  // What no number of ours can hold is text, as in Kubernetes' reader: it could not be written as
  // JSON and read again.
  if (is_integer_text(text) && (is_json_number(text) || integer_of(text)))
    return Node::Kind::Integer;
  if (is_yaml_number(text) && number_of(text)) return Node::Kind::Number;
  return Node::Kind::String;
}

std::optional<std::int64_t> integer_of(std::string_view text) {
  const bool negative = text.starts_with('-');
  take(text, "+-");
  const auto magnitude = magnitude_of(text);
  constexpr std::uint64_t kMost = 9'223'372'036'854'775'807u;
  if (!magnitude || *magnitude > kMost + (negative ? 1 : 0)) return std::nullopt;
  return static_cast<std::int64_t>(negative ? 0 - *magnitude : *magnitude);
}

std::optional<double> number_of(std::string_view text) {
  if (const auto integer = integer_of(text)) return static_cast<double>(*integer);
  take(text, "+");
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

bool is_json_number(std::string_view text) {
  take(text, "-");
  const bool leading_zero = text.starts_with('0');
  const std::size_t before = text.size();
  if (!take_digits(text) || (leading_zero && before - text.size() > 1)) return false;
  if (take(text, ".") && !take_digits(text)) return false;
  return take_exponent(text) && text.empty();
}

}  // namespace document
}  // namespace jobmill
