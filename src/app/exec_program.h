// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/exec_lines.h"
#include "base/fd.h"
#include "base/result.h"
#include "targets/process/log_file.h"
#include "targets/process/process.h"
#include "targets/process/replica_set.h"

namespace jobmill::app {

// A child process whose owner waits for it: writes to its stdin, reads whole lines of its stdout,
// stderr and descriptor 3, and may be woken. It ends with the thread that started it. All but
// wake() belongs to that thread. SIGPIPE must be ignored: a program may close its stdin.
class ExecProgram {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  // Called by wait() and finish().
  struct Listener {
    LineCutter::Take out;
    LineCutter::Take err;
    LineCutter::Take channel{};    // none: there is no descriptor 3
    bool out_is_messages = false;  // its lines may be as long as those of descriptor 3
  };

  static Result<std::unique_ptr<ExecProgram>> start(const std::vector<std::string>& command,
                                                    const targets::Texts& environment,
                                                    Listener listener);

  void write(std::string_view text);  // is sent by wait()
  void close_input();                 // when all of that is sent

  // Until something was read, or it ended, or was woken, or the time has come.
  void wait(std::optional<Instant> until);
  void wake() const;

  bool ended() const { return ended_; }  // seen by wait()
  void signal(int number) const { process_.signal(number); }

  // Waits for its end, reads the rest and reaps it; `detail` is what it wrote to stderr last. Once.
  targets::ProcessExit finish();

 private:
  struct Stream {
    Stream(Fd from, LineCutter::Take take, std::size_t longest)
        : fd(std::move(from)), cutter(longest), use(std::move(take)) {}
    Fd fd;
    LineCutter cutter;
    LineCutter::Take use;
    targets::Tail* tail = nullptr;
  };

  ExecProgram(targets::Process process, Fd wake, Listener listener);
  void send();
  bool read_some(Stream& stream);

  targets::Process process_;
  const Fd wake_;
  Fd in_;
  std::string pending_;  // input that is not sent yet
  bool closing_ = false;
  bool ended_ = false;
  targets::Tail errors_;
  std::vector<Stream> streams_;
};

}  // namespace jobmill::app
