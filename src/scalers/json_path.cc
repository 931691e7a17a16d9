// SPDX-License-Identifier: Apache-2.0
#include "scalers/json_path.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <functional>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "base/document.h"

namespace jobmill::scalers {
namespace {

constexpr std::size_t kLongestPath = 4096;  // bounds the recursion, which is one call per step

using Kind = JsonValue::Kind;
using Raw = std::optional<std::string>;  // a value as it stands in the document, or none

Raw find(std::string_view json, std::string_view path);

// --- Reading of raw text -----------------------------------------------------------------------

// The end of the string whose opening quote is at `at`; of the text when it does not close.
std::size_t string_end(std::string_view text, std::size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\')
      ++at;
    else if (text[at] == '"')
      return at + 1;
  }
  return text.size();
}

std::size_t nested_end(std::string_view text, std::size_t at) {
  int depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = string_end(text, at);
      continue;
    }
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    ++at;
    if (depth == 0) break;
  }
  return at;
}

std::size_t literal_end(std::string_view text, std::size_t at) {
  while (at < text.size() && text[at] >= 'a' && text[at] <= 'z') ++at;
  return at;
}

std::size_t number_end(std::string_view text, std::size_t at) {
  constexpr std::string_view kEnds = ",]}";
  while (at < text.size() && static_cast<unsigned char>(text[at]) > ' ' &&
         kEnds.find(text[at]) == std::string_view::npos)
    ++at;
  return at;
}

bool starts_value(char c) {
  return (c >= '0' && c <= '9') ||
         std::string_view("\"{[ntf+-iIN").find(c) != std::string_view::npos;
}

bool starts_number(std::string_view text, std::size_t at) {
  if (text[at] == 'n') return at + 1 < text.size() && text[at + 1] != 'u';  // "nan"
  return (text[at] >= '0' && text[at] <= '9') ||
         std::string_view("+-iIN").find(text[at]) != std::string_view::npos;
}

// The value that begins at `at`, which starts_value.
std::string_view value_at(std::string_view text, std::size_t at) {
  std::size_t end = 0;
  if (text[at] == '"')
    end = string_end(text, at);
  else if (text[at] == '{' || text[at] == '[')
    end = nested_end(text, at);
  else if (starts_number(text, at))
    end = number_end(text, at);
  else
    end = literal_end(text, at);
  return text.substr(at, end - at);
}

void append_utf8(std::string& out, unsigned code) {
  const auto put = [&](unsigned byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

std::optional<unsigned> hex4(std::string_view text) {
  unsigned code = 0;
  if (text.size() < 4) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + 4, code, 16);
  if (error != std::errc() || end != text.data() + 4) return std::nullopt;
  return code;
}

// Reads the four digits behind "\u", and the second half of a pair; returns how many bytes it took.
std::size_t append_unicode(std::string& out, std::string_view digits) {
  const auto high = hex4(digits);
  if (!high) return 0;
  if (*high < 0xD800 || *high > 0xDFFF) {
    append_utf8(out, *high);
    return 4;
  }
  const auto low = digits.substr(4).starts_with("\\u") ? hex4(digits.substr(6)) : std::nullopt;
  if (*high <= 0xDBFF && low && *low >= 0xDC00 && *low <= 0xDFFF) {
    append_utf8(out, 0x10000 + ((*high - 0xD800) << 10) + (*low - 0xDC00));
    return 10;
  }
  append_utf8(out, 0xFFFD);  // half a pair means nothing
  return 4;
}

// The value of a string as written, with or without its closing quote.
std::string unquote(std::string_view raw) {
  if (raw.starts_with('"')) raw.remove_prefix(1);
  std::string text;
  for (std::size_t i = 0; i < raw.size() && raw[i] != '"'; ++i) {
    if (raw[i] != '\\') {
      text += raw[i];
      continue;
    }
    if (++i == raw.size()) break;
    constexpr std::string_view kNames = "bfnrt";
    constexpr std::string_view kBytes = "\b\f\n\r\t";
    if (raw[i] == 'u')
      i += append_unicode(text, raw.substr(i + 1));
    else if (const auto name = kNames.find(raw[i]); name != std::string_view::npos)
      text += kBytes[name];
    else
      text += raw[i];
  }
  return text;
}

JsonValue value_of(std::string_view raw) {
  const auto begin = std::ranges::find_if(raw, starts_value);
  if (begin == raw.end()) return {};
  const auto at = static_cast<std::size_t>(begin - raw.begin());
  const std::string_view text = value_at(raw, at);
  const auto with_text = [&](Kind kind) { return JsonValue{kind, std::string(text)}; };
  if (text.front() == '"') return {Kind::String, unquote(text)};
  if (text.front() == '{' || text.front() == '[') return with_text(Kind::Json);
  if (starts_number(raw, at)) return with_text(Kind::Number);
  return with_text(text.front() == 'n' ? Kind::Null : Kind::Bool);
}

// Calls `use` with each member of the object that begins at `json`, until it returns false.
void each_member(std::string_view json,
                 const std::function<bool(std::string_view key, std::string_view value)>& use) {
  for (std::size_t i = 1; i < json.size() && json[i] != '}';) {
    if (json[i] != '"') {
      ++i;
      continue;
    }
    const std::size_t key_end = string_end(json, i);
    const std::string_view key = json.substr(i, key_end - i);
    i = key_end;
    while (i < json.size() && !starts_value(json[i]) && json[i] != '}') ++i;
    if (i >= json.size() || json[i] == '}') return;
    const std::string_view value = value_at(json, i);
    if (!use(key, value)) return;
    i += std::max<std::size_t>(value.size(), 1);
  }
}

// The same with the items of an array, which may lack its end.
void each_item(std::string_view json, const std::function<bool(std::string_view)>& use) {
  for (std::size_t i = 1; i < json.size() && json[i] != ']';) {
    if (!starts_value(json[i])) {
      ++i;
      continue;
    }
    const std::string_view value = value_at(json, i);
    if (!use(value)) return;
    i += std::max<std::size_t>(value.size(), 1);
  }
}

std::string array_of(const std::vector<std::string>& values) {
  std::string json = "[";
  for (const std::string& value : values) {
    if (json.size() > 1) json += ',';
    json += value;
  }
  return json + ']';
}

// --- Patterns ----------------------------------------------------------------------------------

std::size_t character_size(std::string_view text) {  // of the UTF-8 character in front
  std::size_t size = 1;
  while (size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) ++size;
  return size;
}

// One character against the front of the pattern, which is not `*`: how much of it is used up.
std::size_t match_one(std::string_view text, std::string_view pattern, std::size_t& used) {
  if (pattern.empty() || text.empty()) return 0;
  used = 1;
  if (pattern.front() == '?') return character_size(text);
  if (pattern.front() == '\\' && pattern.size() > 1) {
    pattern.remove_prefix(1);
    used = 2;
  }
  return pattern.front() == text.front() ? 1 : 0;
}

// `*` any text, `?` any character, `\` takes the next one literally.
bool matches(std::string_view text, std::string_view pattern) {
  std::optional<std::pair<std::string_view, std::string_view>> star;  // text and pattern to retry
  while (!text.empty()) {
    std::size_t used = 0;
    if (pattern.starts_with('*')) {
      pattern.remove_prefix(1);
      star = {text, pattern};
    } else if (const std::size_t size = match_one(text, pattern, used); size > 0) {
      text.remove_prefix(size);
      pattern.remove_prefix(used);
    } else if (star) {
      star->first.remove_prefix(1);
      std::tie(text, pattern) = *star;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*') == std::string_view::npos;
}

// --- Modifiers ---------------------------------------------------------------------------------

std::string reversed(std::string_view json) {
  std::vector<std::string> parts;
  if (json.starts_with('[')) {
    each_item(json, [&](std::string_view item) { return parts.emplace_back(item), true; });
    std::ranges::reverse(parts);
    return array_of(parts);
  }
  if (!json.starts_with('{')) return std::string(json);
  each_member(json, [&](std::string_view key, std::string_view value) {
    parts.push_back(std::string(key) + ':' + std::string(value));
    return true;
  });
  std::ranges::reverse(parts);
  std::string object = array_of(parts);
  object.front() = '{';
  object.back() = '}';
  return object;
}

std::string keys(std::string_view json) {
  std::vector<std::string> names;
  if (json.starts_with('{'))
    each_member(json, [&](std::string_view key, std::string_view) {
      return names.emplace_back(key), true;
    });
  if (json.starts_with('['))
    each_item(json, [&](std::string_view) { return names.emplace_back("null"), true; });
  return array_of(names);
}

std::string values(std::string_view json) {
  if (json.starts_with('[')) return std::string(json);
  if (!json.starts_with('{')) return array_of({std::string(json)});
  std::vector<std::string> found;
  each_member(json, [&](std::string_view, std::string_view value) {
    return found.emplace_back(value), true;
  });
  return array_of(found);
}

std::string flattened(std::string_view json) {
  if (!json.starts_with('[')) return std::string(json);
  std::vector<std::string> items;
  const auto keep = [&](std::string_view item) { return items.emplace_back(item), true; };
  each_item(json, [&](std::string_view item) {
    if (item.starts_with('[')) return each_item(item, keep), true;
    return keep(item);
  });
  return array_of(items);
}

std::string same(std::string_view json) { return std::string(json); }
std::string valid(std::string_view json) { return parse_json(json) ? same(json) : ""; }
std::string from_string(std::string_view json) {
  return parse_json(json) ? value_of(json).text : "";
}

struct Modifier {
  std::string_view name;
  std::string (*apply)(std::string_view json);
};

constexpr std::array kModifiers{
    Modifier{"flatten", flattened}, Modifier{"fromstr", from_string}, Modifier{"keys", keys},
    Modifier{"pretty", same},       Modifier{"reverse", reversed},    Modifier{"this", same},
    Modifier{"tostr", json_quote},  Modifier{"ugly", same},           Modifier{"valid", valid},
    Modifier{"values", values},
};

// The modifier that `path` begins with, or null.
const Modifier* modifier(std::string_view path) {
  if (!path.starts_with('@')) return nullptr;
  const std::string_view name = path.substr(1, path.find_first_of(".|:") - 1);
  const auto found = std::ranges::find(kModifiers, name, &Modifier::name);
  return found == kModifiers.end() ? nullptr : &*found;
}

// What follows a modifier: its argument, which none of ours uses, is skipped.
std::string_view behind_modifier(std::string_view path) {
  const auto end = path.find_first_of(".|:");
  if (end == std::string_view::npos) return {};
  if (path[end] != ':') return path.substr(end + 1);
  path.remove_prefix(end + 1);
  const bool nested =
      !path.empty() && std::string_view("{[\"").find(path[0]) != std::string_view::npos;
  const auto argument = nested ? value_at(path, 0).size() : std::min(path.find('|'), path.size());
  return path.substr(std::min(argument + 1, path.size()));
}

// --- Steps of a path ---------------------------------------------------------------------------

struct Step {
  std::string_view part;  // with its escapes
  bool wild = false;
  enum class Next { End, Dot, Pipe } next = Next::End;
  std::string_view rest = {};
};

Step first_step(std::string_view path) {
  Step step{.part = path};
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '\\') {
      ++i;
    } else if (path[i] == '*' || path[i] == '?') {
      step.wild = true;
    } else if (path[i] == '.' || path[i] == '|') {
      step.part = path.substr(0, i);
      step.rest = path.substr(i + 1);
      // A modifier takes the whole value, however it is attached.
      const bool pipe = path[i] == '|' || modifier(step.rest) != nullptr;
      step.next = pipe ? Step::Next::Pipe : Step::Next::Dot;
      break;
    }
  }
  return step;
}

std::string without_escapes(std::string_view part) {
  std::string text;
  for (std::size_t i = 0; i < part.size(); ++i) {
    if (part[i] == '\\' && i + 1 < part.size()) ++i;
    text += part[i];
  }
  return text;
}

// Where a query "#(…)" or "#[…]" closes; nothing when it does not.
std::optional<std::size_t> query_end(std::string_view path) {
  int depth = 0;
  for (std::size_t i = 1; i < path.size(); ++i) {
    const char c = path[i];
    if (c == '\\') {
      ++i;
    } else if (c == '"') {
      i = string_end(path, i) - 1;
    } else if (c == '(' || c == '[') {
      ++depth;
    } else if (c == ')' || c == ']') {
      if (--depth == 0) return i;
    }
  }
  return std::nullopt;
}

bool starts_query(std::string_view path) {
  return path.starts_with("#(") || path.starts_with("#[");
}

// The path for each item, and what comes after the pipe for all of them together.
struct Split {
  std::string_view each;
  std::optional<std::string_view> whole;
};

Split split_at_pipe(std::string_view path) {
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '\\') {
      ++i;
    } else if (path[i] == '#' && starts_query(path.substr(i))) {
      const auto end = query_end(path.substr(i));
      if (!end) return {path, std::nullopt};
      i += *end;
    } else if (path[i] == '|') {
      return {path.substr(0, i), path.substr(i + 1)};
    }
  }
  return {path, std::nullopt};
}

Raw through_pipe(Raw value, std::optional<std::string_view> pipe) {
  if (!value || !pipe) return value;
  return find(*value, *pipe);
}

// --- Queries -----------------------------------------------------------------------------------

struct Query {
  std::string_view path;     // of the item; empty: the item itself
  std::string_view op = {};  // empty: the path must exist
  std::string operand = {};
  bool all = false;
};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
  return text;
}

// The operator is the first of its characters outside of nested queries and strings.
std::size_t operator_at(std::string_view text) {
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\') {
      ++i;
    } else if (c == '"') {
      i = string_end(text, i) - 1;
    } else if (c == '(' || c == '[') {
      ++depth;
    } else if (c == ')' || c == ']') {
      --depth;
    } else if (depth == 0 && std::string_view("!=<>%").find(c) != std::string_view::npos) {
      return i;
    }
  }
  return text.size();
}

std::string operand_of(std::string_view text) {
  if (text.size() >= 2 && text.starts_with('"') && text.ends_with('"')) return unquote(text);
  return std::string(text);
}

Query parse_query(std::string_view text) {
  const std::size_t at = operator_at(text);
  Query query{.path = trimmed(text.substr(0, at))};
  const std::string_view tail = text.substr(at);
  if (tail.empty()) return query;
  constexpr std::array<std::string_view, 5> kLong{"!=", "!%", "<=", ">=", "=="};
  const bool is_long = std::ranges::any_of(kLong, [&](auto op) { return tail.starts_with(op); });
  query.op = tail.substr(0, is_long ? 2 : 1);
  query.operand = operand_of(trimmed(tail.substr(query.op.size())));
  return query;
}

template <class T>
bool compare(const T& a, std::string_view op, const T& b) {
  if (op == "=" || op == "==") return a == b;
  if (op == "!=") return a != b;
  if (op == "<") return a < b;
  if (op == "<=") return a <= b;
  if (op == ">") return a > b;
  if (op == ">=") return a >= b;
  return false;
}

double to_double(const std::string& text) { return std::strtod(text.c_str(), nullptr); }

bool truth(const JsonValue& value) {
  switch (value.kind) {
    case Kind::Bool:
      return value.text == "true";
    case Kind::Number:
      return to_double(value.text) != 0;
    case Kind::String:
      return value.text == "true" || value.text == "1" || value.text == "t" || value.text == "T" ||
             value.text == "TRUE" || value.text == "True";
    default:
      return false;
  }
}

// The operands ~true, ~false, ~null and ~* ask what a value amounts to, not what it is.
bool amounts_to(const JsonValue& value, std::string_view word) {
  const bool exists = value.kind != Kind::Missing;
  if (word == "*") return exists;
  if (word == "null") return !exists || value.kind == Kind::Null;
  if (word == "true") return truth(value);
  return word == "false" && !truth(value);
}

bool satisfies(const JsonValue& value, const Query& query) {
  if (query.op.empty()) return value.kind != Kind::Missing;
  if (query.operand.starts_with('~')) {
    const bool is = amounts_to(value, std::string_view(query.operand).substr(1));
    return query.op == "!=" ? !is : is;
  }
  switch (value.kind) {
    case Kind::String:
      if (query.op == "%") return matches(value.text, query.operand);
      if (query.op == "!%") return !matches(value.text, query.operand);
      return compare(value.text, query.op, query.operand);
    case Kind::Number:
      return compare(to_double(value.text), query.op, to_double(query.operand));
    case Kind::Bool:
      if (query.operand != "true" && query.operand != "false") return query.op == "!=";
      return compare(value.text == "true", query.op, query.operand == "true");
    default:
      return false;
  }
}

bool selects(const Query& query, std::string_view item) {
  const bool nested = item.front() == '{' || item.front() == '[';
  if (!nested && !query.path.empty()) return false;
  if (!nested) return satisfies(value_of(item), query);
  const Raw found = find(item, query.path);
  return satisfies(found ? value_of(*found) : JsonValue{}, query);
}

// --- The look-up -------------------------------------------------------------------------------

Raw find_with_query(std::string_view json, std::string_view path) {
  const auto end = query_end(path);
  if (!end) return std::nullopt;
  Query query = parse_query(path.substr(2, *end - 2));
  path.remove_prefix(*end + 1);
  query.all = path.starts_with('#');

  const auto next = path.find_first_of(".|");
  const bool more = next != std::string_view::npos && path[next] == '.';
  const std::string_view rest = next == std::string_view::npos ? "" : path.substr(next + 1);
  Split split = split_at_pipe(rest);
  if (next != std::string_view::npos && !more) split.whole = rest;

  std::vector<std::string> all;
  Raw first;
  each_item(json, [&](std::string_view item) {
    if (!selects(query, item)) return true;
    Raw found = more ? find(item, split.each) : Raw(item);
    if (query.all && found) all.push_back(*std::move(found));
    if (!query.all) first = std::move(found);
    return query.all;
  });
  return through_pipe(query.all ? Raw(array_of(all)) : std::move(first), split.whole);
}

Raw find_in_each(std::string_view json, std::string_view path) {
  const Split split = split_at_pipe(path);
  std::vector<std::string> found;
  each_item(json, [&](std::string_view item) {
    if (Raw value = find(item, split.each)) found.push_back(*std::move(value));
    return true;
  });
  return through_pipe(array_of(found), split.whole);
}

Raw find_rest(std::string_view value, const Step& step) {
  if (step.next == Step::Next::End) return std::string(value);
  const bool nested = value.front() == '{' || value.front() == '[';
  if (step.next == Step::Next::Dot && !nested) return std::nullopt;
  return find(value, step.rest);
}

Raw item_count(std::string_view json, const Step& step) {
  std::size_t count = 0;
  each_item(json, [&](std::string_view) { return ++count, true; });
  return find_rest(std::to_string(count), step);
}

Raw find_in_array(std::string_view json, std::string_view path) {
  if (path.starts_with("#.")) return find_in_each(json, path.substr(2));
  if (starts_query(path)) return find_with_query(json, path);
  const Step step = first_step(path);
  if (step.part == "#") return item_count(json, step);

  std::size_t index = 0;
  const auto [end, error] =
      std::from_chars(step.part.data(), step.part.data() + step.part.size(), index);
  if (error != std::errc() || end != step.part.data() + step.part.size()) return std::nullopt;
  Raw found;
  each_item(json, [&](std::string_view item) {
    if (index-- > 0) return true;
    found = find_rest(item, step);
    return false;
  });
  return found;
}

Raw find_in_object(std::string_view json, std::string_view path) {
  const Step step = first_step(path);
  const std::string name = without_escapes(step.part);
  Raw found;
  each_member(json, [&](std::string_view key, std::string_view value) {
    const std::string text = unquote(key);
    if (step.wild ? matches(text, step.part) : text == name) found = find_rest(value, step);
    // A member that has the name but not the rest does not end the search.
    return !found;
  });
  return found;
}

Raw find(std::string_view json, std::string_view path) {
  if (const Modifier* change = modifier(path)) {
    const std::string changed = change->apply(trimmed(json));
    const std::string_view rest = behind_modifier(path);
    return rest.empty() ? changed : find(changed, rest);
  }
  const auto begin = json.find_first_of("{[");
  if (begin == std::string_view::npos) return std::nullopt;
  json.remove_prefix(begin);
  return (json.front() == '[' ? find_in_array : find_in_object)(json, path);
}

}  // namespace

JsonValue json_path(std::string_view json, std::string_view path) {
  if (path.size() > kLongestPath) return {};
  const Raw raw = find(json, path);
  return raw ? value_of(*raw) : JsonValue{};
}

}  // namespace jobmill::scalers
