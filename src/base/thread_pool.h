// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace jobmill {

// A fixed number of threads that run what is posted, in the order of posting. For work that
// blocks; whoever owns state runs on a thread of his own instead.
class ThreadPool {
 public:
  explicit ThreadPool(std::size_t threads);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();  // runs all that was posted, then returns

  // From any thread, also from posted work. The work must not throw.
  void post(std::function<void()> work);

 private:
  void run();

  std::mutex mutex_;  // guards work_ and stopping_
  std::condition_variable wake_;
  std::deque<std::function<void()>> work_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;  // last: they use all of the above
};

}  // namespace jobmill
