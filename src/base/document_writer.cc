// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdint>

#include "base/document.h"
#include "base/document_rules.h"

namespace jobmill {
namespace {

struct Character {
  std::uint32_t code;
  std::size_t bytes;
};

constexpr std::uint32_t kReplacement = 0xFFFD;

std::size_t sequence_length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead < 0xE0) return 2;
  if (lead >= 0xE0 && lead < 0xF0) return 3;
  if (lead >= 0xF0 && lead < 0xF5) return 4;
  return 0;
}

bool is_well_formed(std::uint32_t code, std::size_t bytes) {
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  return code >= kLeast[bytes] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
}

// The first character of the text. Bytes that are not UTF-8 stand for the replacement character,
// one by one, so that what we write is always valid, whatever a program put in.
Character first_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t length = sequence_length(lead);
  if (length == 1) return {lead, 1};
  if (length == 0 || length > text.size()) return {kReplacement, 1};
  std::uint32_t code = lead & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xC0) != 0x80) return {kReplacement, 1};
    code = code << 6 | (byte & 0x3F);
  }
  return is_well_formed(code, length) ? Character{code, length} : Character{kReplacement, 1};
}

// Beyond what JSON asks for, also what YAML and JavaScript would take for a line break or refuse.
bool needs_number(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x2028 || code == 0x2029 ||
         code == 0xFEFF || code == 0xFFFE || code == 0xFFFF;
}

char short_escape(std::uint32_t code) {
  switch (code) {
    case '"':
      return '"';
    case '\\':
      return '\\';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    default:
      return 0;
  }
}

// As most characters do, it stands for itself.
bool is_plain(char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; }

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (;;) {
    const auto plain = std::find_if_not(text.begin(), text.end(), is_plain);
    out.append(text.begin(), plain);
    text.remove_prefix(static_cast<std::size_t>(plain - text.begin()));
    if (text.empty()) break;
    const Character next = first_character(text);
    const bool broken = next.code == kReplacement && next.bytes == 1;
    if (const char escape = short_escape(next.code)) {
      out += '\\';
      out += escape;
    } else if (needs_number(next.code)) {
      out += fmt::format("\\u{:04x}", next.code);
    } else if (broken) {
      out += "\xEF\xBF\xBD";
    } else {
      out += text.substr(0, next.bytes);
    }
    text.remove_prefix(next.bytes);
  }
  out += '"';
}

// YAML writes some numbers that JSON cannot: 0x1F, +1, .5, 0777.
std::string json_number(const Node& node) {
  // A zero can have any exponent in YAML; JSON readers, ours too, refuse very large ones.
  const bool exponent = node.text.find_first_of("eE") != std::string::npos;
  if (exponent && document::number_of(node.text) == 0.0) return "0";
  if (document::is_json_number(node.text)) return node.text;
  if (const auto integer = document::integer_of(node.text)) return std::to_string(*integer);
  const auto number = document::number_of(node.text);
  return number ? Node::number(*number).text : "null";
}

std::string json_scalar(const Node& node) {
  switch (node.kind) {
    case Node::Kind::Bool:
      return *node.as_bool() ? "true" : "false";
    case Node::Kind::Integer:
    case Node::Kind::Number:
      return json_number(node);
    case Node::Kind::String:
      return json_quote(node.text);
    default:
      return "null";
  }
}

// Writes both forms of JSON; the compact one has no indent.
class JsonWriter {
 public:
  explicit JsonWriter(bool pretty) : pretty_(pretty) {}

  std::string take() { return std::move(out_); }

  void write(const Node& node) {
    if (node.is_object()) {
      write_all('{', '}', node.members, [this](const Node::Member& member) {
        append_quoted(out_, member.key);
        out_ += pretty_ ? ": " : ":";
        write(member.value);
      });
    } else if (node.is_array()) {
      write_all('[', ']', node.items, [this](const Node& item) { write(item); });
    } else if (node.is_string()) {
      append_quoted(out_, node.text);
    } else {
      out_ += json_scalar(node);
    }
  }

 private:
  template <class Parts, class WriteOne>
  void write_all(char open, char close, const Parts& parts, WriteOne write_one) {
    out_ += open;
    ++indent_;
    bool first = true;
    for (const auto& part : parts) {
      if (!first) out_ += ',';
      first = false;
      new_line();
      write_one(part);
    }
    --indent_;
    if (!parts.empty()) new_line();
    out_ += close;
  }

  void new_line() {
    if (pretty_) out_ += '\n' + std::string(2 * indent_, ' ');
  }

  bool pretty_;
  std::size_t indent_ = 0;
  std::string out_;
};

// Whether other readers of YAML, who know more words and forms than we do, also take this
// unquoted text for a string.
bool is_plain_string(std::string_view text) {
  constexpr std::string_view kMarks = "_./-+=@:, ";
  const auto is_safe = [kMarks](unsigned char c) {
    return std::isalnum(c) || kMarks.find(static_cast<char>(c)) != kMarks.npos;
  };
  if (text.empty() || text.size() > 100 || !std::all_of(text.begin(), text.end(), is_safe))
    return false;
  const auto first = static_cast<unsigned char>(text.front());
  const auto last = static_cast<unsigned char>(text.back());
  if (!std::isalnum(first) && first != '/' && first != '_') return false;
  if (last == ':' || last == ' ' || text.find(": ") != text.npos) return false;
  // 2024-01-01, 10:30 and 1_000 are dates, times and numbers to some.
  if (std::isdigit(first) && (!std::isalpha(last) || last == 'Z')) return false;
  constexpr std::string_view kWords[] = {"y",   "n",  "yes", "no",  "on",  "off", "Y",  "N",
                                         "Yes", "No", "On",  "Off", "YES", "NO",  "ON", "OFF"};
  return std::find(std::begin(kWords), std::end(kWords), text) == std::end(kWords) &&
         document::plain_kind(text) == Node::Kind::String;
}

class YamlWriter {
 public:
  std::string take() { return std::move(out_); }

  void write_document(const Node& node) {
    write_block(node, 0);
    if (!is_block(node)) out_ += '\n';
  }

 private:
  static bool is_block(const Node& node) { return !node.items.empty() || !node.members.empty(); }

  // Continues on the line it finds; the lines that follow are indented.
  void write_block(const Node& node, std::size_t indent) {
    if (!is_block(node)) {
      write_flow(node);
    } else if (node.is_object()) {
      write_members(node, indent);
    } else {
      write_items(node, indent);
    }
  }

  void write_flow(const Node& node) {
    if (node.is_object()) {
      out_ += "{}";
    } else if (node.is_array()) {
      out_ += "[]";
    } else if (node.is_string() && is_plain_string(node.text)) {
      out_ += node.text;
    } else {
      out_ += json_scalar(node);
    }
  }

  void write_members(const Node& object, std::size_t indent) {
    bool first = true;
    for (const Node::Member& member : object.members) {
      if (!first) out_.append(indent, ' ');
      first = false;
      write_key(member.key, indent);
      if (!is_block(member.value)) {
        out_ += ' ';
        write_flow(member.value);
        out_ += '\n';
        continue;
      }
      const std::size_t below = member.value.is_object() ? indent + 2 : indent;
      out_ += '\n' + std::string(below, ' ');
      write_block(member.value, below);
    }
  }

  // YAML looks for the colon on at most 1024 characters; longer keys announce themselves.
  void write_key(std::string_view key, std::size_t indent) {
    const std::string text = is_plain_string(key) ? std::string(key) : json_quote(key);
    if (text.size() > 1000) out_ += "? " + text + '\n' + std::string(indent, ' ');
    if (text.size() <= 1000) out_ += text;
    out_ += ':';
  }

  void write_items(const Node& list, std::size_t indent) {
    bool first = true;
    for (const Node& item : list.items) {
      if (!first) out_.append(indent, ' ');
      first = false;
      out_ += "- ";
      write_block(item, indent + 2);
      if (!is_block(item)) out_ += '\n';
    }
  }

  std::string out_;
};

std::string write_json(const Node& node, bool pretty) {
  JsonWriter writer(pretty);
  writer.write(node);
  return writer.take();
}

}  // namespace

std::string to_json(const Node& node) { return write_json(node, false); }
std::string to_json_pretty(const Node& node) { return write_json(node, true); }

std::string to_yaml(const Node& node) {
  YamlWriter writer;
  writer.write_document(node);
  return writer.take();
}

std::string json_quote(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 2);
  append_quoted(out, text);
  return out;
}

}  // namespace jobmill
