// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <list>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "http/server.h"
#include "k8s/client.h"

namespace jobmill::testing {

// The thread of a k8s::Client, with a clock that stands still: time passes when a test says so,
// and wakes what is due by then.
class QueueWorld {
 public:
  QueueWorld() : thread_([this] { run(); }) {}
  ~QueueWorld() {
    post([this] { ending_ = true; });
    thread_.join();
  }

  k8s::World world() {
    return {.post = [this](std::function<void()> work) { post(std::move(work)); },
            .run_after = [this](Duration after,
                                std::function<void()> work) { return set_timer(after, work); },
            .clock = clock,
            .background =
                [this](std::function<void()> work) {
                  background_.emplace_back([work = std::move(work)] { work(); });
                }};
  }

  void post(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
    changed_.notify_all();
  }

  // On the thread; returns what it gives.
  template <class Work>
  auto call(Work work) {
    std::packaged_task<decltype(work())()> task(std::move(work));
    auto result = task.get_future();
    post([&task] { task(); });
    return result.get();
  }

  // How long until the next timer is due; waits until there is one.
  Duration next_timer() {
    std::unique_lock lock(mutex_);
    std::optional<Duration> next;
    const bool found = changed_.wait_for(lock, std::chrono::seconds(60), [&] {
      for (const Timer& timer : timers_)
        if (!timer.handle.expired())
          next = std::min(next.value_or(Duration::max()), timer.due - clock.now());
      return next.has_value();
    });
    REQUIRE(found);
    return *next;
  }

  void advance(Duration by) {
    call([&] {
      clock.advance(by);
      for (auto& work : take_due()) work();
      return true;
    });
  }

  ManualClock clock;

 private:
  struct Timer {
    TimePoint due;
    std::weak_ptr<void> handle;
    std::function<void()> work;
  };

  std::shared_ptr<void> set_timer(Duration after, std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    auto handle = std::make_shared<int>();
    timers_.push_back({clock.now() + after, handle, std::move(work)});
    changed_.notify_all();
    return handle;
  }

  std::vector<std::function<void()>> take_due() {
    const std::lock_guard lock(mutex_);
    std::vector<std::function<void()>> due;
    std::erase_if(timers_, [&](Timer& timer) {
      if (timer.due > clock.now()) return timer.handle.expired();
      const auto wanted = timer.handle;
      due.push_back([wanted, work = std::move(timer.work)] {
        if (!wanted.expired()) work();
      });
      return true;
    });
    return due;
  }

  void run() {
    while (!ending_) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return !work_.empty(); });
      const auto work = std::move(work_.front());
      work_.pop_front();
      lock.unlock();
      work();
    }
  }

  std::mutex mutex_;  // guards work_ and timers_
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
  std::list<Timer> timers_;
  bool ending_ = false;                   // of the thread
  std::vector<std::jthread> background_;  // of the thread
  std::thread thread_;                    // last: it uses all of the above
};

// Takes the place of an API server: each request is answered by a function of the test, which is
// called on the server's thread.
class FakeApiServer {
 public:
  using Answer = std::function<void(const http::Request&, const http::Responder&)>;

  explicit FakeApiServer(Answer answer)
      : answer_(std::move(answer)),
        server_(loop_, [this](http::Request request, http::Responder to) {
          {
            const std::lock_guard lock(mutex_);
            seen_.push_back(request.method + " " + request.target);
          }
          answer_(request, to);
        }) {
    auto address = server_.listen(":0");
    REQUIRE(address);
    url_ = "http://" + *address;
    thread_ = std::jthread([this](std::stop_token stop) { loop_.run(std::move(stop)); });
  }
  ~FakeApiServer() {
    thread_.request_stop();
    thread_.join();
  }

  const std::string& url() const { return url_; }
  std::vector<std::string> seen() {  // "GET /api/v1/pods?limit=500"
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  net::EventLoop loop_;
  Answer answer_;
  http::Server server_;
  std::string url_;
  std::mutex mutex_;  // guards seen_
  std::vector<std::string> seen_;
  std::jthread thread_;
};

// Words in order, from another thread.
class Words {
 public:
  void tell(std::string word) {
    const std::lock_guard lock(mutex_);
    words_.push_back(std::move(word));
    more_.notify_all();
  }
  std::string next() {
    std::unique_lock lock(mutex_);
    REQUIRE(more_.wait_for(lock, std::chrono::seconds(60), [&] { return !words_.empty(); }));
    std::string word = std::move(words_.front());
    words_.pop_front();
    return word;
  }

 private:
  std::mutex mutex_;  // guards words_
  std::condition_variable more_;
  std::deque<std::string> words_;
};

// The bodies of streams, as they are opened.
class Bodies {
 public:
  void open(const http::Responder& responder, int status = 200) {
    auto body = responder.stream({.status = status});
    const std::lock_guard lock(mutex_);
    bodies_.push_back(std::move(body));
    more_.notify_all();
  }
  std::shared_ptr<http::Body> next() {
    std::unique_lock lock(mutex_);
    REQUIRE(more_.wait_for(lock, std::chrono::seconds(60), [&] { return !bodies_.empty(); }));
    auto body = std::move(bodies_.front());
    bodies_.pop_front();
    return body;
  }

 private:
  std::mutex mutex_;  // guards bodies_
  std::condition_variable more_;
  std::deque<std::shared_ptr<http::Body>> bodies_;
};

inline http::Response json(std::string body, int status = 200) {
  http::Response response{.status = status, .body = std::move(body)};
  response.headers.add("Content-Type", "application/json");
  return response;
}

}  // namespace jobmill::testing
