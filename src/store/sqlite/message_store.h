// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "broker/message_store.h"
#include "store/sqlite/message_cache.h"
#include "store/sqlite/message_tables.h"
#include "store/sqlite/sqlite_file.h"

namespace jobmill::sqlite {

struct MessageStoreOptions {
  std::size_t body_cache_bytes = 32u << 20;
  Duration write_later_after = std::chrono::milliseconds(250);
};

// Messages in the control server's SQLite file.
//
// Writes gather while the commit thread is busy; then it takes all of them as one item, inserts
// with one statement and deletes with another, and all answers come back as one post. So a message
// costs a loaded server little more than its row.
//
// Reads of what is not in the cache go to the commit thread as well, before the writes of their
// round, and are answered without waiting for its commit. Reads are answered in the order of the
// calls, and so are writes; a read does not wait for a write.
//
// What is written later sets a timer when no write comes, so an idle store does nothing. The
// destructor, on the loop thread, writes what still waits; nobody is called back after it.
class MessageStore final : public broker::MessageStore {
 public:
  // The broker's thread. Both may be called from any thread.
  struct Loop {
    std::function<void(std::function<void()>)> post{};
    std::function<void(Duration, std::function<void()>)> run_after{};
  };

  // The key file is the one that ObjectStore uses; made when there is none.
  static Result<std::unique_ptr<MessageStore>> open(SqliteFile& file, const std::string& key_path,
                                                    Loop loop, MessageStoreOptions options = {});
  ~MessageStore() override;

  Result<std::vector<broker::StoredEntity>> entities() override;
  Result<std::vector<broker::StoredNamespace>> namespaces() override;
  Result<std::vector<broker::StoredSequence>> sequences() override;
  Result<std::vector<broker::StoredSession>> sessions() override;
  Result<std::vector<broker::RememberDuplicate>> duplicates() override;
  Status messages(const std::function<void(const broker::StoredMessage&)>& each) override;

  void write(std::vector<broker::Change> changes, Done done) override;
  void write_later(broker::Change change) override;
  void read(broker::QueueKey queue, std::vector<broker::SequenceNumber> sequences,
            Read done) override;

 private:
  // A read on its way.
  struct Reading {
    broker::QueueKey queue{};
    std::vector<std::shared_ptr<const broker::Message>> messages{};  // null: not in the cache
    std::vector<MessageKey> missing{};                               // of the nulls, in order
    Result<std::vector<std::shared_ptr<const broker::Message>>> found{{}};  // likewise
    Read done{};
  };
  struct Round {
    std::vector<MessageWrite> writes{};
    std::vector<Reading> reads{};
  };

  MessageStore(SqliteFile& file, EntityJson json, Loop loop, MessageStoreOptions options);

  template <class T>
  Result<std::vector<T>> all(Result<std::vector<T>> (MessageTables::*part)());

  // Of the loop thread.
  void flush();
  void add(MessageWrite write);
  void add(Reading reading);
  void submit();
  void post(std::function<void()> work);
  void finish(std::vector<MessageWrite>& writes);
  void finish(Reading& reading);
  void merge(Reading& reading);
  void remember(const broker::Change& change);
  void remember_count(const broker::CountDelivery& change);

  // Of the commit thread.
  void take();
  Status work();
  void complete(const Status& status);
  void answer_reads();

  SqliteFile& file_;
  const Loop loop_;
  const MessageStoreOptions options_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);

  std::mutex mutex_;  // guards the next two
  Round waiting_;
  bool submitted_ = false;  // an item of the commit queue is to take what waits

  // Of the commit thread.
  MessageTables tables_;
  Round round_;
  bool taken_ = false;

  // Of the loop thread.
  MessageCache cache_;
  std::vector<broker::Change> later_;
  bool timer_set_ = false;
  std::unordered_map<MessageKey, std::uint32_t, MessageKey::Hash> counts_;  // not yet written
  std::size_t reads_under_way_ = 0;  // of those that went to the commit thread
};

}  // namespace jobmill::sqlite
