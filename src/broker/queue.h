// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "broker/broker.h"
#include "broker/credit.h"
#include "broker/duplicates.h"
#include "broker/entity.h"
#include "broker/locks.h"
#include "broker/message_index.h"
#include "broker/message_session.h"
#include "broker/message_store.h"

namespace jobmill::broker {

struct Entity;

// A message that leaves its place without a settlement. It is written in the background, and again
// when that fails; meanwhile nobody gets the message.
struct Move {
  enum class Kind : std::uint8_t { Drop, DeadLetter, Forward, Enqueue };
  SequenceNumber sequence = 0;
  Kind kind = Kind::Drop;
  std::string reason{};
  std::string description{};
  std::shared_ptr<MessageEvent> ended{};  // the delivery that it ends
};

// One container of messages: of an entity itself, its dead letters or its failed transfers. Keeps
// the places of messages, their order, sessions and sizes in step; what happens to messages, and
// when, is the engine's business.
class Queue {
 public:
  Queue(Entity& owner, SubQueue which) : entity(owner), sub_queue(which) {}
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  QueueKey key() const;
  bool main() const { return sub_queue == SubQueue::Main; }
  const std::string& forwards_to() const;  // empty: messages stay

  // A message that is durable. A scheduled one comes with its time as enqueued_at.
  void add(Entry entry, const std::optional<std::string>& session_id);
  void remove(SequenceNumber sequence);
  void put(SequenceNumber sequence, Place place);
  const Entry* find(SequenceNumber sequence) const { return index_.find(sequence); }
  void set_delivery_count(SequenceNumber sequence, std::uint32_t count);

  const MessageIndex& index() const { return index_; }
  // The next ready message of a queue without sessions is now being read.
  const Entry* take_ready();
  bool idle() const { return index_.count(Place::Ready) == 0 && !reading; }
  std::int64_t bytes() const { return bytes_; }
  Counts counts() const;

  std::vector<SequenceNumber> take_expired(TimePoint now) { return index_.expired(now); }
  std::vector<SequenceNumber> due(TimePoint now) const;  // scheduled ones
  std::optional<TimePoint> next_due() const;

  Entity& entity;
  const SubQueue sub_queue;
  CreditOrder credit;
  LockOrder locks;
  std::unique_ptr<MessageSessions> sessions;  // null: an entity without sessions

  std::deque<Move> moves;
  bool moving = false;                    // some are being written
  bool reading = false;                   // bodies are on their way
  int draining = 0;                       // receivers that wait for drained()
  std::optional<TimePoint> paused_until;  // the store failed; nothing is tried before
  bool awake = false;                     // something may be deliverable
  TimePoint armed_at = TimePoint::max();  // when the engine will look at it

  SequenceNumber next_sequence = 1;
  SequenceNumber reserved_until = 1;  // durably

 private:
  void changed();

  MessageIndex index_;
  std::set<std::pair<TimePoint, SequenceNumber>> scheduled_;
  std::int64_t bytes_ = 0;
};

// A queue as users know it, with its three containers.
struct Entity {
  explicit Entity(StoredEntity from);

  Queue& queue(SubQueue which);
  const QueueDescription& description() const { return stored.description; }
  QueueInfo info() const;
  std::optional<TimePoint> idle_at() const;  // when it is deleted unless somebody uses it

  // Its state may have changed: noted once a turn, when somebody watches.
  void changed() {
    if (changes != nullptr && !noted) note();
  }
  bool watched() const { return changes != nullptr; }

  StoredEntity stored;
  std::string path;
  std::vector<std::string>* changes = nullptr;  // where its path is noted; null: nobody watches
  bool noted = false;
  Queue main;
  Queue dead_letters;
  Queue transfer_dead_letters;
  DuplicateHistory duplicates;
  TimePoint history_trimmed_at{};
  bool visible = false;  // its creation is durable and nobody removes it
  bool gone = false;
  TimePoint used_at{};
  int receivers = 0;

 private:
  void note();
};

}  // namespace jobmill::broker
