// SPDX-License-Identifier: Apache-2.0
#include "worker/run_log.h"

#include <utility>

#include <fmt/format.h>

namespace jobmill::worker {
void RunLog::add(jobs::LineLevel level, TimePoint at, std::string_view text) {
  for (;;) {
    const std::size_t end = text.find('\n');
    push(
        {.level = level, .at = at, .text = std::string(jobs::shortened_line(text.substr(0, end)))});
    if (end == std::string_view::npos || end + 1 == text.size()) break;
    text.remove_prefix(end + 1);
  }
  trim();
}

void RunLog::push(jobs::LogLine line) {
  bytes_ += line.text.size();
  lines_.push_back(std::move(line));
}

void RunLog::trim() {
  while (lines_.size() > limits_.lines || bytes_ > limits_.bytes) {
    bytes_ -= lines_.front().text.size();
    last_dropped_ = lines_.front().at;
    lines_.pop_front();
    ++dropped_;
  }
}

std::vector<jobs::LogLine> RunLog::take(std::size_t bytes) {
  std::vector<jobs::LogLine> taken;
  if (const auto dropped = std::exchange(dropped_, 0); dropped > 0)
    taken.push_back(
        {.level = jobs::LineLevel::Warn,
         .at = last_dropped_,
         .text = fmt::format("{} line{} missing here", dropped, dropped == 1 ? " is" : "s are")});
  std::size_t used = 0;
  while (!lines_.empty() && (taken.empty() || used + lines_.front().text.size() <= bytes)) {
    used += lines_.front().text.size();
    bytes_ -= lines_.front().text.size();
    taken.push_back(std::move(lines_.front()));
    lines_.pop_front();
  }
  return taken;
}

void RunLog::put_back(std::vector<jobs::LogLine> lines) {
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    bytes_ += line->text.size();
    lines_.push_front(std::move(*line));
  }
  trim();
}

}  // namespace jobmill::worker
