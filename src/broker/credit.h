// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/result.h"
#include "broker/broker.h"
#include "broker/holder.h"

namespace jobmill::broker {

class Queue;
struct MessageSession;

// A receiver that is open, or waits for a session.
struct OpenReceiver {
  ReceiverId id = 0;
  Receiver* receiver = nullptr;
  Queue* queue = nullptr;
  ReceiveMode mode = ReceiveMode::PeekLock;
  HolderPtr holder{};
  MessageSession* session = nullptr;  // the one it holds
  std::uint32_t credit = 0;
  bool draining = false;
  std::uint32_t deleting = 0;     // messages that are deleted first and then sent
  std::optional<Fault> ending{};  // it is told why it ends once those are sent
  TimePoint granted_at{};

  bool listed = false;
  OpenReceiver* before = nullptr;  // neighbours in CreditOrder
  OpenReceiver* after = nullptr;
};

// The receivers of a queue that have credit. A client that asked for several messages and got
// fewer keeps its credit though it does not listen any more; therefore the most recent grant comes
// first, and those of the same instant take turns.
class CreditOrder {
 public:
  bool empty() const { return first_ == nullptr; }
  std::uint64_t total() const { return total_; }
  OpenReceiver* first() const { return first_; }

  void grant(OpenReceiver& receiver, std::uint32_t credit, TimePoint now);
  void take(OpenReceiver& receiver);       // one credit
  void give_back(OpenReceiver& receiver);  // one that was taken, at its old rank
  void remove(OpenReceiver& receiver);     // with all of its credit

 private:
  void insert(OpenReceiver& receiver);
  void unlink(OpenReceiver& receiver);

  OpenReceiver* first_ = nullptr;
  std::uint64_t total_ = 0;
};

}  // namespace jobmill::broker
