// SPDX-License-Identifier: Apache-2.0
#include "scalers/prometheus_text.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <re2/re2.h>

namespace jobmill::scalers {
namespace {

constexpr std::string_view kName = "__name__";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes a text apart from left to right.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }
  char front() const { return rest_.empty() ? '\0' : rest_.front(); }

  void skip_blanks() {
    const auto end = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(std::min(end, rest_.size()));
  }

  bool take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  // A metric's name may hold colons, a label's may not. Empty: there is none here.
  std::string take_name(bool colons) {
    std::size_t size = 0;
    const auto fits = [&](char c) {
      return is_letter(c) || (colons && c == ':') || (size > 0 && is_digit(c));
    };
    while (size < rest_.size() && fits(rest_[size])) ++size;
    return std::string(advance(size));
  }

  // Up to the next blank.
  std::string_view take_word() {
    return advance(std::min(rest_.find_first_of(" \t"), rest_.size()));
  }

  // A quoted text. `unescape` gives the byte for what follows a backslash, or '\0' if that is not
  // an escape.
  std::optional<std::string> take_quoted(char (*unescape)(char)) {
    if (rest_.empty()) return std::nullopt;
    const char quote = rest_.front();
    rest_.remove_prefix(1);
    std::string text;
    while (!rest_.empty()) {
      char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == quote) return text;
      if (c == '\\' && quote != '`') {
        c = unescape(front());
        if (c == '\0') return std::nullopt;
        rest_.remove_prefix(1);
      }
      text += c;
    }
    return std::nullopt;
  }

 private:
  std::string_view advance(std::size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::string_view rest_;
};

// --- Selectors ---------------------------------------------------------------------------------

enum class Op { Equal, NotEqual, Match, NoMatch };

struct Matcher {
  std::string label;
  Op op = Op::Equal;
  std::string value;
  std::unique_ptr<RE2> pattern;

  bool accepts(const std::string& text) const {
    switch (op) {
      case Op::Equal:
        return text == value;
      case Op::NotEqual:
        return text != value;
      case Op::Match:
        return RE2::FullMatch(text, *pattern);
      case Op::NoMatch:
        return !RE2::FullMatch(text, *pattern);
    }
    return false;
  }
};

struct Selector {
  std::string name;
  std::vector<Matcher> matchers;
};

char unescape_query(char c) {
  constexpr std::string_view kNames = "abfnrtv\\'\"";
  constexpr std::string_view kBytes = "\a\b\f\n\r\t\v\\'\"";
  const auto found = kNames.find(c);
  return found == std::string_view::npos ? '\0' : kBytes[found];
}

std::optional<Op> take_op(Scanner& scanner) {
  if (scanner.take("=~")) return Op::Match;
  if (scanner.take("!~")) return Op::NoMatch;
  if (scanner.take("!=")) return Op::NotEqual;
  if (scanner.take("=")) return Op::Equal;
  return std::nullopt;
}

std::optional<Matcher> take_matcher(Scanner& scanner) {
  Matcher matcher;
  matcher.label = scanner.take_name(false);
  scanner.skip_blanks();
  const auto op = take_op(scanner);
  scanner.skip_blanks();
  const bool quoted = scanner.front() == '"' || scanner.front() == '\'' || scanner.front() == '`';
  auto value = quoted ? scanner.take_quoted(unescape_query) : std::nullopt;
  if (matcher.label.empty() || !op || !value) return std::nullopt;

  matcher.op = *op;
  matcher.value = *std::move(value);
  if (matcher.op == Op::Equal || matcher.op == Op::NotEqual) return matcher;
  RE2::Options options(RE2::Quiet);
  options.set_dot_nl(true);
  matcher.pattern = std::make_unique<RE2>(matcher.value, options);
  if (!matcher.pattern->ok()) return std::nullopt;
  return matcher;
}

// Behind the opening brace, up to and with the closing one.
bool take_matchers(Scanner& scanner, std::vector<Matcher>& matchers) {
  for (;;) {
    scanner.skip_blanks();
    if (scanner.take("}")) return true;
    auto matcher = take_matcher(scanner);
    if (!matcher) return false;
    matchers.push_back(*std::move(matcher));
    scanner.skip_blanks();
    if (!scanner.take(",") && scanner.front() != '}') return false;
  }
}

// {__name__="name"} means the same as the name in front of the braces, which excludes it.
bool take_inner_name(Selector& selector) {
  const auto is_name = [](const Matcher& matcher) { return matcher.label == kName; };
  const auto found = std::ranges::find_if(selector.matchers, is_name);
  if (found == selector.matchers.end()) return !selector.name.empty();
  if (!selector.name.empty() || found->op != Op::Equal) return false;
  selector.name = found->value;
  selector.matchers.erase(found);
  return !selector.name.empty() && std::ranges::none_of(selector.matchers, is_name);
}

std::optional<Selector> parse_selector(std::string_view text) {
  Scanner scanner(text);
  Selector selector;
  scanner.skip_blanks();
  selector.name = scanner.take_name(true);
  scanner.skip_blanks();
  if (scanner.take("{") && !take_matchers(scanner, selector.matchers)) return std::nullopt;
  scanner.skip_blanks();
  if (!scanner.done() || !take_inner_name(selector)) return std::nullopt;
  return selector;
}

// --- The text format ---------------------------------------------------------------------------

struct Sample {
  std::string name;
  std::map<std::string, std::string, std::less<>> labels;
  double value = 0;
};

struct Exposition {
  std::vector<Sample> samples;
  std::map<std::string, std::string, std::less<>> types;  // by family
};

char unescape_label(char c) {
  if (c == 'n') return '\n';
  return c == '\\' || c == '"' ? c : '\0';
}

// Go's number syntax, which Prometheus uses: also NaN, +Inf and hexadecimal.
std::optional<double> parse_value(std::string_view text) {
  const std::string copy(text);
  if (copy.empty() || copy.starts_with("nan(")) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  if (end != copy.c_str() + copy.size()) return std::nullopt;
  return value;
}

bool is_timestamp(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool take_labels(Scanner& scanner, Sample& sample) {
  for (;;) {
    scanner.skip_blanks();
    if (scanner.take("}")) return true;
    std::string label = scanner.take_name(false);
    scanner.skip_blanks();
    if (label.empty() || !scanner.take("=")) return false;
    scanner.skip_blanks();
    auto value = scanner.front() == '"' ? scanner.take_quoted(unescape_label) : std::nullopt;
    if (!value || !sample.labels.emplace(std::move(label), *std::move(value)).second) return false;
    scanner.skip_blanks();
    if (!scanner.take(",") && scanner.front() != '}') return false;
  }
}

std::optional<Sample> parse_sample(std::string_view line) {
  Scanner scanner(line);
  Sample sample;
  sample.name = scanner.take_name(true);
  scanner.skip_blanks();
  if (sample.name.empty()) return std::nullopt;
  if (scanner.take("{") && !take_labels(scanner, sample)) return std::nullopt;
  scanner.skip_blanks();
  const auto value = parse_value(scanner.take_word());
  scanner.skip_blanks();
  const std::string_view timestamp = scanner.take_word();
  if (!value || !scanner.done() || (!timestamp.empty() && !is_timestamp(timestamp)))
    return std::nullopt;
  sample.value = *value;
  return sample;
}

// "# TYPE name counter". Every other comment is skipped.
void note_type(std::string_view line, Exposition& exposition) {
  Scanner scanner(line.substr(1));
  scanner.skip_blanks();
  if (scanner.take_word() != "TYPE") return;
  scanner.skip_blanks();
  std::string name(scanner.take_word());
  scanner.skip_blanks();
  std::string type(scanner.take_word());
  std::ranges::transform(type, type.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  exposition.types.emplace(std::move(name), std::move(type));
}

std::string_view trimmed(std::string_view line) {
  const auto begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
}

std::optional<Exposition> parse_exposition(std::string_view text) {
  Exposition exposition;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    if (line.front() == '#') {
      note_type(line, exposition);
      continue;
    }
    auto sample = parse_sample(line);
    if (!sample) return std::nullopt;
    exposition.samples.push_back(*std::move(sample));
  }
  return exposition;
}

// The names of the series that histograms and summaries are made of.
bool belongs_to_distribution(const Exposition& exposition, std::string_view name) {
  const auto has_type = [&](std::string_view family, std::string_view type) {
    const auto found = exposition.types.find(family);
    return found != exposition.types.end() && found->second == type;
  };
  if (has_type(name, "histogram") || has_type(name, "summary")) return true;
  for (const std::string_view suffix : {"_sum", "_count", "_bucket"}) {
    if (!name.ends_with(suffix)) continue;
    const std::string_view family = name.substr(0, name.size() - suffix.size());
    if (has_type(family, "histogram")) return true;
    if (suffix != "_bucket" && has_type(family, "summary")) return true;
  }
  return false;
}

bool is_selected(const Sample& sample, const Selector& selector) {
  return sample.name == selector.name &&
         std::ranges::all_of(selector.matchers, [&](const Matcher& matcher) {
           const auto label = sample.labels.find(matcher.label);
           return matcher.accepts(label == sample.labels.end() ? std::string() : label->second);
         });
}

}  // namespace

Result<double> prometheus_number(std::string_view text, std::string_view selector) {
  const auto parsed = parse_selector(selector);
  if (!parsed)
    return fail(Code::InvalidArgument,
                fmt::format("{} is not a selector such as name{{label=\"value\"}}", selector));
  const auto exposition = parse_exposition(text);
  if (!exposition) return fail(Code::Unavailable, "the answer is not in Prometheus' text format");
  const auto found = std::ranges::find_if(
      exposition->samples, [&](const Sample& sample) { return is_selected(sample, *parsed); });
  if (found == exposition->samples.end() || belongs_to_distribution(*exposition, parsed->name))
    return fail(Code::NotFound, fmt::format("no sample matches {}", selector));
  return found->value;
}

}  // namespace jobmill::scalers
