// SPDX-License-Identifier: Apache-2.0
#include "net/event_loop.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <stop_token>
#include <thread>
#include <vector>

using namespace jobmill;
using namespace jobmill::net;
using namespace std::chrono_literals;

TEST_CASE("event loop: what was posted before the stop runs, in order") {
  EventLoop loop;
  std::vector<int> seen;
  std::stop_source stop;
  for (int i = 0; i < 100; ++i) loop.post([&seen, i] { seen.push_back(i); });
  stop.request_stop();
  loop.run(stop.get_token());

  REQUIRE(seen.size() == 100);
  for (int i = 0; i < 100; ++i) CHECK(seen[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("event loop: posts of many threads all run, each thread's in its order") {
  EventLoop loop;
  std::stop_source stop;
  std::vector<std::vector<int>> seen(4);
  std::vector<std::jthread> threads;
  std::jthread runner([&] { loop.run(stop.get_token()); });
  for (std::size_t t = 0; t < seen.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 1000; ++i) loop.post([&seen, t, i] { seen[t].push_back(i); });
    });
  }
  threads.clear();  // joins
  stop.request_stop();
  runner.join();

  for (const auto& numbers : seen) {
    REQUIRE(numbers.size() == 1000);
    CHECK(std::is_sorted(numbers.begin(), numbers.end()));
  }
}

TEST_CASE("event loop: work posted by work runs, and on the loop thread") {
  EventLoop loop;
  std::stop_source stop;
  bool inside = false;
  CHECK_FALSE(loop.on_loop_thread());
  loop.post([&] {
    loop.post([&] {
      inside = loop.on_loop_thread();
      stop.request_stop();
    });
  });
  loop.run(stop.get_token());
  CHECK(inside);
  CHECK_FALSE(loop.on_loop_thread());
}

TEST_CASE("event loop: timers fire in the order of their times") {
  for (bool held_up = true; held_up;) {
    EventLoop loop;
    std::stop_source stop;
    std::vector<int> seen;
    const auto begun = std::chrono::steady_clock::now();
    loop.run_after(30ms, [&] {
      seen.push_back(3);
      stop.request_stop();
    });
    loop.run_after(10ms, [&] { seen.push_back(2); });
    loop.run_after(0ms, [&] { seen.push_back(1); });
    // Then their times are in another order than what they were given.
    held_up = std::chrono::steady_clock::now() - begun >= 10ms;
    if (held_up) continue;
    loop.run(stop.get_token());
    CHECK(seen == std::vector{1, 2, 3});
  }
}

TEST_CASE("event loop: a cancelled timer never fires, an unknown one is nothing") {
  EventLoop loop;
  std::stop_source stop;
  bool fired = false;
  const auto timer = loop.run_after(1ms, [&] { fired = true; });
  loop.run_after(20ms, [&] { stop.request_stop(); });
  std::thread([&] { loop.cancel(timer); }).join();
  loop.cancel(timer);
  loop.cancel(4711);
  loop.run(stop.get_token());
  CHECK_FALSE(fired);
}

TEST_CASE("event loop: a timer for the end of time does not fire now") {
  EventLoop loop;
  std::stop_source stop;
  bool fired = false;
  for (const Duration delay : {Duration::max(), Duration(std::chrono::years(29'000))})
    loop.run_after(delay, [&] { fired = true; });
  loop.run_after(10ms, [&] { stop.request_stop(); });
  loop.run(stop.get_token());
  CHECK_FALSE(fired);
}

TEST_CASE("event loop: can run again after a stop") {
  EventLoop loop;
  int runs = 0;
  for (int i = 0; i < 2; ++i) {
    std::stop_source stop;
    loop.post([&] {
      ++runs;
      stop.request_stop();
    });
    loop.run(stop.get_token());
  }
  CHECK(runs == 2);
}

TEST_CASE("event loop: dropped work may still post while the loop goes away") {
  struct PostsWhenDropped {
    EventLoop& loop;
    ~PostsWhenDropped() {
      loop.post([] {});
      loop.run_after(1ms, [] {});
    }
  };
  EventLoop loop;
  const auto dropped = [&loop] { return std::make_shared<PostsWhenDropped>(loop); };
  loop.post([kept = dropped()] { (void)kept; });
  loop.run_after(1h, [kept = dropped()] { (void)kept; });
}
