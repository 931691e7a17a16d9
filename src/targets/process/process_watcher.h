// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/fd.h"
#include "targets/process/log_file.h"
#include "targets/process/output_sink.h"
#include "targets/process/process.h"

namespace jobmill::targets {

// One thread that sleeps in the kernel until a process writes, or ends. Output goes to its sink on
// this thread; what the owner of the processes must know is posted to the owner.
class ProcessWatcher {
 public:
  using Post = std::function<void(std::function<void()>)>;     // to the owner's thread
  using Ended = std::function<void(std::string last_errors)>;  // what it wrote to stderr last
  using WaitId = std::uint64_t;

  explicit ProcessWatcher(Post post);
  ~ProcessWatcher();  // posts nothing more
  ProcessWatcher(const ProcessWatcher&) = delete;
  ProcessWatcher& operator=(const ProcessWatcher&) = delete;

  // Takes the output of a process; without a sink it is dropped. Posts `ended` once, when all that
  // it wrote before its end has been read and the sink is gone. The process is then still to be
  // reaped.
  Status watch(Process& process, std::unique_ptr<OutputSink> sink, Ended ended);

  // Posts `ready` once, when the descriptor has one of `events`. It must stay open until then, or
  // until forget(); after forget() `ready` may still be on its way.
  WaitId when_ready(int fd, std::uint32_t events, std::function<void()> ready);
  void forget(WaitId wait);

 private:
  struct Watched {
    Fd pidfd;
    Fd out;
    Fd err;
    std::unique_ptr<OutputSink> sink;
    Tail errors;
    Ended ended;
  };
  struct Wait {
    int fd = -1;
    std::function<void()> ready;
  };

  void run(std::stop_token stop);
  void handle(std::uint64_t tag);
  bool read_some(Watched& watched, Fd& from);
  void drain(Watched& watched, Fd& from);
  bool add(int fd, std::uint32_t events, std::uint64_t tag);

  const Post post_;
  Fd epoll_;
  Fd wake_;

  std::mutex mutex_;  // guards the three below; a Watched is used by the thread alone once it is in
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, std::unique_ptr<Watched>> watched_;
  std::map<std::uint64_t, Wait> waits_;

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace jobmill::targets
