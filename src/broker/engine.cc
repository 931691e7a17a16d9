// SPDX-License-Identifier: Apache-2.0
#include "broker/engine.h"

#include <algorithm>

namespace jobmill::broker {
namespace {

using namespace std::chrono_literals;

// After a write or read that failed: long enough for a disk to recover, short enough to be
// forgotten.
constexpr Duration kPause = 1s;

Entry entry_of(const Message& message) {
  Entry entry{.sequence = message.sequence,
              .expires_at = message.expires_at.value_or(TimePoint::max()),
              .enqueued_at = message.enqueued_at,
              .delivery_count = message.delivery_count,
              .size = message.size};
  if (message.state == MessageState::Deferred) entry.place = Place::Deferred;
  if (message.state == MessageState::Scheduled) {
    entry.place = Place::Scheduled;
    entry.enqueued_at = message.scheduled_for.value_or(message.enqueued_at);
  }
  return entry;
}

}  // namespace

Engine::Engine(MessageStore& store, BrokerOptions options)
    : store_(store), options_(std::move(options)) {}

Status Engine::load(TimePoint now) {
  const Turn turn(*this, false);
  now_ = now;
  TRY(auto namespaces, store_.namespaces());
  for (auto& one : namespaces) namespaces_.emplace(one.name, one);
  namespaces_.try_emplace(options_.default_namespace, StoredNamespace{options_.default_namespace});
  TRY(auto entities, store_.entities());
  for (auto& stored : entities) {
    next_entity_ = std::max(next_entity_, stored.id + 1);
    // It may have been made under wider limits.
    stored.description = within(std::move(stored.description), options_.limits);
    add_entity(std::move(stored)).visible = true;
  }
  TRY(const auto sequences, store_.sequences());
  for (const auto& [key, next] : sequences) {
    const auto at = by_id_.find(key.entity);
    if (at == by_id_.end()) continue;
    Queue& queue = at->second->queue(key.sub_queue);
    queue.next_sequence = queue.reserved_until = next;
  }
  TRY(auto sessions, store_.sessions());
  for (auto& stored : sessions) {
    const auto at = by_id_.find(stored.queue.entity);
    if (at == by_id_.end() || !at->second->main.sessions) continue;
    MessageSession& session = at->second->main.sessions->get(stored.session);
    session.state = std::move(stored.state);
    session.state_at = stored.at;
  }
  TRY(const auto duplicates, store_.duplicates());
  for (const auto& [entity, key, until] : duplicates) {
    if (const auto at = by_id_.find(entity); at != by_id_.end())
      at->second->duplicates.remember(key, until, true);
  }
  TRY_VOID(store_.messages([this](const StoredMessage& stored) {
    const auto at = by_id_.find(stored.queue.entity);
    if (at == by_id_.end()) return;
    Queue& queue = at->second->queue(stored.queue.sub_queue);
    queue.next_sequence = std::max(queue.next_sequence, stored.message.sequence + 1);
    queue.add(entry_of(stored.message), stored.message.session_id);
  }));
  for (const auto& [id, entity] : by_id_) {
    for (Queue* queue : {&entity->main, &entity->dead_letters, &entity->transfer_dead_letters}) {
      wake(*queue);
      if (const auto at = queue->next_due()) arm(*queue, *at);
    }
  }
  return {};
}

// --- turns ---

Engine::Turn::Turn(Engine& engine, bool may_call)
    : engine_(engine), outermost_(!std::exchange(engine.in_turn_, true)), may_call_(may_call) {}

Engine::Turn::~Turn() {
  if (outermost_) engine_.finish_turn(may_call_);
}

void Engine::finish_turn(bool may_call) {
  for (;;) {
    while (!awake_.empty()) {
      const auto awake = std::exchange(awake_, {});
      for (const auto& [entity, queue] : awake) {
        queue->awake = false;
        if (!entity->gone) pump(*queue);
      }
    }
    if (!may_call || events_.empty()) break;
    auto events = std::exchange(events_, {});
    for (Event& event : events) carry_out(event);
  }
  tell_changes();
  in_turn_ = false;
  announce();
}

void Engine::carry_out(Event& event) {
  OpenReceiver* to = find_receiver(event.receiver);
  if (auto* answered = std::get_if<Answered>(&event.what)) {
    if (to == nullptr) return;
    if (!answered->result) drop_receiver(*to);
    return answered->answer(std::move(answered->result));
  }
  if (auto* fault = std::get_if<Fault>(&event.what)) {
    if (to == nullptr) return;
    Receiver* receiver = to->receiver;
    drop_receiver(*to);
    return receiver->ended(*fault);
  }
  if (std::holds_alternative<Drained>(event.what)) {
    if (to != nullptr) to->receiver->drained();
    return;
  }
  auto& delivery = std::get<Delivery>(event.what);
  if (to != nullptr) return to->receiver->deliver(std::move(delivery));
  // It went before it got the message, so this was no delivery.
  if (Lock* lock = locks_.find(delivery.lock)) end_lock(*lock, Outcome::Released);
}

void Engine::wake(Queue& queue) {
  if (queue.awake || queue.entity.gone) return;
  queue.awake = true;
  awake_.emplace_back(pointer(queue.entity), &queue);
}

// --- time ---

std::optional<TimePoint> Engine::tick(TimePoint now) {
  see(now);
  announced_ = TimePoint::min();  // nobody needs to be told what we are about to answer
  {
    const Turn turn(*this, true);
    while (!due_.empty() && due_.top().at <= now_) {
      const Due due = due_.top();
      due_.pop();
      const auto entity = by_id_.find(due.entity);
      if (entity == by_id_.end()) continue;
      Queue& queue = entity->second->queue(due.sub_queue);
      // Armed for an earlier time since: that one has come, or is still in the heap.
      if (queue.armed_at != due.at) continue;
      queue.armed_at = TimePoint::max();
      run_due(queue);
    }
  }
  announced_ = due_.empty() ? TimePoint::max() : due_.top().at;
  return due_.empty() ? std::nullopt : std::optional(due_.top().at);
}

void Engine::run_due(Queue& queue) {
  if (queue.paused_until && *queue.paused_until <= now_) {
    queue.paused_until.reset();
    wake(queue);
    if (queue.sessions) {
      for (MessageSession* session : queue.sessions->stalled()) pump_session(queue, *session);
    }
  }
  expire_locks(queue);
  if (queue.sessions) {
    expire_sessions(queue);
    give_up_waiting(queue);
  }
  for (const SequenceNumber sequence : queue.due(now_))
    move(queue, {.sequence = sequence, .kind = Move::Kind::Enqueue});
  expire(queue);
  if (queue.main()) {
    Entity& entity = queue.entity;
    if (entity.duplicates.forget_before(now_) && entity.history_trimmed_at + 1min <= now_) {
      entity.history_trimmed_at = now_;
      store_.write_later(ForgetDuplicates{entity.stored.id, now_});
    }
    // A failed write leaves it as it is; the next use or start sees it again.
    if (const auto idle = entity.idle_at(); idle && *idle <= now_)
      return remove(entity, [](const Status&) {});
  }
  if (const auto next = queue.next_due()) arm(queue, std::max(*next, now_));
}

// Each queue waits for one time only; when that comes it looks again for the next one. So locks
// that were settled and messages that were received cost nothing here.
void Engine::arm(Queue& queue, TimePoint at) {
  if (at >= queue.armed_at) return;
  queue.armed_at = at;
  due_.push({at, queue.entity.stored.id, queue.sub_queue});
}

void Engine::announce() {
  TimePoint next = due_.empty() ? TimePoint::max() : due_.top().at;
  if (!events_.empty()) next = std::min(next, now_);
  if (next >= announced_) return;
  announced_ = next;
  if (on_next_due_) on_next_due_(next);
}

void Engine::pause(Queue& queue) {
  queue.paused_until = now_ + kPause;
  arm(queue, *queue.paused_until);
}

// --- the store ---

Status Engine::committed(const Batch& batch, const Status& written) {
  if (!written) {
    abandoned(batch);
    return fail(Code::Unavailable, "the message store could not write: " + written.error().message);
  }
  for (const Reserved& reserved : batch.reserved)
    reserved.queue->reserved_until = std::max(reserved.queue->reserved_until, reserved.until);
  for (const Seen& seen : batch.seen) seen.entity->duplicates.confirm(seen.key);
  for (const Arrival& arrival : batch.arrivals) arrived(arrival);
  for (const Seen& repeat : batch.repeats) {
    // What it repeats was written before, and failed.
    if (!repeat.entity->duplicates.seen(repeat.key, now_))
      return fail(Code::Unavailable, "the message that this one repeats could not be written");
  }
  return {};
}

void Engine::abandoned(const Batch& batch) {
  for (const Seen& seen : batch.seen) seen.entity->duplicates.forget(seen.key);
}

// Counts of expired locks are written later than messages are read again.
Messages Engine::with_counts(const Queue& queue, Messages messages) const {
  for (MessagePtr& message : messages) {
    const Entry* entry = queue.find(message->sequence);
    if (entry == nullptr || entry->delivery_count == message->delivery_count) continue;
    auto copy = std::make_shared<Message>(*message);
    copy->delivery_count = entry->delivery_count;
    message = std::move(copy);
  }
  return messages;
}

void Engine::arrived(const Arrival& arrival) {
  if (arrival.entity->gone) return;
  Queue& queue = *arrival.queue;
  const Entry entry = entry_of(*arrival.message);
  queue.add(entry, arrival.message->session_id);
  if (entry.place == Place::Scheduled) return arm(queue, entry.enqueued_at);
  if (entry.expires_at != TimePoint::max()) arm(queue, entry.expires_at);
  if (hand_over(queue, arrival.message)) return;
  wake(queue);
  MessageSession* session = queue.find(entry.sequence)->session;
  if (session != nullptr && session->holder != 0) pump_session(queue, *session);
}

}  // namespace jobmill::broker
