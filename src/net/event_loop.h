// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>

#include "base/clock.h"

namespace jobmill::net {

// One thread's queue of work: sockets, timers and posted functions. Whoever calls run() is the
// loop thread; everything given to the loop is called there. post, run_after and cancel may be
// called from any thread. Asio lives behind this and nowhere else.
class EventLoop {
 public:
  using TimerId = std::uint64_t;  // never 0

  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Until the token fires. What was posted before that still runs.
  void run(std::stop_token stop);

  // In the order posted, and never from within post().
  void post(std::function<void()> work);
  TimerId run_after(Duration delay, std::function<void()> work);  // by the steady clock
  void cancel(TimerId timer);                                     // unknown or fired: nothing

  bool on_loop_thread() const;

  // For the adapters in net/*.cc only: the boost::asio::io_context.
  void* native();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace jobmill::net
