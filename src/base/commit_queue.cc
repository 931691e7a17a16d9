// SPDX-License-Identifier: Apache-2.0
#include "base/commit_queue.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <utility>

namespace jobmill {
namespace {

thread_local const CommitQueue* writing = nullptr;  // that this thread is the commit thread of

// What a blocked caller waits for. Told under the lock, so that it may go as soon as it was heard.
class Outcome {
 public:
  void tell(const Status& status) {
    std::lock_guard lock(mutex_);
    status_ = status;
    told_.notify_one();
  }

  Status wait() {
    std::unique_lock lock(mutex_);
    told_.wait(lock, [this] { return status_.has_value(); });
    return *std::move(status_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable told_;
  std::optional<Status> status_;
};

}  // namespace

CommitQueue::CommitQueue(Transaction transaction)
    : transaction_(std::move(transaction)), thread_([this] { serve(); }) {}

CommitQueue::~CommitQueue() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  arrived_.notify_one();
  thread_.join();
}

void CommitQueue::submit(Work work, Done done, Mode mode, Durability durability) {
  add({std::move(work), std::move(done), mode, durability, {}});
}

Status CommitQueue::run(const Work& work, const Done& done, Mode mode, Durability durability) {
  assert(writing != this);  // it would wait for itself
  if (take_turn()) {
    std::vector<Item> alone(1);
    alone[0] = {[&work] { return work(); }, done, mode, durability, {}};
    settle(alone);
    end_turn();
    return std::move(alone[0].status);
  }
  Outcome outcome;
  add({[&work] { return work(); },
       [&done, &outcome](const Status& status) {
         if (done) done(status);
         outcome.tell(status);
       },
       mode,
       durability,
       {}});
  return outcome.wait();
}

void CommitQueue::add(Item item) {
  {
    std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(item));
    // The thread has been told, or whoever is at work will tell it.
    if (busy_ || waiting_.size() > 1) return;
  }
  arrived_.notify_one();
}

bool CommitQueue::take_turn() {
  const std::lock_guard lock(mutex_);
  if (busy_ || !waiting_.empty()) return false;
  return busy_ = true;
}

void CommitQueue::end_turn() {
  const std::lock_guard lock(mutex_);
  busy_ = false;
  if (stopping_ || !waiting_.empty()) arrived_.notify_one();
}

void CommitQueue::serve() {
  std::vector<Item> batch;
  std::unique_lock lock(mutex_);
  for (;;) {
    arrived_.wait(lock, [this] { return !busy_ && (stopping_ || !waiting_.empty()); });
    if (waiting_.empty()) return;
    batch.swap(waiting_);
    busy_ = true;
    lock.unlock();
    settle(batch);
    batch.clear();
    lock.lock();
    busy_ = false;
  }
}

void CommitQueue::settle(std::vector<Item>& batch) {
  const CommitQueue* const before = std::exchange(writing, this);
  for (std::size_t next = 0; next < batch.size();) next = run_transaction(batch, next);
  for (Item& item : batch) {
    if (item.done) item.done(item.status);
  }
  writing = before;
}

// Runs items from `first` on and answers with the first one that is not settled: all of them,
// unless one spoilt the transaction; then those after it have a new one.
std::size_t CommitQueue::run_transaction(std::vector<Item>& batch, std::size_t first) {
  const auto spoil = [&](std::size_t end, const Fault& error) {
    transaction_.rollback();
    for (std::size_t i = first; i < end; ++i) {
      if (batch[i].status) batch[i].status = error;
    }
    return end;
  };
  const bool relaxed =
      std::all_of(batch.begin() + static_cast<std::ptrdiff_t>(first), batch.end(),
                  [](const Item& item) { return item.durability == Durability::Relaxed; });
  const Status begun = transaction_.begin(relaxed ? Durability::Relaxed : Durability::Synced);
  if (!begun) return spoil(batch.size(), begun.error());
  for (std::size_t i = first; i < batch.size(); ++i) {
    if (!run_item(batch[i])) return spoil(i + 1, Fault(batch[i].status.error()));
  }
  if (const Status done = transaction_.commit(); !done) return spoil(batch.size(), done.error());
  return batch.size();
}

// False: the transaction cannot be used any more. The item's status says why.
bool CommitQueue::run_item(Item& item) {
  const bool guarded = item.mode == Mode::Savepoint;
  if (guarded) {
    item.status = transaction_.save();
    if (!item.status) return false;
  }
  const std::uint64_t before = transaction_.written();
  item.status = item.work();
  if (item.status && guarded) {
    item.status = transaction_.release();
    return bool(item.status);
  }
  if (item.status) return true;
  return guarded ? bool(transaction_.undo()) : transaction_.written() == before;
}

}  // namespace jobmill
