// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "broker/message_store.h"
#include "store/sqlite/batch.h"
#include "store/sqlite/entity_json.h"
#include "store/sqlite/message_key.h"
#include "store/sqlite/sqlite.h"

namespace jobmill::sqlite {

// One call of broker::MessageStore::write on its way.
struct MessageWrite {
  std::vector<broker::Change> changes{};
  broker::MessageStore::Done done{};
  Status status{};
};

// The statements behind MessageStore. Each call is made inside a transaction, on its thread.
class MessageTables {
 public:
  MessageTables(Database& db, EntityJson json) : db_(db), json_(std::move(json)) {}

  // Makes the changes of all writes, or gives a write its own error and makes none of its changes.
  // An error for all means that some may be made: the transaction must not be committed.
  Status apply(std::vector<MessageWrite>& writes);

  // Whole messages in the order asked for; null where there is none.
  Result<std::vector<std::shared_ptr<const broker::Message>>> read(
      const std::vector<MessageKey>& keys);

  Result<std::vector<broker::StoredEntity>> entities();
  Result<std::vector<broker::StoredNamespace>> namespaces();
  Result<std::vector<broker::StoredSequence>> sequences();
  Result<std::vector<broker::StoredSession>> sessions();
  Result<std::vector<broker::RememberDuplicate>> duplicates();

  // Messages without their bytes, page by page, each queue's in the order of its sequence. As a
  // rule that is the order of the rows, in which the file is read from front to end; following the
  // index takes four times as long when the messages of many queues lie mixed.
  struct Page {
    std::vector<broker::StoredMessage> messages{};
    std::int64_t last_row = 0;
  };
  Result<bool> rows_in_order();
  Result<Page> by_row(std::int64_t after, int limit);
  Result<Page> by_sequence(const MessageKey& after, int limit);

 private:
  Result<Page> page(Statement query);
  Status insert(std::vector<MessageWrite>& writes);
  Status remove(const std::vector<MessageWrite>& writes);

  Status make(const broker::InsertMessage&) { return {}; }  // insert() made it
  Status make(const broker::DeleteMessage&) { return {}; }  // remove() will
  Status make(const broker::UpdateMessage& change);
  Status make(const broker::CountDelivery& change);
  Status make(const broker::ReserveSequences& change);
  Status make(const broker::PutSessionState& change);
  Status make(const broker::RememberDuplicate& change);
  Status make(const broker::ForgetDuplicates& change);
  Status make(const broker::PutEntity& change);
  Status make(const broker::DeleteEntity& change);
  Status make(const broker::PutNamespace& change);
  Status make(const broker::DeleteNamespace& change);
  Status make(const broker::PutNamespaceRules& change);
  Status make(const broker::RecordOutcome& change);

  Database& db_;
  const EntityJson json_;
};

}  // namespace jobmill::sqlite
