// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/tally_book.h"

#include <utility>

namespace jobmill::postgres {

TallyBook::TallyBook(Write write, Duration delay)
    : write_(std::move(write)),
      delay_(delay),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

void TallyBook::add(const jobs::Tally& counted) {
  {
    const std::lock_guard lock(mutex_);
    counted_.merge(counted);
    if (std::exchange(some_, true)) return;
  }
  changed_.notify_one();
}

Status TallyBook::flush() {
  std::vector<jobs::Tally> taken;
  {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(some_, false)) return {};
    taken = std::exchange(counted_, {}).all();
  }
  const Status written = write_(taken);
  if (!written)
    for (const jobs::Tally& tally : taken) add(tally);
  return written;
}

void TallyBook::close() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  (void)flush();  // the database may be away; then these few seconds are not counted
}

void TallyBook::run(const std::stop_token& stop) {
  const auto never = [] { return false; };
  for (;;) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, stop, [this] { return some_; })) return;
    changed_.wait_for(lock, stop, delay_, never);
    if (stop.stop_requested()) return;
    lock.unlock();
    (void)flush();  // kept, and tried again
  }
}

}  // namespace jobmill::postgres
