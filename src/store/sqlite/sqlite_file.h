// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/commit_queue.h"
#include "base/result.h"
#include "store/sqlite/sqlite.h"

namespace jobmill::sqlite {

// The one SQLite file of a control server: one connection, used by one thread, which commits all
// that waits with one sync (WAL, synchronous=FULL; NORMAL for what is relaxed, so no sync: it stays
// in the log, which the next sync writes out in order). The stores share it, each with its own
// tables.
//
//   return file.run<std::int64_t>([&](Database& db) -> Result<std::int64_t> { … });
//
// The stores read the same way as they write, so that each sees what was confirmed before it.
class SqliteFile {
 public:
  // Never: for simulations, in which only the program's memory is lost.
  enum class Syncs { EachCommit, Never };

  // `path` may be ":memory:". Makes the file, takes its lock and migrates it. Conflict: another
  // process holds it, and the message names its pid.
  static Result<std::unique_ptr<SqliteFile>> open(const std::string& path,
                                                  Syncs syncs = Syncs::EachCommit);
  ~SqliteFile();

  // The schema that a file has, 0 for none, without migrating it. NotFound: there is no file.
  // Conflict: as open.
  static Result<int> schema_of(const std::string& path);

  CommitQueue& queue() { return *queue_; }

  // Others may read it over connections of their own, which see what was committed.
  const std::string& path() const { return path_; }
  bool in_memory() const { return path_ == ":memory:"; }  // nobody else can

  // Only inside a work of the queue, or before the first one.
  Database& db() { return db_; }

  // Called on the queue's thread after a transaction was rolled back: what was remembered of it in
  // memory must be read again. Both calls wait for the queue.
  void on_rollback(const void* owner, std::function<void()> listener);
  void forget(const void* owner);

  // How many there were. An idle server begins none.
  std::uint64_t transactions() const { return begun_.load(); }
  std::uint64_t synced_transactions() const { return synced_.load(); }

  // One item of the next transaction, waited for. `work` must judge before it writes, or ask for a
  // savepoint; see CommitQueue.
  template <class T>
  Result<T> run(const std::function<Result<T>(Database&)>& work,
                CommitQueue::Mode mode = CommitQueue::Mode::ChecksFirst) {
    std::optional<Result<T>> result;
    const Status status = queue_->run(
        [&]() -> Status {
          result = work(db_);
          if (!*result) return result->error();
          return {};
        },
        {}, mode);
    if (!status) return status.error();
    return std::move(*result);
  }

 private:
  class Lock;
  SqliteFile(std::string path, std::unique_ptr<Lock> lock, Database db, Syncs syncs);

  Status set_durability(CommitQueue::Durability durability);

  const std::string path_;
  std::unique_ptr<Lock> lock_;  // gone last
  Database db_;
  std::map<const void*, std::function<void()>> rolled_back_;  // of the queue's thread
  const Syncs syncs_;
  CommitQueue::Durability durability_ = CommitQueue::Durability::Synced;  // as the pragma is set
  std::atomic<std::uint64_t> begun_{0};
  std::atomic<std::uint64_t> synced_{0};
  std::unique_ptr<CommitQueue> queue_;

  CommitQueue::Transaction transaction();
};

template <>
Result<void> SqliteFile::run<void>(const std::function<Status(Database&)>& work,
                                   CommitQueue::Mode mode);

}  // namespace jobmill::sqlite
