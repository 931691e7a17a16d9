// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace jobmill::targets {

struct LogLimits {
  std::size_t head = 8u << 20;  // kept for good
  std::size_t part = 4u << 20;  // of the tail; its newest two are kept
};

// No line that is written is longer.
inline constexpr std::size_t kLogLineBytes = (64u << 10) + 128;

// One file of a log: what stands in it from `start` of all that was ever written.
struct LogSegment {
  std::string path;
  std::uint64_t start = 0;
  std::uint64_t size = 0;
  std::uint64_t end() const { return start + size; }
};

// A log of which the beginning and the end are kept. PATH is its head; where that is full,
// PATH.<start> follows, one after the other, and all but the newest two of those are deleted. A
// file begins with a line and ends with one, so any of them can be read by itself, and a name
// stands for the same bytes for ever, so a reader needs no lock. One writer.
class LogSegments {
 public:
  static Result<LogSegments> open(std::string path, LogLimits limits);  // goes on where it ended

  // Whole lines. After an error (the disk is full) the next write tries again; what was lost stays
  // lost.
  Status write(std::string_view lines);

 private:
  LogSegments(std::string path, LogLimits limits) : path_(std::move(path)), limits_(limits) {}
  Status use(std::uint64_t start);
  Status next();
  Status append(std::string_view lines);
  std::size_t room() const;

  std::string path_;
  LogLimits limits_;
  std::vector<std::uint64_t> parts_;  // starts of those of the tail that are there
  std::uint64_t start_ = 0;
  std::size_t size_ = 0;  // of the newest
  Fd fd_;
};

// What is there of a log, oldest first. NotFound: there is no such log.
Result<std::vector<LogSegment>> log_segments(const std::string& path, const LogLimits& limits = {});

// What cannot be deleted stays; what is not there is no error.
void remove_log(const std::string& path);

}  // namespace jobmill::targets
