// SPDX-License-Identifier: Apache-2.0
#include "broker/message_session.h"

#include <algorithm>

namespace jobmill::broker {

SequenceNumber SequenceList::pop_front() {
  const SequenceNumber front = numbers_[head_++];
  // Half of it is used up: the other half moves to the front, and all of it was touched once.
  if (head_ * 2 >= numbers_.size()) {
    numbers_.erase(numbers_.begin(), numbers_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
  return front;
}

void SequenceList::insert(SequenceNumber sequence) {
  // What is given back is usually older than all that waits, and its place is still free.
  if (head_ > 0 && sequence < numbers_[head_]) {
    numbers_[--head_] = sequence;
    return;
  }
  const auto head = numbers_.begin() + static_cast<std::ptrdiff_t>(head_);
  numbers_.insert(std::lower_bound(head, numbers_.end(), sequence), sequence);
}

void SequenceList::erase(SequenceNumber sequence) {
  const auto head = numbers_.begin() + static_cast<std::ptrdiff_t>(head_);
  const auto at = std::lower_bound(head, numbers_.end(), sequence);
  if (at != numbers_.end() && *at == sequence) numbers_.erase(at);
}

MessageSession& MessageSessions::get(std::string_view id) {
  if (MessageSession* session = find(id)) return *session;
  MessageSession& session = sessions_[std::string(id)];
  session.id = id;
  return session;
}

MessageSession* MessageSessions::find(std::string_view id) {
  const auto at = sessions_.find(id);
  return at == sessions_.end() ? nullptr : &at->second;
}

const MessageSession* MessageSessions::find(std::string_view id) const {
  const auto at = sessions_.find(id);
  return at == sessions_.end() ? nullptr : &at->second;
}

void MessageSessions::changed(MessageSession& session) {
  const bool available = session.holder == 0 && !session.ready.empty();
  const SequenceNumber key = available ? session.ready.front() : 0;
  if (key != session.available_as) {
    available_.erase({session.available_as, &session});
    if (key != 0) available_.emplace(key, &session);
    session.available_as = key;
  }
  if (session.messages == 0 && !session.state && session.holder == 0)
    sessions_.erase(sessions_.find(session.id));
}

MessageSession* MessageSessions::next_available() const {
  return available_.empty() ? nullptr : available_.begin()->second;
}

void MessageSessions::lock(MessageSession& session, ReceiverId holder, TimePoint until) {
  session.holder = holder;
  session.locked_until = until;
  locked_.emplace(until, &session);
}

void MessageSessions::renew(MessageSession& session, TimePoint until) {
  locked_.erase({session.locked_until, &session});
  session.locked_until = until;
  locked_.emplace(until, &session);
}

void MessageSessions::unlock(MessageSession& session) {
  locked_.erase({session.locked_until, &session});
  session.holder = 0;
}

MessageSession* MessageSessions::first_to_expire() const {
  return locked_.empty() ? nullptr : locked_.begin()->second;
}

std::vector<MessageSession*> MessageSessions::stalled() const {
  std::vector<MessageSession*> stalled;
  for (const auto& [until, session] : locked_) {
    if (!session->ready.empty()) stalled.push_back(session);
  }
  return stalled;
}

std::optional<TimePoint> MessageSessions::next_due() const {
  std::optional<TimePoint> next;
  if (!locked_.empty()) next = locked_.begin()->first;
  for (const WaitingReceiver& waiting : waiting_) {
    if (!next || waiting.give_up_at < *next) next = waiting.give_up_at;
  }
  return next;
}

std::vector<const MessageSession*> MessageSessions::all() const {
  std::vector<const MessageSession*> all;
  all.reserve(sessions_.size());
  for (const auto& [id, session] : sessions_) all.push_back(&session);
  std::sort(all.begin(), all.end(), [](const auto* a, const auto* b) { return a->id < b->id; });
  return all;
}

}  // namespace jobmill::broker
