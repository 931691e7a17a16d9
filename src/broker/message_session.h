// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "broker/broker.h"
#include "broker/message.h"

namespace jobmill::broker {

// Sequence numbers in order: taken from the front, appended at the end, given back anywhere.
class SequenceList {
 public:
  bool empty() const { return head_ == numbers_.size(); }
  std::size_t size() const { return numbers_.size() - head_; }
  SequenceNumber front() const { return numbers_[head_]; }
  SequenceNumber pop_front();
  void insert(SequenceNumber sequence);
  void erase(SequenceNumber sequence);

 private:
  std::vector<SequenceNumber> numbers_;
  std::size_t head_ = 0;
};

// The messages of one session id, handed out in order to the one receiver that holds it.
struct MessageSession {
  std::string id{};
  SequenceList ready{};
  std::size_t messages = 0;  // in any place
  std::optional<std::string> state{};
  TimePoint state_at{};

  ReceiverId holder = 0;
  TimePoint locked_until{};
  std::vector<LockId> locks{};  // of its messages, in the order of hand-out
  bool reading = false;
  // Their fate is being written, and they may come back: those behind them wait. Abandoned ones,
  // and those that were being settled or deleted when their holder lost the session.
  std::size_t returning = 0;
  SequenceNumber available_as = 0;  // its key among the available ones; 0: it is not
};

// A receiver that waits for any session.
struct WaitingReceiver {
  ReceiverId receiver = 0;
  TimePoint give_up_at{};
  Broker::Answer<SessionGrant> answer{};
};

// The sessions of one queue. A session is there while it has messages, a state or a holder.
class MessageSessions {
 public:
  MessageSession& get(std::string_view id);  // made when it is new
  MessageSession* find(std::string_view id);
  const MessageSession* find(std::string_view id) const;

  // To be called after each change of messages, state or holder; may end the session's life.
  void changed(MessageSession& session);

  // Free, with a message that is ready; the one with the oldest message.
  MessageSession* next_available() const;

  void lock(MessageSession& session, ReceiverId holder, TimePoint until);
  void renew(MessageSession& session, TimePoint until);
  void unlock(MessageSession& session);
  std::size_t available() const { return available_.size(); }
  std::size_t locked() const { return locked_.size(); }
  MessageSession* first_to_expire() const;
  // Held, with messages that wait for credit or for the store.
  std::vector<MessageSession*> stalled() const;

  std::list<WaitingReceiver>& waiting() { return waiting_; }
  std::optional<TimePoint> next_due() const;

  std::vector<const MessageSession*> all() const;  // by id

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  std::unordered_map<std::string, MessageSession, Hash, std::equal_to<>> sessions_;
  std::set<std::pair<SequenceNumber, MessageSession*>> available_;
  std::set<std::pair<TimePoint, MessageSession*>> locked_;
  std::list<WaitingReceiver> waiting_;
};

}  // namespace jobmill::broker
