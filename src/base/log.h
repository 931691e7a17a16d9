// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "base/clock.h"

namespace jobmill {

enum class LogLevel { Debug, Info, Warn, Error, Off };
enum class LogFormat { Text, Json };

std::optional<LogLevel> log_level(
    std::string_view text);  // "debug", "info", "warn", "error", "off"
std::optional<LogFormat> log_format(std::string_view text);  // "text", "json"

// One named fact of a log line. It borrows texts: use it in the call only.
struct LogField {
  using Value = std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool>;

  LogField(std::string_view n, std::convertible_to<std::string_view> auto const& text)
      : name(n), value(std::string_view(text)) {}
  LogField(std::string_view n, bool flag) : name(n), value(flag) {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) LogField(std::string_view n, T number)
      : name(n),
        value(std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>(number)) {}
  template <std::floating_point T>
  LogField(std::string_view n, T number) : name(n), value(static_cast<double>(number)) {}

  std::string_view name;
  Value value;
};

// Lines for operators, given by reference to whoever has something to say:
//
//   log.info("replicas wanted", {{"target", name}, {"from", 0}, {"to", 5}});
//
//   2025-01-01T00:00:00.123Z INFO replicas wanted target=worker from=0 to=5
//   {"time":"2025-01-01T00:00:00.123Z","level":"info","msg":"replicas wanted","target":"worker",…}
//
// Each line is one write, so lines of many threads and processes do not mix. Safe from any thread.
// The clock must outlive the log; the file descriptor stays the caller's.
class Log {
 public:
  struct Options {
    LogLevel level = LogLevel::Info;
    LogFormat format = LogFormat::Text;
    int fd = 2;  // stderr
  };
  using Fields = std::initializer_list<LogField>;

  Log(const Clock& clock, Options options) : clock_(clock), options_(options) {}

  bool enabled(LogLevel level) const { return level >= options_.level; }
  void write(LogLevel level, std::string_view message, Fields fields = {});

  void debug(std::string_view message, Fields fields = {}) {
    write(LogLevel::Debug, message, fields);
  }
  void info(std::string_view message, Fields fields = {}) {
    write(LogLevel::Info, message, fields);
  }
  void warn(std::string_view message, Fields fields = {}) {
    write(LogLevel::Warn, message, fields);
  }
  void error(std::string_view message, Fields fields = {}) {
    write(LogLevel::Error, message, fields);
  }

 private:
  const Clock& clock_;
  const Options options_;
  std::mutex mutex_;  // one line at a time, also when the kernel takes it in pieces
};

}  // namespace jobmill
