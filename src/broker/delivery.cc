// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "broker/engine.h"

namespace jobmill::broker {
namespace {

// Of one read: enough to keep a disk busy, little enough to be kept in memory for each queue.
constexpr std::size_t kMostMessages = 256;
constexpr std::size_t kMostBytes = 1024 * 1024;

}  // namespace

// --- receivers ---

OpenReceiver* Engine::find_receiver(ReceiverId id) {
  const auto at = receivers_.find(id);
  return at == receivers_.end() ? nullptr : &at->second;
}

Result<Queue*> Engine::check_receiver(const ReceiverOptions& options, TimePoint now) {
  TRY(Queue * queue, use_queue(options.address, now));
  const EntityStatus status = queue->entity.description().status;
  if (status == EntityStatus::Disabled || status == EntityStatus::ReceiveDisabled)
    return fail(Code::PermissionDenied, queue->entity.path + " is disabled for receiving");
  return queue;
}

Result<Queue*> Engine::check_one_more(const ReceiverOptions& options, TimePoint now) {
  TRY(Queue * queue, check_receiver(options, now));
  TRY_VOID(check_count(queue->entity.receivers, options_.limits.receivers, queue->entity.path,
                       "receivers"));
  return queue;
}

OpenReceiver& Engine::add_receiver(const ReceiverOptions& options, Receiver& receiver,
                                   Queue* queue) {
  const ReceiverId id = ++last_receiver_;
  OpenReceiver& open = receivers_[id];
  open.id = id;
  open.receiver = &receiver;
  open.queue = queue;
  open.mode = options.mode;
  open.holder = live(options.holder);
  if (queue != nullptr) ++queue->entity.receivers;
  return open;
}

Result<ReceiverId> Engine::open_receiver(const ReceiverOptions& options, Receiver& receiver,
                                         TimePoint now) {
  const Turn turn(*this, false);
  TRY(Queue * queue, check_one_more(options, now));
  if (queue->sessions)
    return fail(Code::Unsupported, queue->entity.path + " needs a receiver of a session");
  return add_receiver(options, receiver, queue).id;
}

void Engine::close(ReceiverId id, TimePoint now) {
  const Turn turn(*this, false);
  see(now);
  if (OpenReceiver* receiver = find_receiver(id)) drop_receiver(*receiver);
}

void Engine::drop_receiver(OpenReceiver& receiver) {
  if (Queue* queue = receiver.queue) {
    queue->credit.remove(receiver);
    if (receiver.draining) --queue->draining;
    if (receiver.session != nullptr) release_session(*queue, *receiver.session, Outcome::Released);
    if (queue->sessions)
      queue->sessions->waiting().remove_if(
          [&](const WaitingReceiver& one) { return one.receiver == receiver.id; });
    queue->entity.used_at = now_;
    if (--queue->entity.receivers == 0) {
      if (const auto idle = queue->entity.idle_at()) arm(queue->entity.main, *idle);
    }
  }
  receivers_.erase(receiver.id);
}

void Engine::grant(ReceiverId id, std::uint32_t credit, bool drain, TimePoint now) {
  const Turn turn(*this, false);
  see(now);
  OpenReceiver* receiver = find_receiver(id);
  if (receiver == nullptr || receiver->queue == nullptr || receiver->ending) return;
  // What is being deleted for it is on its way: it counts among the deliveries asked for.
  credit -= std::min(credit, receiver->deleting);
  Queue& queue = *receiver->queue;
  queue.entity.used_at = now_;
  queue.draining += (drain ? 1 : 0) - (receiver->draining ? 1 : 0);
  receiver->draining = drain;
  if (queue.sessions) {
    receiver->credit = credit;
    if (receiver->session != nullptr) pump_session(queue, *receiver->session);
  } else {
    queue.credit.grant(*receiver, credit, now_);
    wake(queue);
  }
  if (drain && credit == 0 && receiver->deleting == 0) finish_drain(*receiver);
}

void Engine::take_credit(OpenReceiver& receiver) {
  if (receiver.session != nullptr) {
    --receiver.credit;
  } else {
    receiver.queue->credit.take(receiver);
  }
}

void Engine::give_back_credit(OpenReceiver& receiver) {
  if (receiver.ending) return;
  if (receiver.session != nullptr) {
    ++receiver.credit;
  } else {
    receiver.queue->credit.give_back(receiver);
  }
}

void Engine::finish_drain(OpenReceiver& receiver) {
  if (!receiver.draining) return;
  receiver.draining = false;
  --receiver.queue->draining;
  receiver.queue->credit.remove(receiver);
  receiver.credit = 0;
  post(receiver.id, Drained{});
}

// Nothing more can be delivered: who asked to be told is told.
void Engine::finish_drains(Queue& queue) {
  if (queue.draining == 0 || !queue.idle()) return;
  OpenReceiver* next = queue.credit.first();
  while (next != nullptr) {
    OpenReceiver& receiver = *std::exchange(next, next->after);
    if (receiver.deleting == 0) finish_drain(receiver);
  }
}

// --- from the queue to receivers ---

void Engine::pump(Queue& queue) {
  if (!queue.entity.visible) return;
  if (queue.index().earliest_expiry() <= now_) expire(queue);
  if (!queue.forwards_to().empty()) forward(queue);
  run_moves(queue);
  if (queue.sessions) return serve_waiting(queue);
  pump_plain(queue);
  finish_drains(queue);
}

void Engine::pump_plain(Queue& queue) {
  if (queue.reading || queue.paused_until || queue.credit.empty()) return;
  std::vector<SequenceNumber> wanted;
  std::size_t bytes = 0;
  const auto limit = std::min<std::uint64_t>(queue.credit.total(), kMostMessages);
  while (wanted.size() < limit && bytes < kMostBytes) {
    const Entry* entry = queue.take_ready();
    if (entry == nullptr) break;
    wanted.push_back(entry->sequence);
    bytes += entry->size;
  }
  if (wanted.empty()) return;
  queue.reading = true;
  read(queue, wanted, [this, &queue, wanted](const Result<Messages>& messages) {
    queue.reading = false;
    if (queue.entity.gone) return;
    wake(queue);
    if (messages) {
      drop_missing(queue, wanted, *messages);
      return hand_out(queue, *messages);
    }
    for (const SequenceNumber sequence : wanted) queue.put(sequence, Place::Ready);
    pause(queue);
  });
}

// What is in our books but not in the store was lost with a damaged file, or never there.
void Engine::drop_missing(Queue& queue, const std::vector<SequenceNumber>& asked,
                          const Messages& got) {
  if (got.size() == asked.size()) return;
  auto next = got.begin();
  for (const SequenceNumber sequence : asked) {
    if (next != got.end() && (*next)->sequence == sequence) {
      ++next;
    } else {
      queue.remove(sequence);
    }
  }
}

// Who gets a message is decided only now: credit may have come and gone while it was read.
void Engine::hand_out(Queue& queue, const Messages& messages) {
  std::vector<std::pair<OpenReceiver*, Messages>> deletions;
  for (const MessagePtr& message : messages) {
    OpenReceiver* receiver = queue.credit.first();
    if (receiver == nullptr || message->expires_at.value_or(TimePoint::max()) <= now_) {
      queue.put(message->sequence, Place::Ready);
    } else if (receiver->mode == ReceiveMode::PeekLock) {
      give(queue, *receiver, message);
    } else {
      take_credit(*receiver);
      auto to = std::find_if(deletions.begin(), deletions.end(),
                             [&](const auto& one) { return one.first == receiver; });
      if (to == deletions.end()) to = deletions.insert(to, {receiver, {}});
      to->second.push_back(message);
    }
  }
  for (auto& [receiver, taken] : deletions) delete_and_send(queue, *receiver, std::move(taken));
}

// A message that has just become durable goes straight to who waits for it, when nothing is before
// it in the order.
bool Engine::hand_over(Queue& queue, const MessagePtr& message) {
  if (!queue.entity.visible || queue.paused_until || !queue.forwards_to().empty()) return false;
  if (message->expires_at.value_or(TimePoint::max()) <= now_) return false;
  OpenReceiver* receiver = queue.credit.first();
  if (queue.sessions) {
    const MessageSession* session = queue.find(message->sequence)->session;
    if (session == nullptr || session->reading || session->returning > 0) return false;
    if (session->ready.size() > 1) return false;
    receiver = find_receiver(session->holder);
    if (receiver == nullptr || receiver->credit == 0) return false;
  } else if (queue.reading || queue.index().count(Place::Ready) > 1) {
    return false;
  }
  if (receiver == nullptr) return false;
  if (receiver->mode == ReceiveMode::PeekLock) {
    give(queue, *receiver, message);
  } else {
    queue.put(message->sequence, Place::Reading);
    take_credit(*receiver);
    delete_and_send(queue, *receiver, {message});
  }
  return true;
}

void Engine::give(Queue& queue, OpenReceiver& receiver, const MessagePtr& message) {
  take_credit(receiver);
  post(receiver.id,
       lock(queue, receiver.session, receiver.id, receiver.holder, message, Place::Locked));
  if (receiver.credit == 0 && receiver.deleting == 0) finish_drain(receiver);
}

Delivery Engine::lock(Queue& queue, MessageSession* session, ReceiverId receiver, HolderPtr holder,
                      const MessagePtr& message, Place place) {
  Lock& lock = locks_.add();
  lock.queue = &queue;
  lock.sequence = message->sequence;
  lock.session = session;
  lock.receiver = receiver;
  lock.holder = std::move(holder);
  lock.message = message;
  queue.put(lock.sequence, place);
  if (session != nullptr) {
    lock.until = session->locked_until;
    session->locks.push_back(lock.id);
  } else {
    lock.until = lock_end(queue, lock.holder);
    queue.locks.add(lock);
    arm(queue, lock.until);
  }
  if (queue.entity.watched()) tell(queue, event(queue, lock.holder, *message, std::nullopt));
  return {message, lock.id, lock.token, lock.until};
}

// Deleted first, so that a crash between the two cannot deliver it twice. When the receiver goes
// in the meantime, the message is lost: that is what receive-and-delete means.
void Engine::delete_and_send(Queue& queue, OpenReceiver& receiver, Messages messages) {
  Batch batch;
  for (const MessagePtr& message : messages) {
    batch.changes.emplace_back(DeleteMessage{queue.key(), message->sequence});
    record(batch, event(queue, receiver.holder, *message, Outcome::Deleted));
  }
  receiver.deleting += static_cast<std::uint32_t>(messages.size());
  commit(std::move(batch),
         [this, entity = pointer(queue.entity), &queue, id = receiver.id, holder = receiver.holder,
          messages = std::move(messages)](const Status& written) {
           if (!entity->gone) deleted(queue, id, holder, messages, static_cast<bool>(written));
         });
}

// By now the receiver may be gone, or have lost its session, or be about to end.
void Engine::deleted(Queue& queue, ReceiverId id, const HolderPtr& holder, const Messages& messages,
                     bool written) {
  OpenReceiver* to = find_receiver(id);
  MessageSession* session = queue.find(messages.front()->sequence)->session;
  const std::string session_id = session == nullptr ? std::string() : session->id;
  const bool lost = to == nullptr || to->session == nullptr;
  if (session != nullptr && lost) session->returning -= messages.size();
  for (const MessagePtr& message : messages) {
    if (written) {
      queue.remove(message->sequence);
      tell_deleted(queue, holder, *message);
      if (to != nullptr) post(id, Delivery{.message = message});
    } else {
      queue.put(message->sequence, Place::Ready);
      if (to != nullptr) give_back_credit(*to);
    }
  }
  if (!written) pause(queue);
  wake(queue);
  if (to != nullptr) {
    to->deleting -= static_cast<std::uint32_t>(messages.size());
    if (to->credit == 0 && to->deleting == 0) finish_drain(*to);
    if (to->ending && to->deleting == 0) post(id, *to->ending);
  }
  if (session != nullptr) pump_session(queue, session_id);
}

// In order to the one receiver that holds the session.
void Engine::pump_session(Queue& queue, MessageSession& session) {
  OpenReceiver* receiver = find_receiver(session.holder);
  if (receiver == nullptr || session.reading || session.returning > 0 || queue.paused_until) return;
  std::vector<SequenceNumber> wanted;
  std::size_t bytes = 0;
  const auto limit = std::min<std::size_t>(receiver->credit, kMostMessages);
  while (wanted.size() < limit && bytes < kMostBytes && !session.ready.empty()) {
    wanted.push_back(session.ready.front());
    bytes += queue.find(wanted.back())->size;
    queue.put(wanted.back(), Place::Reading);
  }
  if (wanted.empty()) {
    if (session.ready.empty() && receiver->deleting == 0) finish_drain(*receiver);
    return;
  }
  session.reading = true;
  read(queue, wanted,
       [this, &queue, &session, wanted, holder = session.holder](const Result<Messages>& messages) {
         if (queue.entity.gone) return;  // and the session with it
         session.reading = false;        // it is there: what is being read belongs to it
         hand_out(queue, session, holder, wanted, messages);
       });
}

void Engine::hand_out(Queue& queue, MessageSession& session, ReceiverId holder,
                      const std::vector<SequenceNumber>& asked, const Result<Messages>& got) {
  if (!got) {
    for (const SequenceNumber sequence : asked) queue.put(sequence, Place::Ready);
    return pause(queue);
  }
  OpenReceiver* to = session.holder == holder ? find_receiver(holder) : nullptr;
  Messages deletions;
  for (const MessagePtr& message : *got) {
    const bool overtakes =  // one that was given back while this one was read
        session.returning > 0 ||
        (!session.ready.empty() && session.ready.front() < message->sequence);
    if (to == nullptr || to->credit == 0 || overtakes ||
        message->expires_at.value_or(TimePoint::max()) <= now_) {
      queue.put(message->sequence, Place::Ready);
    } else if (to->mode == ReceiveMode::PeekLock) {
      give(queue, *to, message);
    } else {
      take_credit(*to);
      deletions.push_back(message);
    }
  }
  if (!deletions.empty()) delete_and_send(queue, *to, std::move(deletions));
  const std::string id = session.id;
  drop_missing(queue, asked, *got);  // this may end the session
  wake(queue);
  pump_session(queue, id);
}

void Engine::pump_session(Queue& queue, const std::string& id) {
  MessageSession* session = queue.sessions->find(id);
  if (session != nullptr && session->holder != 0) pump_session(queue, *session);
}

}  // namespace jobmill::broker
