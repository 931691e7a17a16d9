// SPDX-License-Identifier: Apache-2.0
#include "jobs/log_line.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace jobmill::jobs {
namespace {

constexpr std::array<std::string_view, 3> kLevels{"INFO", "WARN", "ERROR"};

bool same(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, {}, [](unsigned char c) { return std::toupper(c); },
      [](unsigned char c) { return std::toupper(c); });
}

}  // namespace

std::string_view to_string(LineLevel level) { return kLevels[static_cast<std::size_t>(level)]; }

std::optional<LineLevel> line_level(std::string_view text) {
  for (std::size_t i = 0; i < kLevels.size(); ++i)
    if (same(kLevels[i], text)) return static_cast<LineLevel>(i);
  return std::nullopt;
}

std::string_view shortened_line(std::string_view text) {
  if (text.size() <= kMaxLineBytes) return text;
  std::size_t end = kMaxLineBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace jobmill::jobs
