// SPDX-License-Identifier: Apache-2.0
#include "app/exec_lines.h"

#include <utility>

namespace jobmill::app {
namespace {

// The largest length up to `limit` that does not cut a character in two.
std::size_t character_end(std::string_view text, std::size_t limit) {
  std::size_t end = limit;
  while (end > 0 && limit - end < 4 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;
  return end > 0 ? end : limit;
}

}  // namespace

void LineCutter::feed(std::string_view text, const Take& take) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    begun_.append(text.substr(0, end));
    if (end == std::string_view::npos) break;
    put(std::exchange(begun_, {}), take);
    text.remove_prefix(end + 1);
  }
  while (begun_.size() > longest_) {
    const std::size_t end = character_end(begun_, longest_);
    take(std::string_view(begun_).substr(0, end));
    begun_.erase(0, end);
  }
}

void LineCutter::finish(const Take& take) {
  if (!begun_.empty()) put(std::exchange(begun_, {}), take);
}

void LineCutter::put(std::string_view line, const Take& take) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  while (line.size() > longest_) {
    const std::size_t end = character_end(line, longest_);
    take(line.substr(0, end));
    line.remove_prefix(end);
  }
  take(line);
}

}  // namespace jobmill::app
