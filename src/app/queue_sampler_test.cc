// SPDX-License-Identifier: Apache-2.0
#include "app/queue_sampler.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <doctest/doctest.h>

#include "store/sqlite/sqlite_file.h"
#include "store/sqlite/sqlite_job_store.h"

namespace jobmill::app {
namespace {

using namespace std::chrono_literals;

// A store in memory with a sampler, whose looks can be waited for.
class Rig {
 public:
  Rig() {
    store_->on_change([this](const jobs::Change&) { sampler_.changed(); });
    thread_ = std::jthread([this](const std::stop_token& stop) { control_.run(stop); });
  }
  ~Rig() {
    store_->on_change({});
    control_.post([this] { sampler_.stop(); });
  }

  void enqueue(int count) {
    jobs::JobSpec spec;
    spec.kind = "mail";
    spec.queue = "default";
    std::vector<jobs::JobSpec> specs(static_cast<std::size_t>(count), spec);
    REQUIRE(store_->insert(specs, clock_.now()));
  }

  bool sees(std::int64_t waiting) {
    std::unique_lock lock(mutex_);
    return seen_.wait_for(lock, 60s, [&] { return waiting_ == waiting; });
  }
  int looks() {
    std::lock_guard lock(mutex_);
    return looks_;
  }

 private:
  void see(const QueueSampler::Seen& seen) {
    std::lock_guard lock(mutex_);
    waiting_ = 0;
    for (const jobs::QueueStats& queue : seen.queues) waiting_ += queue.enqueued;
    ++looks_;
    seen_.notify_all();
  }

  SystemClock clock_;
  std::unique_ptr<sqlite::SqliteFile> file_ = *sqlite::SqliteFile::open(":memory:");
  std::unique_ptr<jobs::JobStoreOwner> store_ = *sqlite::open_job_store(*file_, clock_.now());
  net::EventLoop control_;
  QueueSampler sampler_{*store_, pool_, control_, clock_,
                        [this](const QueueSampler::Seen& seen) { see(seen); }};
  ThreadPool pool_{2};  // gone before the sampler, whose looks it runs
  std::mutex mutex_;    // guards the next two
  std::int64_t waiting_ = -1;
  int looks_ = 0;
  std::condition_variable seen_;
  std::jthread thread_;
};

}  // namespace

TEST_CASE("queue sampler: sees the last change, and looks at many changes once") {
  Rig rig;
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < 50; ++i) rig.enqueue(1);
  CHECK(rig.sees(50));
  const int looks = rig.looks();
  const auto took = std::chrono::steady_clock::now() - begun;
  CHECK(looks <= 2 + took / 1s);  // at most once a second
}

TEST_CASE("queue sampler: a store that does not change is not looked at") {
  Rig rig;
  CHECK(rig.looks() == 0);
}

}  // namespace jobmill::app
