// SPDX-License-Identifier: Apache-2.0
#include "app/query.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/core.h>

namespace jobmill::app {
namespace {

constexpr std::string_view kKnown = "names, [n], [*], [], [?a=='b'], [a, b] and {x: a} are known";

bool begins_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The elements of the elements that are arrays, and the others as they are.
Node flattened(const Node& value) {
  Node flat = Node::array();
  for (const Node& item : value.items)
    if (item.is_array())
      flat.items.insert(flat.items.end(), item.items.begin(), item.items.end());
    else
      flat.push(item);
  return flat;
}

}  // namespace

// Recursive descent over the text.
class Query::Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Query> whole() {
    TRY(Query query, expression());
    skip();
    if (at_ < text_.size()) return unknown();
    return query;
  }

 private:
  // A first step, then ".name", ".[a, b]", ".{x: a}" or brackets.
  Result<Query> expression() {
    Query query;
    skip();
    if (peek() == '[') {
      TRY_VOID(brackets(query, true));
    } else {
      TRY_VOID(dotted(query));
    }
    for (;;) {
      skip();
      if (peek() == '[') {
        TRY_VOID(brackets(query, false));
      } else if (take('.')) {
        skip();
        if (peek() == '[') {
          TRY_VOID(brackets(query, true));
        } else {
          TRY_VOID(dotted(query));
        }
      } else {
        return query;
      }
    }
  }

  // A name, or {x: a}: what may follow a dot.
  Status dotted(Query& query) {
    if (peek() == '{') return object(query);
    TRY(std::string name, identifier());
    skip();
    if (peek() == '(') return wrong(fmt::format("the function {}()", name));
    query.steps_.push_back({.kind = Step::Kind::Field, .text = std::move(name)});
    return {};
  }

  // `list`: [a, b] is possible here, as at the beginning and after a dot.
  Status brackets(Query& query, bool list) {
    take('[');
    skip();
    if (take(']')) return add(query, Step::Kind::Flatten);
    if (take('?')) return filter(query);
    if (peek() == '*') {
      ++at_;
      skip();
      if (!take(']')) return unknown();
      return add(query, Step::Kind::Each);
    }
    if (peek() == '-' || is_digit(peek())) return index(query);
    if (peek() == ':') return wrong("a slice");
    if (!list) return unknown();
    return multi(query, Step::Kind::List, ']');
  }

  Status object(Query& query) {
    take('{');
    return multi(query, Step::Kind::Object, '}');
  }

  Status index(Query& query) {
    Step step{.kind = Step::Kind::Index};
    const auto [end, error] =
        std::from_chars(text_.data() + at_, text_.data() + text_.size(), step.index);
    if (error != std::errc()) return unknown();
    at_ = static_cast<std::size_t>(end - text_.data());
    skip();
    if (peek() == ':') return wrong("a slice");
    if (!take(']')) return unknown();
    query.steps_.push_back(std::move(step));
    return {};
  }

  Status filter(Query& query) {
    TRY(Query left, expression());
    skip();
    if (text_.substr(at_, 2) != "==") return unknown();
    at_ += 2;
    skip();
    if (peek() != '\'') return unknown();
    TRY(std::string text, quoted('\''));
    skip();
    if (!take(']')) return unknown();
    Step step{.kind = Step::Kind::Filter, .text = std::move(text)};
    step.parts.emplace_back("", std::move(left));
    query.steps_.push_back(std::move(step));
    return {};
  }

  Status multi(Query& query, Step::Kind kind, char end) {
    Step step{.kind = kind};
    do {
      std::string name;
      skip();
      if (kind == Step::Kind::Object) {
        TRY(name, identifier());
        skip();
        if (!take(':')) return unknown();
      }
      TRY(Query part, expression());
      step.parts.emplace_back(std::move(name), std::move(part));
      skip();
    } while (take(','));
    if (!take(end)) return unknown();
    query.steps_.push_back(std::move(step));
    return {};
  }

  Result<std::string> identifier() {
    if (peek() == '"') return quoted('"');
    if (!begins_name(peek())) return unknown();
    const std::size_t begin = at_;
    while (begins_name(peek()) || is_digit(peek())) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  Result<std::string> quoted(char quote) {
    const std::size_t begin = at_++;
    std::string value;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      value += text_[at_++];
    }
    if (!take(quote)) {
      at_ = begin;
      return wrong("a quote without its end");
    }
    return value;
  }

  Status add(Query& query, Step::Kind kind) {
    query.steps_.push_back({.kind = kind});
    return {};
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n') ++at_;
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  Fault wrong(std::string_view construct) const {
    return fail(Code::InvalidArgument, fmt::format("{} is not supported in queries (at {}); {}",
                                                   construct, at_ + 1, kKnown));
  }

  // By what stands here.
  Fault unknown() const {
    if (at_ >= text_.size())
      return fail(Code::InvalidArgument, fmt::format("the query ends too early; {}", kKnown));
    static constexpr std::pair<std::string_view, std::string_view> kConstructs[] = {
        {"||", "'||'"},
        {"|", "the pipe '|'"},
        {"&&", "'&&'"},
        {"==", "'=='"},
        {"!=", "'!='"},
        {"<=", "'<='"},
        {">=", "'>='"},
        {"<", "'<'"},
        {">", "'>'"},
        {"!", "'!'"},
        {"&", "'&'"},
        {"@", "the current node '@'"},
        {"`", "a literal in ``"},
        {"*", "the wildcard '*'"}};
    const std::string_view rest = text_.substr(at_);
    for (const auto& [text, name] : kConstructs)
      if (rest.starts_with(text)) return wrong(name);
    return wrong(fmt::format("'{}'", rest.front()));
  }

  const std::string_view text_;
  std::size_t at_ = 0;
};

Result<Query> Query::parse(std::string_view text) { return Parser(text).whole(); }

Node Query::apply(const Node& document) const {
  return run(steps_.begin(), steps_.end(), document);
}

// One that makes one value of one value.
Node Query::single(const Step& step, const Node& value) {
  if (value.is_null()) return {};
  if (step.kind == Step::Kind::Field) {
    const Node* found = value.find(step.text);
    return found == nullptr ? Node() : *found;
  }
  if (step.kind == Step::Kind::Index) {
    const auto size = static_cast<std::int64_t>(value.items.size());
    const std::int64_t at = step.index < 0 ? size + step.index : step.index;
    return at < 0 || at >= size ? Node() : value.items[static_cast<std::size_t>(at)];
  }
  Node made = step.kind == Step::Kind::List ? Node::array() : Node::object();
  for (const auto& [name, part] : step.parts)
    if (step.kind == Step::Kind::List)
      made.push(part.apply(value));
    else
      made.set(name, part.apply(value));
  return made;
}

// What follows a projection is for each of its elements, up to the next []: that one flattens all
// that came before it.
Node Query::run(Steps::const_iterator step, Steps::const_iterator end, const Node& value) {
  Node now = value;
  for (; step != end; ++step) {
    const bool projects = step->kind == Step::Kind::Each || step->kind == Step::Kind::Flatten ||
                          step->kind == Step::Kind::Filter;
    if (!projects) {
      now = single(*step, now);
      continue;
    }
    if (!now.is_array()) now = Node();
    if (step->kind == Step::Kind::Flatten && now.is_array()) now = flattened(now);
    const auto until = std::find_if(
        step + 1, end, [](const Step& one) { return one.kind == Step::Kind::Flatten; });
    if (now.is_array()) {
      Node list = Node::array();
      for (const Node& item : now.items) {
        if (step->kind == Step::Kind::Filter) {
          const Node left = step->parts.front().second.apply(item);
          if (!left.is_string() || left.text != step->text) continue;
        }
        Node kept = run(step + 1, until, item);
        if (!kept.is_null()) list.push(std::move(kept));
      }
      now = std::move(list);
    }
    step = until - 1;
  }
  return now;
}

}  // namespace jobmill::app
