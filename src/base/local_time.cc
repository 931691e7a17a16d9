// SPDX-License-Identifier: Apache-2.0
#include "base/local_time.h"

#include <fmt/core.h>

#include "base/duration.h"

namespace jobmill {

std::string format_offset(std::chrono::seconds offset) {
  const auto minutes = std::chrono::abs(std::chrono::duration_cast<std::chrono::minutes>(offset));
  return fmt::format("{}{:02}:{:02}", offset.count() < 0 ? '-' : '+', minutes.count() / 60,
                     minutes.count() % 60);
}

std::string format_local(const TimeZone& zone, TimePoint at) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
  const std::chrono::seconds offset = zone.period(seconds).offset;
  std::string text = format_instant(seconds + offset);
  text.pop_back();  // the Z
  text[text.find('T')] = ' ';
  return fmt::format("{} {}", text, format_offset(offset));
}

}  // namespace jobmill
