// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <stop_token>
#include <thread>

namespace jobmill::app {

// Turns SIGTERM and SIGINT into a stop token, and SIGHUP into a call. A second SIGTERM or SIGINT
// ends the process at once: whoever presses Ctrl-C twice means it.
class Signals {
 public:
  // Blocks these signals for this thread and those that it starts. First thing in main().
  // Also ignores SIGPIPE and SIGXFSZ: a broken connection or a file that may not grow is an error
  // of write(2), not our end.
  static void block();

  explicit Signals(std::function<void()> on_hangup = {});
  ~Signals();
  std::stop_token token() const { return stop_.get_token(); }

 private:
  void run(const std::stop_token& done);

  std::function<void()> on_hangup_;
  std::stop_source stop_;
  std::jthread thread_;
};

}  // namespace jobmill::app
