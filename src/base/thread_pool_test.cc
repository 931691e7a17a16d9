// SPDX-License-Identifier: Apache-2.0
#include "base/thread_pool.h"

#include <atomic>
#include <latch>
#include <memory>

#include <doctest/doctest.h>

namespace jobmill {
namespace {

TEST_CASE("thread pool: all that was posted has run when the pool is gone") {
  std::atomic<int> done = 0;
  {
    ThreadPool pool(3);
    for (int i = 0; i < 100; ++i) pool.post([&] { ++done; });
    pool.post([&] { pool.post([&] { ++done; }); });
  }
  CHECK(done == 101);
}

TEST_CASE("thread pool: its threads work at the same time") {
  std::latch together(3);
  {
    ThreadPool pool(3);
    for (int i = 0; i < 3; ++i) pool.post([&] { together.arrive_and_wait(); });
  }
  CHECK(together.try_wait());
}

TEST_CASE("thread pool: work may post when it is destroyed") {
  struct PostsAtTheEnd {
    ThreadPool& pool;
    std::atomic<bool>& done;
    ~PostsAtTheEnd() {
      pool.post([&d = done] { d = true; });
    }
  };
  std::atomic<bool> done = false;
  {
    ThreadPool pool(1);
    pool.post([last = std::make_shared<PostsAtTheEnd>(pool, done)] { CHECK(last != nullptr); });
  }
  CHECK(done);
}

}  // namespace
}  // namespace jobmill
