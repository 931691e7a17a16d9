// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>

#include <fmt/core.h>
#include <unistd.h>

#include "base/document.h"
#include "base/duration.h"

namespace jobmill {
namespace {

struct LevelName {
  std::string_view name;
  std::string_view upper;  // padded, so that messages stand in one column
};
constexpr std::array kLevels{LevelName{"debug", "DEBUG"}, LevelName{"info", "INFO "},
                             LevelName{"warn", "WARN "}, LevelName{"error", "ERROR"},
                             LevelName{"off", "OFF  "}};

const LevelName& name_of(LogLevel level) { return kLevels[static_cast<std::size_t>(level)]; }

bool control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// A value needs quotes where it could be taken for two, or for the end of the line.
bool bare(std::string_view text) {
  return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) {
    return control(c) || c == ' ' || c == '=' || c == '"';
  });
}

std::string text_form(std::string_view value) {
  return bare(value) ? std::string(value) : json_quote(value);
}

template <class Number>
std::string number_form(Number value) {
  return fmt::format("{}", value);
}

struct TextValue {
  std::string operator()(std::string_view value) const { return text_form(value); }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(auto value) const { return number_form(value); }
};

struct JsonValue {
  std::string operator()(std::string_view value) const { return json_quote(value); }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(double value) const {
    return std::isfinite(value) ? number_form(value) : "null";
  }
  std::string operator()(auto value) const { return number_form(value); }
};

std::string text_line(std::string_view time, LogLevel level, std::string_view message,
                      Log::Fields fields) {
  const bool one_line = std::none_of(message.begin(), message.end(), control);
  std::string line = fmt::format("{} {} {}", time, name_of(level).upper,
                                 one_line ? std::string(message) : json_quote(message));
  for (const LogField& field : fields)
    line += fmt::format(" {}={}", field.name, std::visit(TextValue{}, field.value));
  return line += '\n';
}

std::string json_line(std::string_view time, LogLevel level, std::string_view message,
                      Log::Fields fields) {
  std::string line = fmt::format(R"({{"time":"{}","level":"{}","msg":{})", time,
                                 name_of(level).name, json_quote(message));
  for (const LogField& field : fields)
    line += fmt::format(",{}:{}", json_quote(field.name), std::visit(JsonValue{}, field.value));
  return line += "}\n";
}

// A log that cannot be written has nowhere to say so; the program goes on.
void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written >= 0)
      text.remove_prefix(static_cast<std::size_t>(written));
    else if (errno != EINTR)
      return;
  }
}

}  // namespace

std::optional<LogLevel> log_level(std::string_view text) {
  for (std::size_t i = 0; i < kLevels.size(); ++i)
    if (kLevels[i].name == text) return static_cast<LogLevel>(i);
  return std::nullopt;
}

std::optional<LogFormat> log_format(std::string_view text) {
  if (text == "text") return LogFormat::Text;
  if (text == "json") return LogFormat::Json;
  return std::nullopt;
}

void Log::write(LogLevel level, std::string_view message, Fields fields) {
  if (!enabled(level)) return;
  const auto now = std::chrono::floor<std::chrono::milliseconds>(clock_.now());
  const std::string time = format_instant(now);
  const std::string line = options_.format == LogFormat::Json
                               ? json_line(time, level, message, fields)
                               : text_line(time, level, message, fields);
  const std::lock_guard lock(mutex_);
  write_all(options_.fd, line);
}

}  // namespace jobmill
