// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "broker/message_store.h"

namespace jobmill::testing {

// A message store in memory, for engines under test. It does nothing by itself: what was asked for
// waits until run(), so that a test decides what happens before the answer. It can fail, and it
// can crash: then everything that waits is forgotten, and what was answered is still there.
class MemoryMessageStore final : public broker::MessageStore {
 public:
  // Everything that waits, and what the answers ask for, until nothing waits.
  void run();
  // Only the next one; false when nothing waits.
  bool run_one();
  // Only what waits to be read, before the writes that were asked for earlier.
  void run_reads();
  std::size_t waiting() const { return waiting_.size(); }

  void fail_writes(int next) { failing_writes_ = next; }
  void fail_reads(int next) { failing_reads_ = next; }
  void crash();
  // As at an orderly end: what waits is written, and nobody is told.
  void close();

  // What would be found after a crash.
  using Key = std::pair<broker::EntityId, broker::SubQueue>;
  using Table = std::map<broker::SequenceNumber, std::shared_ptr<const broker::Message>>;
  const std::map<Key, Table>& tables() const { return messages_; }
  const std::vector<broker::HolderOutcome>& outcomes() const { return outcomes_; }
  std::size_t writes() const { return writes_; }

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
  void perform(const std::vector<broker::Change>& changes, const Done& done);
  void look_up(broker::QueueKey queue, const std::vector<broker::SequenceNumber>& sequences,
               const Read& done);

  void answer(const Done& done, const Status& status) const;
  bool repeats_a_number(const std::vector<broker::Change>& changes) const;
  void apply_all(const std::vector<broker::Change>& changes);
  void apply(const broker::InsertMessage& change);
  void apply(const broker::DeleteMessage& change);
  void apply(const broker::UpdateMessage& change);
  void apply(const broker::CountDelivery& change);
  void apply(const broker::ReserveSequences& change);
  void apply(const broker::PutSessionState& change);
  void apply(const broker::RememberDuplicate& change);
  void apply(const broker::ForgetDuplicates& change);
  void apply(const broker::PutEntity& change);
  void apply(const broker::DeleteEntity& change);
  void apply(const broker::PutNamespace& change);
  void apply(const broker::DeleteNamespace& change);
  void apply(const broker::PutNamespaceRules& change);
  void apply(const broker::RecordOutcome& change);

  std::map<broker::EntityId, broker::StoredEntity> entities_;
  std::map<std::string, broker::StoredNamespace> namespaces_;
  std::map<Key, broker::SequenceNumber> sequences_;
  std::map<std::pair<Key, std::string>, broker::StoredSession> sessions_;
  std::map<std::pair<broker::EntityId, std::string>, TimePoint> duplicates_;
  std::map<Key, Table> messages_;
  std::vector<broker::HolderOutcome> outcomes_;

  struct Request {
    bool reads = false;
    std::function<void()> work{};
  };
  void run(std::deque<Request>::iterator request);
  std::deque<Request> waiting_;
  std::vector<broker::Change> later_;
  int failing_writes_ = 0;
  int failing_reads_ = 0;
  std::size_t writes_ = 0;
  bool silent_ = false;
};

}  // namespace jobmill::testing
