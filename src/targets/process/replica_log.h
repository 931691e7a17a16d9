// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "targets/process/log_segments.h"
#include "targets/process/masks.h"
#include "targets/process/output_sink.h"

namespace jobmill::targets {

// What the processes of one replica write, line by line, with time and stream:
//
//   2026-11-22T03:14:15.926Z stdout Received message: hello
//   2026-11-22T03:14:16.001Z stderr:sidecar cannot connect
//
// The name after the colon is the container's; the replica's own one has none. A line of more than
// 64 KiB becomes several, one without an end gets it when its process ends. Secrets are masked,
// also where a read cuts them in two. Of a log above its limits the middle is dropped.
class ReplicaLog {
 public:
  struct Options {
    std::function<TimePoint()> now;  // called by the sinks' thread
    std::vector<Secret> masked = {};
    // New lines can be read. Called by the sinks' thread.
    std::function<void()> on_written = {};
    LogLimits limits = {};
  };

  // Its folder must be there.
  static Result<std::shared_ptr<ReplicaLog>> open(const std::string& path, Options options);

  // For one process; the log lives as long as any of them. All are used by one thread.
  static std::unique_ptr<OutputSink> sink(std::shared_ptr<ReplicaLog> log,
                                          std::string_view container = {});

 private:
  class Sink;
  ReplicaLog(LogSegments file, Options options);
  void write(const std::string& lines);

  LogSegments file_;
  const Options options_;
  const Masks masks_;
};

struct LogRead {
  std::string text;        // whole lines
  std::uint64_t next = 0;  // where to go on
};

// From `offset` (0, or `next` of the read before) on: as many lines as `max_bytes` holds, but at
// least one where there is one. Nothing: that is all so far. Where the middle was dropped, a line
// of the stream "jobmill" says how much is missing. Safe beside the writer. NotFound: no such log.
Result<LogRead> read_log(const std::string& path, std::uint64_t offset, std::size_t max_bytes,
                         const LogLimits& limits = {});

// The last lines, oldest first; `next` is the end.
Result<LogRead> tail_log(const std::string& path, std::size_t lines, const LogLimits& limits = {});

}  // namespace jobmill::targets
