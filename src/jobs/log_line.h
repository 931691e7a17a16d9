// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace jobmill::jobs {

enum class LineLevel { Info, Warn, Error };

std::string_view to_string(LineLevel level);                 // "INFO", "WARN", "ERROR"
std::optional<LineLevel> line_level(std::string_view text);  // any case

// One line of what a handler has to tell.
struct LogLine {
  LineLevel level = LineLevel::Info;
  TimePoint at{};
  std::string text;

  bool operator==(const LogLine&) const = default;
};

// Of one attempt; of more the oldest are dropped.
inline constexpr std::int64_t kMaxLogLines = 10'000;
inline constexpr std::int64_t kMaxLogBytes = 1 << 20;
inline constexpr std::size_t kMaxLineBytes = 64u << 10;  // longer ones are cut

// Not in the middle of a character.
std::string_view shortened_line(std::string_view text);

// What is kept of an attempt's lines: those from `first` to `next`.
struct LogSize {
  std::int64_t first = 0;  // the number of the first one; so many were dropped
  std::int64_t next = 0;   // the number that the next one will have
  std::int64_t bytes = 0;

  void add(std::int64_t line_bytes) { ++next, bytes += line_bytes; }
  void drop(std::int64_t line_bytes) { ++first, bytes -= line_bytes; }
  bool too_large() const { return next - first > kMaxLogLines || bytes > kMaxLogBytes; }
};

}  // namespace jobmill::jobs
