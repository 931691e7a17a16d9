// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.h"

namespace jobmill {

// Group commit: one thread at a time takes all that waits, runs it as one transaction with one
// sync, then completes all. What was completed without error is durable, but for items that ask for
// less.
//
//   Status status = queue.run([&] { return insert(row); });
//
// Who comes while a transaction is written joins the next one; nothing waits for a timer, and an
// idle queue neither wakes up nor opens a transaction. The destructor runs what still waits.
//
// The commit thread is whichever thread writes the transaction: the queue's own, or a caller of
// run() who finds nothing under way, which spares it two changes of thread. There is never more
// than one, and what one has written the next one sees.
class CommitQueue {
 public:
  // Synced: it survives loss of power. Relaxed: it survives the death of the process, and loss of
  // power from the next synced item on; what comes later is never kept without it. A transaction of
  // relaxed items alone needs no sync.
  enum class Durability { Synced, Relaxed };

  // How the owner of the resource opens and closes one transaction. Called by the commit thread.
  struct Transaction {
    std::function<Status(Durability)> begin;
    std::function<Status()> commit;
    std::function<void()> rollback;
    std::function<Status()> save;     // a savepoint before one item
    std::function<Status()> release;  // the item is good
    std::function<Status()> undo;     // back to the savepoint; an error: the transaction is lost
    // Grows with each row written. It tells whether an item that failed has written before, so
    // that most items need no savepoint.
    std::function<std::uint64_t()> written;
  };

  // An item that fails must not spoil the others of its transaction. Savepoint: whatever it wrote
  // is undone. ChecksFirst: it judges before it writes, and pays nothing; should it fail after it
  // wrote (a full disk), all items of the transaction get that error.
  enum class Mode { ChecksFirst, Savepoint };

  // Runs in the transaction, on the commit thread.
  using Work = std::function<Status()>;
  // Runs after the commit, on the commit thread, in the order of the items, before the waiting
  // caller returns. The error is the work's own or the commit's. Must not block.
  using Done = std::function<void(const Status&)>;

  explicit CommitQueue(Transaction transaction);
  ~CommitQueue();
  CommitQueue(const CommitQueue&) = delete;
  CommitQueue& operator=(const CommitQueue&) = delete;

  // Returns at once; safe from any thread, also from a Work or Done.
  void submit(Work work, Done done, Mode mode = Mode::ChecksFirst,
              Durability durability = Durability::Synced);

  // Waits for the outcome. Not from a Work or Done.
  Status run(const Work& work, const Done& done = {}, Mode mode = Mode::ChecksFirst,
             Durability durability = Durability::Synced);

 private:
  struct Item {
    Work work;
    Done done;
    Mode mode = Mode::ChecksFirst;
    Durability durability = Durability::Synced;
    Status status;
  };

  void serve();
  bool take_turn();
  void end_turn();
  void settle(std::vector<Item>& batch);
  std::size_t run_transaction(std::vector<Item>& batch, std::size_t first);
  bool run_item(Item& item);
  void add(Item item);

  const Transaction transaction_;
  std::mutex mutex_;  // guards the next three
  std::vector<Item> waiting_;
  bool busy_ = false;  // somebody is the commit thread
  bool stopping_ = false;
  std::condition_variable arrived_;
  std::thread thread_;
};

}  // namespace jobmill
