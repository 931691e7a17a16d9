// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "broker/broker.h"
#include "broker/holder.h"
#include "broker/message.h"

namespace jobmill::broker {

class Queue;
struct MessageSession;

// A message in the hands of a receiver. Lives in memory only: a restart ends every lock.
struct Lock {
  LockId id = 0;
  LockToken token{};
  TimePoint until{};  // of a message of a session: see the session
  Queue* queue = nullptr;
  SequenceNumber sequence = 0;
  MessageSession* session = nullptr;
  ReceiverId receiver = 0;
  HolderPtr holder{};
  std::shared_ptr<const Message> message{};
  // Its settlement is being written: it does not expire and cannot be settled again.
  bool settling = false;
  bool returning = false;  // settling, and counted as such in its session
  // Settling, and its session or its holder has ended: what becomes of it when the settlement
  // cannot be written.
  std::optional<Outcome> ends_as{};

  Lock* earlier = nullptr;  // neighbours in LockOrder
  Lock* later = nullptr;
};

// All locks, by id and by token.
class LockTable {
 public:
  LockTable();

  Lock& add();  // with id and token
  Lock* find(LockId id);
  // The token holds the id, and eight bytes that nobody can guess.
  std::optional<LockId> find(const LockToken& token) const;
  void erase(LockId id) { locks_.erase(id); }
  std::vector<LockId> of(const std::function<bool(const Lock&)>& wanted) const;
  std::size_t size() const { return locks_.size(); }

 private:
  LockToken new_token(LockId id);

  LockId last_ = 0;
  std::unordered_map<LockId, Lock> locks_;
  std::array<std::byte, 2048> random_{};  // one call of the kernel serves many tokens
  std::size_t random_used_ = 0;
};

// The locks of one queue, soonest to expire first. Adding at the end is the usual case, since all
// last equally long.
class LockOrder {
 public:
  Lock* first() const { return first_; }
  void add(Lock& lock);
  void remove(Lock& lock);

 private:
  Lock* first_ = nullptr;
  Lock* last_ = nullptr;
};

}  // namespace jobmill::broker
