// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "broker/address.h"
#include "broker/entity.h"
#include "broker/message.h"

namespace jobmill::broker {

using EntityId = std::int64_t;  // never used twice

// One container of messages.
struct QueueKey {
  EntityId entity = 0;
  SubQueue sub_queue = SubQueue::Main;
  bool operator==(const QueueKey&) const = default;
};

struct StoredEntity {
  EntityId id = 0;
  std::string name_space{};
  QueueDescription description{};
  TimePoint created_at{};
  TimePoint updated_at{};
};

// --- what one write can hold -------------------------------------------------------------------

struct InsertMessage {
  QueueKey queue{};
  std::shared_ptr<const Message> message{};
};
struct DeleteMessage {
  QueueKey queue{};
  SequenceNumber sequence = 0;
};
// State, count, times and, when set, the sections of a message change; its sequence does not.
struct UpdateMessage {
  QueueKey queue{};
  std::shared_ptr<const Message> message{};
  bool bytes_too = false;
};
struct CountDelivery {
  QueueKey queue{};
  SequenceNumber sequence = 0;
  std::uint32_t delivery_count = 0;
};
// Sequence numbers below `next` may have been given; after a restart numbering goes on from there.
// The broker reserves many at a time.
struct ReserveSequences {
  QueueKey queue{};
  SequenceNumber next = 0;
};
struct PutSessionState {
  QueueKey queue{};
  std::string session{};
  std::optional<std::string> state{};  // nullopt removes it
  TimePoint at{};
};
struct RememberDuplicate {  // of one entity, until that time
  EntityId entity = 0;
  std::string key{};
  TimePoint until{};
};
struct ForgetDuplicates {
  EntityId entity = 0;
  TimePoint before{};
};
// What a delivery to a holder came to.
struct HolderOutcome {
  std::string holder{};
  std::string entity{};  // path
  SequenceNumber sequence = 0;
  std::string message_id{};
  std::string outcome{};  // to_string(Outcome)
  TimePoint at{};
};
// Written with the settlement: after a crash it is known which work was done.
struct RecordOutcome {
  RecordOutcome(HolderOutcome record)
      : outcome(std::make_shared<const HolderOutcome>(std::move(record))) {}
  // Apart, since every change takes as much space as the largest one.
  std::shared_ptr<const HolderOutcome> outcome;
};
struct PutEntity {
  PutEntity(StoredEntity put) : entity(std::make_shared<const StoredEntity>(std::move(put))) {}
  // Apart, as above.
  std::shared_ptr<const StoredEntity> entity;
};
struct DeleteEntity {  // with all its messages, sessions and duplicates
  EntityId id = 0;
};
struct PutNamespace {
  std::string name{};
  std::string properties{};  // JSON: what list and show give back
};
struct DeleteNamespace {
  std::string name{};
};
struct PutNamespaceRules {  // replaces them all
  std::string name_space{};
  std::vector<AuthorizationRule> rules{};
};

using Change =
    std::variant<InsertMessage, DeleteMessage, UpdateMessage, CountDelivery, ReserveSequences,
                 PutSessionState, RememberDuplicate, ForgetDuplicates, PutEntity, DeleteEntity,
                 PutNamespace, DeleteNamespace, PutNamespaceRules, RecordOutcome>;

// What the broker finds at start. Messages come in order of their sequence, without their bytes.
struct StoredMessage {
  QueueKey queue{};
  Message message{};
};
struct StoredSession {
  QueueKey queue{};
  std::string session{};
  std::string state{};
  TimePoint at{};
};
struct StoredNamespace {
  std::string name{};
  std::string properties{};
  std::vector<AuthorizationRule> rules{};
};
struct StoredSequence {
  QueueKey queue{};
  SequenceNumber next = 1;
};

// Where messages live. One implementation per database, all held to
// tests/conformance/message_store.cc.
//
// The broker's thread calls, and is called back on that thread, never from within a call: writes in
// the order of the calls, and so reads; what is read may come before what was written earlier. Many
// writes share one transaction and one sync; what was answered without error survives a crash and
// the loss of power. When a write fails, none of its changes happened. Keys of rules are encrypted
// at rest.
class MessageStore {
 public:
  using Done = std::function<void(const Status&)>;
  using Read = std::function<void(Result<std::vector<std::shared_ptr<const Message>>>)>;

  virtual ~MessageStore() = default;

  // At start, before anything else. They block.
  virtual Result<std::vector<StoredEntity>> entities() = 0;
  virtual Result<std::vector<StoredNamespace>> namespaces() = 0;
  virtual Result<std::vector<StoredSequence>> sequences() = 0;
  virtual Result<std::vector<StoredSession>> sessions() = 0;
  virtual Result<std::vector<RememberDuplicate>> duplicates() = 0;
  virtual Status messages(const std::function<void(const StoredMessage&)>& each) = 0;

  // All changes or none.
  virtual void write(std::vector<Change> changes, Done done) = 0;
  // Joins the next write, or is written after a moment when none comes; a crash may forget it.
  virtual void write_later(Change change) = 0;

  // Whole messages, in the order asked for; those that are not there (any more) are left out.
  // What was written last is answered from memory.
  virtual void read(QueueKey queue, std::vector<SequenceNumber> sequences, Read done) = 0;
};

}  // namespace jobmill::broker
