// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "jobs/log_line.h"

namespace jobmill::worker {

// Lines of one run that wait to be sent. No more wait than the server would keep: beyond that the
// oldest are dropped, and a line in their place says how many.
class RunLog {
 public:
  struct Limits {
    std::size_t lines = jobs::kMaxLogLines;
    std::size_t bytes = jobs::kMaxLogBytes;
  };

  explicit RunLog(Limits limits) : limits_(limits) {}
  RunLog() : RunLog(Limits{}) {}

  // Each line of the text is a line of its own; one that is too long is cut.
  void add(jobs::LineLevel level, TimePoint at, std::string_view text);

  // The oldest, as many as `bytes` hold, but at least one where there is one.
  std::vector<jobs::LogLine> take(std::size_t bytes);

  // Lines that were taken and could not be sent stand first again.
  void put_back(std::vector<jobs::LogLine> lines);

  bool empty() const { return lines_.empty() && dropped_ == 0; }

 private:
  void push(jobs::LogLine line);
  void trim();

  Limits limits_;
  std::deque<jobs::LogLine> lines_;
  std::size_t bytes_ = 0;
  std::int64_t dropped_ = 0;  // before the first line
  TimePoint last_dropped_{};
};

}  // namespace jobmill::worker
