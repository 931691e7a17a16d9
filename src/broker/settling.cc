// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "amqp/message.h"
#include "broker/engine.h"

namespace jobmill::broker {
namespace {

constexpr std::string_view kTooOften = "MaxDeliveryCountExceeded";

Fault lock_lost() {
  return fail(Code::Conflict,
              "The lock supplied is invalid. Either the lock expired, or the message has already "
              "been removed from the queue");
}

// What a dead letter gets is bounded for itself: it must find room however large the message is.
Status check_given(const Settlement& settlement) {
  amqp::Map given = settlement.properties;
  amqp::set_string(given, kReasonProperty, settlement.reason);
  amqp::set_string(given, kDescriptionProperty, settlement.description);
  std::string section;
  amqp::encode_map_section(section, amqp::kApplicationProperties, given);
  return check_properties(section);
}

}  // namespace

// --- locks ---

std::optional<Broker::Locked> Engine::find(const LockToken& token, const Address& at) {
  const auto id = locks_.find(token);
  const Lock* lock = id ? locks_.find(*id) : nullptr;
  if (lock == nullptr) return std::nullopt;
  const Queue& queue = *lock->queue;
  if (queue.entity.path != at.path || queue.sub_queue != at.sub_queue) return std::nullopt;
  return Broker::Locked{*id, lock->sequence};
}

void Engine::unlock(Lock& lock) {
  if (lock.session != nullptr) {
    std::erase(lock.session->locks, lock.id);
  } else if (!lock.settling) {
    lock.queue->locks.remove(lock);
  }
  locks_.erase(lock.id);
}

void Engine::end_lock(Lock& lock, Outcome how) {
  Queue& queue = *lock.queue;
  const SequenceNumber sequence = lock.sequence;
  EventPtr ended = outcome(lock, how);
  unlock(lock);
  put_back(queue, sequence, how != Outcome::Released, std::move(ended));
}

EventPtr Engine::outcome(const Lock& lock, Outcome outcome, std::string reason) const {
  return event(*lock.queue, lock.holder, *lock.message, outcome, std::move(reason));
}

// A message returns to its own place in the order. In a dead-letter queue nothing is counted.
void Engine::put_back(Queue& queue, SequenceNumber sequence, bool failed, EventPtr ended) {
  const Entry* entry = queue.find(sequence);
  if (entry == nullptr) return tell(queue, ended);
  if (failed && queue.main()) {
    const std::uint32_t count = entry->delivery_count + 1;
    queue.set_delivery_count(sequence, count);
    if (count >= queue.entity.description().max_delivery_count) {
      if (ended != nullptr) {
        ended->outcome = Outcome::DeadLettered;
        ended->reason = kTooOften;
      }
      return move(queue, {sequence, Move::Kind::DeadLetter, std::string(kTooOften),
                          too_often(count), std::move(ended)});
    }
    store_.write_later(CountDelivery{queue.key(), sequence, count});
  }
  tell(queue, ended);
  const bool deferred = entry->place == Place::DeferredLocked;
  queue.put(sequence, deferred ? Place::Deferred : Place::Ready);
  if (deferred) return;
  if (entry->expires_at != TimePoint::max()) arm(queue, entry->expires_at);
  MessageSession* session = entry->session;
  wake(queue);
  if (session != nullptr && session->holder != 0) pump_session(queue, *session);
}

void Engine::expire_locks(Queue& queue) {
  while (queue.locks.first() != nullptr && queue.locks.first()->until <= now_)
    end_lock(*queue.locks.first(), Outcome::LockLost);
}

Result<TimePoint> Engine::renew(LockId id, TimePoint now) {
  const Turn turn(*this, false);
  see(now);
  Lock* lock = locks_.find(id);
  if (lock == nullptr || lock->settling) return lock_lost();
  if (lock->session != nullptr)
    return fail(Code::Unsupported, "a message of a session is locked with its session");
  Queue& queue = *lock->queue;
  queue.entity.used_at = now_;
  if (lock->until <= now_) {
    end_lock(*lock, Outcome::LockLost);
    return lock_lost();
  }
  queue.locks.remove(*lock);
  lock->until = lock_end(queue, lock->holder);
  queue.locks.add(*lock);
  return lock->until;
}

// --- settlement ---

void Engine::settle(LockId id, Settlement settlement, TimePoint now, Broker::Done done) {
  const Turn turn(*this, false);
  see(now);
  Lock* lock = locks_.find(id);
  if (lock == nullptr || lock->settling || !lock->queue->entity.visible) return done(lock_lost());
  Queue& queue = *lock->queue;
  queue.entity.used_at = now_;
  if (lock->session != nullptr && lock->session->locked_until <= now_) {
    expire_sessions(queue);
    return done(lock_lost());
  }
  if (lock->session == nullptr && lock->until <= now_) {
    end_lock(*lock, Outcome::LockLost);
    return done(lock_lost());
  }
  using Action = Settlement::Action;
  // Completing needs nothing of it.
  if (settlement.action != Action::Complete && queue.find(lock->sequence) == nullptr) {
    unlock(*lock);
    return done(lock_lost());
  }
  switch (settlement.action) {
    case Action::Complete: {
      Batch batch;
      batch.changes.emplace_back(DeleteMessage{queue.key(), lock->sequence});
      return settle_with(*lock, std::move(batch), outcome(*lock, Outcome::Completed),
                         std::move(done),
                         [](Queue& from, SequenceNumber sequence) { from.remove(sequence); });
    }
    case Action::Release:
      end_lock(*lock, Outcome::Released);
      return done({});
    case Action::Abandon:
      return abandon(*lock, std::move(settlement), std::move(done));
    case Action::Defer:
      return defer(*lock, std::move(settlement), std::move(done));
    case Action::DeadLetter:
      return dead_letter(*lock, std::move(settlement), queue.find(lock->sequence)->delivery_count,
                         std::move(done));
  }
}

// Until the outcome is durable the lock neither expires nor can be settled again.
template <class Then>
void Engine::settle_with(Lock& settled, Batch batch, EventPtr outcome, Broker::Done done,
                         Then then) {
  record(batch, outcome);
  if (settled.session == nullptr) settled.queue->locks.remove(settled);
  settled.settling = true;
  commit(std::move(batch), [this, id = settled.id, outcome = std::move(outcome),
                            done = std::move(done), then = std::move(then)](const Status& written) {
    Lock* lock = locks_.find(id);
    if (lock == nullptr) return done(written);  // with its entity
    Queue& queue = *lock->queue;
    const std::optional<std::string> waits = let_go_on(*lock);
    if (written) {
      const SequenceNumber sequence = lock->sequence;
      unlock(*lock);
      tell(queue, outcome);
      then(queue, sequence);
    } else {
      lock_again(*lock);
    }
    if (waits) pump_session(queue, *waits);
    done(written);
  });
}

// The messages of the session behind this one wait until its fate is known.
void Engine::hold_up(Lock& lock) {
  const Entry* entry = lock.queue->find(lock.sequence);
  if (lock.returning || entry == nullptr || entry->session == nullptr) return;
  if (entry->place != Place::Locked) return;  // deferred ones hold up nobody
  lock.returning = true;
  ++entry->session->returning;
}

// Answers the session, if any, whose messages need not wait any more.
std::optional<std::string> Engine::let_go_on(Lock& lock) {
  if (!std::exchange(lock.returning, false)) return std::nullopt;
  const Entry* entry = lock.queue->find(lock.sequence);
  if (entry == nullptr || entry->session == nullptr) return std::nullopt;
  --entry->session->returning;
  return entry->session->id;
}

// With the rest of its time, unless its session or holder has ended in the meantime.
void Engine::lock_again(Lock& lock) {
  if (lock.ends_as) return end_lock(lock, *lock.ends_as);
  lock.settling = false;
  if (lock.session != nullptr) return pump_session(*lock.queue, *lock.session);
  lock.queue->locks.add(lock);
  arm(*lock.queue, std::max(lock.until, now_));
}

Message Engine::settled_copy(const Lock& lock, const Entry& entry, const amqp::Map& properties) {
  Message copy = *lock.message;
  copy.delivery_count = entry.delivery_count;
  if (properties.empty()) return copy;
  copy.bytes = with_properties(*copy.bytes, properties);
  copy.size = static_cast<std::uint32_t>(copy.bytes->size());
  return copy;
}

void Engine::abandon(Lock& lock, Settlement settlement, Broker::Done done) {
  Queue& queue = *lock.queue;
  const Entry& entry = *queue.find(lock.sequence);
  const std::uint32_t count = entry.delivery_count + (queue.main() ? 1 : 0);
  if (queue.main() && count >= queue.entity.description().max_delivery_count) {
    settlement.reason = kTooOften;
    settlement.description = too_often(count);
    return dead_letter(lock, std::move(settlement), count, std::move(done));
  }
  Batch batch;
  if (!settlement.properties.empty()) {
    Message changed = settled_copy(lock, entry, settlement.properties);
    if (const Status fits = check_properties(*changed.bytes); !fits)
      return refuse_growth(lock, fits.error(), count, std::move(done));
    changed.delivery_count = count;
    batch.changes.emplace_back(
        UpdateMessage{queue.key(), std::make_shared<const Message>(std::move(changed)), true});
  } else if (queue.main()) {
    batch.changes.emplace_back(CountDelivery{queue.key(), lock.sequence, count});
  } else {
    end_lock(lock, Outcome::Released);  // there nothing counts
    return done({});
  }
  hold_up(lock);
  settle_with(lock, std::move(batch), outcome(lock, Outcome::Abandoned), std::move(done),
              [this, count](Queue& from, SequenceNumber sequence) {
                from.set_delivery_count(sequence, count);
                put_back(from, sequence, false, nullptr);
              });
}

// A receiver's properties make it larger than a sender may. A dead letter has nowhere to go.
void Engine::refuse_growth(Lock& lock, const Fault& why, std::uint32_t count, Broker::Done done) {
  if (!lock.queue->main()) return done(why);
  dead_letter(lock, {.reason = "HeaderSizeExceeded", .description = why.message}, count,
              std::move(done));
}

void Engine::defer(Lock& lock, Settlement settlement, Broker::Done done) {
  Queue& queue = *lock.queue;
  Message deferred = settled_copy(lock, *queue.find(lock.sequence), settlement.properties);
  if (!settlement.properties.empty()) {
    if (const Status fits = check_properties(*deferred.bytes); !fits)
      return refuse_growth(lock, fits.error(), deferred.delivery_count, std::move(done));
  }
  deferred.state = MessageState::Deferred;
  Batch batch;
  batch.changes.emplace_back(UpdateMessage{queue.key(),
                                           std::make_shared<const Message>(std::move(deferred)),
                                           !settlement.properties.empty()});
  settle_with(lock, std::move(batch), outcome(lock, Outcome::Deferred), std::move(done),
              [](Queue& from, SequenceNumber sequence) { from.put(sequence, Place::Deferred); });
}

void Engine::dead_letter(Lock& lock, Settlement settlement, std::uint32_t count,
                         Broker::Done done) {
  Queue& queue = *lock.queue;
  if (!queue.main())
    return done(fail(Code::Unsupported, "a dead letter cannot be dead-lettered again"));
  if (const Status fits = check_given(settlement); !fits) return done(fits);
  Message message = *lock.message;
  message.delivery_count = count;
  EventPtr dead = outcome(lock, Outcome::DeadLettered, settlement.reason);
  Batch batch;
  batch.changes.emplace_back(DeleteMessage{queue.key(), lock.sequence});
  enqueue(batch, queue.entity.dead_letters,
          dead_letter_of(queue, message, settlement.reason, settlement.description,
                         std::move(settlement.properties)),
          false);
  settle_with(lock, std::move(batch), std::move(dead), std::move(done),
              [](Queue& from, SequenceNumber sequence) { from.remove(sequence); });
}

}  // namespace jobmill::broker
