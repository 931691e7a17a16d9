// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "targets/process/output_sink.h"

namespace jobmill::targets {

// The last bytes of a stream, for post-mortems.
class Tail {
 public:
  explicit Tail(std::size_t bytes = 64u << 10) : bytes_(bytes) {}
  void append(std::string_view text);
  std::string text() const;  // at most that many bytes, the newest

 private:
  std::size_t bytes_;
  std::string text_;
};

// A file that grows to a size and is then put aside: PATH is the newest, PATH.1 the one before, up
// to PATH.<keep>; older ones are deleted. One writer.
class LogFile final : public OutputSink {
 public:
  struct Limits {
    std::size_t bytes = 10u << 20;  // as the kubelet's
    int keep = 4;
  };

  static Result<LogFile> open(std::string path, Limits limits);  // goes on where it ended

  // A text is never split over two files. After an error (the disk is full) the next write tries
  // again; what was lost stays lost.
  Status write(std::string_view text);

  // Both streams as they come. A log that cannot be written (a full disk) must not stop the process
  // that writes it.
  void write(OutputStream, std::string_view text) override { (void)write(text); }

 private:
  LogFile(std::string path, Limits limits) : path_(std::move(path)), limits_(limits) {}
  Status reopen();
  Status rotate();

  std::string path_;
  Limits limits_;
  Fd fd_;
  std::size_t size_ = 0;
};

}  // namespace jobmill::targets
