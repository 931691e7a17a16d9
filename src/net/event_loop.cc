// SPDX-License-Identifier: Apache-2.0
#include "net/event_loop.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace asio = boost::asio;

namespace jobmill::net {
namespace {

// The clock behind timers counts nanoseconds in 64 bits: a due time three hundred years away would
// be in its past, and the timer fire at once, again and again.
constexpr Duration kLongest = std::chrono::years(100);

}  // namespace

struct EventLoop::Impl {
  struct Timer {
    asio::steady_timer clock;
    std::function<void()> work;
  };
  using Timers = std::unordered_map<TimerId, std::unique_ptr<Timer>>;

  std::atomic<std::thread::id> thread{};

  std::mutex mutex;  // guards these four
  std::vector<std::function<void()>> posted;
  Timers timers;
  TimerId last_timer = 0;
  bool closed = false;

  // The last member, so the first to go: the handlers it drops may still call post().
  asio::io_context context{1};  // one thread runs it

  void run_posted();
  void run_timer(TimerId id);
  std::unique_ptr<Timer> extract(TimerId id);
};

// A queue of our own, so that the order of posts holds across threads (Asio keeps the loop
// thread's own posts apart) and a burst of posts wakes the loop once.
void EventLoop::Impl::run_posted() {
  std::vector<std::function<void()>> batch;
  {
    const std::lock_guard lock(mutex);
    batch.swap(posted);
  }
  for (auto& work : batch) work();
}

std::unique_ptr<EventLoop::Impl::Timer> EventLoop::Impl::extract(TimerId id) {
  const std::lock_guard lock(mutex);
  auto node = timers.extract(id);
  return node ? std::move(node.mapped()) : nullptr;
}

void EventLoop::Impl::run_timer(TimerId id) {
  if (const auto timer = extract(id)) timer->work();
}

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {}

// What still waits is dropped. Its destructors may post again (a request that nobody answered
// does), which `closed` turns into nothing.
EventLoop::~EventLoop() {
  std::vector<std::function<void()>> posted;
  Impl::Timers timers;
  const std::lock_guard lock(impl_->mutex);
  impl_->closed = true;
  posted.swap(impl_->posted);
  timers.swap(impl_->timers);
}

void EventLoop::run(std::stop_token stop) {
  impl_->thread = std::this_thread::get_id();
  impl_->context.restart();
  {
    const auto stay = asio::make_work_guard(impl_->context);
    const std::stop_callback leave(stop, [this] { post([this] { impl_->context.stop(); }); });
    impl_->context.run();
  }
  impl_->thread = std::thread::id();
}

void EventLoop::post(std::function<void()> work) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->closed) return;
    impl_->posted.push_back(std::move(work));
    if (impl_->posted.size() > 1) return;  // the one before it woke the loop
  }
  asio::post(impl_->context, [impl = impl_.get()] { impl->run_posted(); });
}

EventLoop::TimerId EventLoop::run_after(Duration delay, std::function<void()> work) {
  const std::lock_guard lock(impl_->mutex);
  const TimerId id = ++impl_->last_timer;
  if (impl_->closed) return id;
  auto timer = std::make_unique<Impl::Timer>(
      Impl::Timer{asio::steady_timer(impl_->context, std::min(delay, kLongest)), std::move(work)});
  timer->clock.async_wait([impl = impl_.get(), id](const boost::system::error_code& error) {
    if (!error) impl->run_timer(id);
  });
  impl_->timers.emplace(id, std::move(timer));
  return id;
}

void EventLoop::cancel(TimerId timer) {
  (void)impl_->extract(timer);  // its destructor cancels the wait, outside the lock
}

bool EventLoop::on_loop_thread() const { return impl_->thread == std::this_thread::get_id(); }

void* EventLoop::native() { return &impl_->context; }

}  // namespace jobmill::net
