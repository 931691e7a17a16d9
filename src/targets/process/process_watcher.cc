// SPDX-License-Identifier: Apache-2.0
#include "targets/process/process_watcher.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace jobmill::targets {
namespace {

// What an epoll event is about: the id, and in the two lowest bits which descriptor of it.
enum Slot : std::uint64_t { kEnd = 0, kOut = 1, kErr = 2, kWait = 3 };
constexpr std::uint64_t kWake = ~std::uint64_t{0};

std::uint64_t tag_of(std::uint64_t id, Slot slot) { return id << 2 | slot; }

constexpr int kReadsAtEnd = 64;  // more than a pipe holds: descendants that still write get no say

}  // namespace

ProcessWatcher::ProcessWatcher(Post post)
    : post_(std::move(post)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  add(wake_.get(), EPOLLIN, kWake);
  thread_ = std::jthread([this](std::stop_token stop) { run(stop); });
}

ProcessWatcher::~ProcessWatcher() {
  thread_.request_stop();
  ::eventfd_write(wake_.get(), 1);
}

bool ProcessWatcher::add(int fd, std::uint32_t events, std::uint64_t tag) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

Status ProcessWatcher::watch(Process& process, std::unique_ptr<OutputSink> sink, Ended ended) {
  // A descriptor of our own, so that the Process may be destroyed at any time.
  auto watched =
      std::make_unique<Watched>(Watched{.pidfd = Fd(::fcntl(process.pidfd(), F_DUPFD_CLOEXEC, 3)),
                                        .out = process.take_stdout(),
                                        .err = process.take_stderr(),
                                        .sink = std::move(sink),
                                        .errors = Tail(),
                                        .ended = std::move(ended)});
  const std::lock_guard lock(mutex_);
  const std::uint64_t id = ++last_id_;
  if (!add(watched->out.get(), EPOLLIN, tag_of(id, kOut)) ||
      !add(watched->err.get(), EPOLLIN, tag_of(id, kErr)) ||
      !add(watched->pidfd.get(), EPOLLIN, tag_of(id, kEnd))) {
    return fail(Code::Exhausted, std::generic_category().message(errno));
  }
  watched_.emplace(id, std::move(watched));
  return {};
}

ProcessWatcher::WaitId ProcessWatcher::when_ready(int fd, std::uint32_t events,
                                                  std::function<void()> ready) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t id = ++last_id_;
  waits_.emplace(id, Wait{fd, std::move(ready)});
  if (!add(fd, events | EPOLLONESHOT, tag_of(id, kWait))) waits_.erase(id);
  return id;
}

void ProcessWatcher::forget(WaitId id) {
  const std::lock_guard lock(mutex_);
  const auto wait = waits_.find(id);
  if (wait == waits_.end()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, wait->second.fd, nullptr);
  waits_.erase(wait);
}

void ProcessWatcher::run(std::stop_token stop) {
  std::array<epoll_event, 64> events{};
  while (!stop.stop_requested()) {
    const int count =
        ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const std::uint64_t tag = events[static_cast<std::size_t>(i)].data.u64;
      if (tag != kWake) handle(tag);
    }
  }
}

void ProcessWatcher::handle(std::uint64_t tag) {
  const std::uint64_t id = tag >> 2;
  const auto slot = static_cast<Slot>(tag & 3);
  std::unique_lock lock(mutex_);
  if (slot == kWait) {
    auto wait = waits_.extract(id);
    if (!wait) return;  // forgotten after the kernel had told us
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, wait.mapped().fd, nullptr);
    lock.unlock();
    post_(std::move(wait.mapped().ready));
    return;
  }
  const auto found = watched_.find(id);
  if (found == watched_.end()) return;  // its end was in the same batch
  Watched& watched = *found->second;
  if (slot == kEnd) {
    const auto ended = watched_.extract(found);
    lock.unlock();
    // Closing it is not enough: the Process holds the same open file.
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, watched.pidfd.get(), nullptr);
    drain(watched, watched.out);
    drain(watched, watched.err);
    watched.sink.reset();
    post_([call = std::move(watched.ended), errors = watched.errors.text()] { call(errors); });
    return;
  }
  lock.unlock();  // only this thread removes a Watched
  read_some(watched, slot == kOut ? watched.out : watched.err);
}

// Returns whether there may be more.
bool ProcessWatcher::read_some(Watched& watched, Fd& from) {
  std::array<char, 64u << 10> buffer;
  const ssize_t got = ::read(from.get(), buffer.data(), buffer.size());
  if (got < 0 && errno == EINTR) return true;
  if (got < 0 && errno == EAGAIN) return false;
  if (got <= 0) {
    from.close();  // which also takes it out of the epoll set
    return false;
  }
  const std::string_view text(buffer.data(), static_cast<std::size_t>(got));
  const bool errors = &from == &watched.err;
  if (errors) watched.errors.append(text);
  if (watched.sink) watched.sink->write(errors ? OutputStream::Err : OutputStream::Out, text);
  return true;
}

// All that is in the pipe. Not until its end: a descendant may hold it open.
void ProcessWatcher::drain(Watched& watched, Fd& from) {
  for (int reads = 0; from && reads < kReadsAtEnd; ++reads) {
    if (!read_some(watched, from)) return;
  }
}

}  // namespace jobmill::targets
