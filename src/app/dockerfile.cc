// SPDX-License-Identifier: Apache-2.0
#include "app/dockerfile.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>

#include <fmt/core.h>

#include "base/document.h"
#include "http/message.h"

namespace jobmill::app {
namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::string_view first_word(std::string_view& text) {
  text = trimmed(text);
  const std::string_view word = text.substr(0, text.find_first_of(kBlanks));
  text = trimmed(text.substr(word.size()));
  return word;
}

std::string_view next_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

bool is_name_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// "COPY <<EOF /file": the word that ends the lines which follow.
std::string_view heredoc_end(std::string_view arguments) {
  const auto at = arguments.find("<<");
  if (at == std::string_view::npos) return {};
  arguments.remove_prefix(at + 2);
  if (arguments.starts_with('-')) arguments.remove_prefix(1);
  while (arguments.starts_with('"') || arguments.starts_with('\'')) arguments.remove_prefix(1);
  const auto* end = std::ranges::find_if_not(arguments, is_name_character);
  return arguments.substr(0, static_cast<std::size_t>(end - arguments.begin()));
}

struct Stage {
  std::string name;
  Dockerfile file;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  Result<Dockerfile> parse() {
    while (!rest_.empty()) {
      const int line = line_ + 1;
      const std::string instruction = next_instruction();
      if (instruction.empty()) continue;
      if (const Status read = take(instruction); !read)
        return fail(Code::InvalidArgument, fmt::format("line {}: {}", line, read.error().message));
    }
    if (stages_.empty()) return fail(Code::InvalidArgument, "no FROM");
    return std::move(stages_.back().file);
  }

 private:
  Dockerfile& file() { return stages_.back().file; }

  // One instruction, continued lines joined, without the comments between them.
  std::string next_instruction() {
    std::string whole;
    while (!rest_.empty()) {
      ++line_;
      std::string_view line = trimmed(next_line(rest_));
      if (line.starts_with('#') || line.empty()) {
        if (whole.empty()) return whole;
        continue;
      }
      const bool goes_on = line.ends_with('\\');
      if (goes_on) line.remove_suffix(1);
      whole += (whole.empty() ? "" : " ") + std::string(trimmed(line));
      if (!goes_on) break;
    }
    return whole;
  }

  void skip_heredoc(std::string_view arguments) {
    const std::string_view end = heredoc_end(arguments);
    while (!end.empty() && !rest_.empty()) {
      ++line_;
      if (trimmed(next_line(rest_)) == end) return;
    }
  }

  Status take(std::string_view instruction) {
    std::string_view arguments = instruction;
    const std::string_view word = first_word(arguments);
    const auto is = [&](std::string_view name) { return http::iequals(word, name); };
    if (is("FROM")) return from(arguments), Status();
    if (is("ARG")) return arg(arguments), Status();
    if (stages_.empty()) return fail(Code::InvalidArgument, fmt::format("{} before FROM", word));
    if (is("ENV")) return env(arguments);
    if (is("WORKDIR")) return workdir(substituted(arguments)), Status();
    if (is("CMD")) return command(arguments, file().cmd, nullptr);
    if (is("ENTRYPOINT")) return command(arguments, file().entrypoint, &file().entrypoint_is_shell);
    if (is("RUN")) file().runs.emplace_back(arguments);
    if (is("RUN") || is("COPY")) skip_heredoc(arguments);
    return {};
  }

  // FROM [--platform=…] image [AS name]
  void from(std::string_view arguments) {
    std::string_view image = first_word(arguments);
    while (image.starts_with("--")) image = first_word(arguments);
    const std::string base = substituted(image);
    const auto known = std::ranges::find_if(
        stages_, [&](const Stage& stage) { return http::iequals(stage.name, base); });
    Stage stage;
    if (known != stages_.end()) stage.file = known->file;
    if (http::iequals(first_word(arguments), "AS")) stage.name = first_word(arguments);
    stages_.push_back(std::move(stage));
  }

  void arg(std::string_view arguments) {
    const auto equals = arguments.find('=');
    if (equals == std::string_view::npos) return;
    arguments_[std::string(arguments.substr(0, equals))] =
        unquoted(substituted(arguments.substr(equals + 1)));
  }

  // "A=b C="d e"", or the old form "A value to the end".
  Status env(std::string_view arguments) {
    const auto blank = arguments.find_first_of(kBlanks);
    const auto equals = arguments.find('=');
    if (equals == std::string_view::npos || blank < equals) {
      if (blank == std::string_view::npos)
        return fail(Code::InvalidArgument, "ENV needs a name and a value");
      const std::string name(first_word(arguments));
      set_env(name, substituted(arguments));
      return {};
    }
    while (!arguments.empty()) {
      const std::string_view pair = quoted_word(arguments);
      const auto at = pair.find('=');
      if (at == std::string_view::npos)
        return fail(Code::InvalidArgument, fmt::format("ENV needs NAME=VALUE, not '{}'", pair));
      set_env(std::string(pair.substr(0, at)), unquoted(substituted(pair.substr(at + 1))));
    }
    return {};
  }

  // Up to a blank that is in no quotes.
  static std::string_view quoted_word(std::string_view& text) {
    char quote = '\0';
    std::size_t at = 0;
    for (; at < text.size(); ++at) {
      const char c = text[at];
      if (c == '\\')
        ++at;
      else if (quote != '\0')
        quote = c == quote ? '\0' : quote;
      else if (c == '"' || c == '\'')
        quote = c;
      else if (kBlanks.find(c) != std::string_view::npos)
        break;
    }
    const std::string_view word = text.substr(0, std::min(at, text.size()));
    text = trimmed(text.substr(word.size()));
    return word;
  }

  static std::string unquoted(std::string_view text) {
    std::string plain;
    char quote = '\0';
    for (std::size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      if (c == '\\' && i + 1 < text.size() && quote != '\'')
        plain += text[++i];
      else if (quote == '\0' && (c == '"' || c == '\''))
        quote = c;
      else if (quote != '\0' && c == quote)
        quote = '\0';
      else
        plain += c;
    }
    return plain;
  }

  void set_env(const std::string& name, std::string value) {
    auto& all = file().env;
    const auto known = std::ranges::find(all, name, &std::pair<std::string, std::string>::first);
    if (known == all.end())
      all.emplace_back(name, std::move(value));
    else
      known->second = std::move(value);
  }

  void workdir(const std::string& path) {
    std::string& now = file().workdir;
    now = path.starts_with('/') || now.empty() ? path : now + "/" + path;
    while (now.size() > 1 && now.ends_with('/')) now.pop_back();
  }

  // ["exec", "form"], or a line for the shell.
  static Status command(std::string_view text, std::vector<std::string>& words, bool* is_shell) {
    words.clear();
    if (is_shell != nullptr) *is_shell = false;
    if (const auto list = parse_json(text); list && list->is_array()) {
      for (const Node& word : list->items) {
        if (!word.is_string())
          return fail(Code::InvalidArgument, "expected a list of texts: ['program', 'argument']");
        words.push_back(word.text);
      }
      return {};
    }
    if (text.empty()) return {};
    words = {"/bin/sh", "-c", std::string(text)};
    if (is_shell != nullptr) *is_shell = true;
    return {};
  }

  std::optional<std::string> variable(std::string_view name) const {
    if (!stages_.empty())
      for (const auto& [key, value] : stages_.back().file.env)
        if (key == name) return value;
    const auto found = arguments_.find(name);
    return found == arguments_.end() ? std::nullopt : std::optional(found->second);
  }

  // $NAME, ${NAME} and ${NAME:-otherwise}, but not in '…'; an unknown one is empty.
  std::string substituted(std::string_view text) const {
    std::string result;
    bool literal = false, quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '"' && !literal) quoted = !quoted;
      if (text[i] == '\'' && !quoted) literal = !literal;
      if (literal) {
        result += text[i];
      } else if (text[i] == '\\' && i + 1 < text.size()) {
        result += text[i];
        result += text[++i];
      } else if (text[i] == '$' && i + 1 < text.size() && text[i + 1] == '{') {
        const auto end = std::min(text.find('}', i), text.size());
        result += expanded(text.substr(i + 2, end - i - 2));
        i = end;
      } else if (text[i] == '$' && i + 1 < text.size() && is_name_character(text[i + 1])) {
        std::size_t end = i + 1;
        while (end < text.size() && is_name_character(text[end])) ++end;
        result += expanded(text.substr(i + 1, end - i - 1));
        i = end - 1;
      } else {
        result += text[i];
      }
    }
    return result;
  }

  std::string expanded(std::string_view inside) const {
    const auto otherwise = inside.find(":-");
    const auto value = variable(inside.substr(0, otherwise));
    if (value && !value->empty()) return *value;
    return otherwise == std::string_view::npos ? "" : std::string(inside.substr(otherwise + 2));
  }

  std::string_view rest_;
  int line_ = 0;
  std::vector<Stage> stages_;
  std::map<std::string, std::string, std::less<>> arguments_;
};

}  // namespace

std::vector<std::string> Dockerfile::command() const {
  std::vector<std::string> all = entrypoint;
  if (!entrypoint_is_shell) all.insert(all.end(), cmd.begin(), cmd.end());
  return all;
}

std::string Dockerfile::requirements() const {
  for (const std::string& run : runs) {
    if (run.find("pip") == std::string::npos) continue;
    std::string_view words = run;
    while (!words.empty()) {
      const std::string_view word = first_word(words);
      if (word == "-r" || word == "--requirement") return std::string(first_word(words));
    }
  }
  return "";
}

Result<Dockerfile> parse_dockerfile(std::string_view text) { return Parser(text).parse(); }

}  // namespace jobmill::app
