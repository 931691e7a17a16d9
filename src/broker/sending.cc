// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "broker/engine.h"

namespace jobmill::broker {
namespace {

// How many numbers one write reserves.
constexpr SequenceNumber kReservation = 10'000;
constexpr std::uint8_t kMostForwards = 4;
constexpr std::int64_t kMegabyte = 1024 * 1024;

std::optional<TimePoint> after(TimePoint from, const std::optional<Duration>& ttl) {
  if (!ttl || *ttl >= TimePoint::max() - from) return std::nullopt;
  return from + *ttl;
}

}  // namespace

void Engine::send(const Address& to, std::span<const std::string_view> messages, TimePoint now,
                  Broker::Done done) {
  const Turn turn(*this, false);
  const auto queue = use_queue(to, now);
  if (!queue) return done(queue.error());
  if (!(*queue)->main())
    return done(fail(Code::Unsupported, "messages cannot be sent to dead letters"));
  auto batch = read_all((*queue)->entity, messages, false, now);
  if (!batch) return done(batch.error());
  commit(*std::move(batch), std::move(done));
}

void Engine::schedule(const Address& to, std::span<const std::string_view> messages, TimePoint now,
                      Broker::Answer<std::vector<SequenceNumber>> done) {
  const Turn turn(*this, false);
  const auto queue = use_queue(to, now);
  if (!queue) return done(queue.error());
  if (!(*queue)->main())
    return done(fail(Code::Unsupported, "messages cannot be sent to dead letters"));
  auto batch = read_all((*queue)->entity, messages, true, now);
  if (!batch) return done(batch.error());
  std::vector<SequenceNumber> numbers = std::move(batch->numbers);
  commit(*std::move(batch),
         [numbers = std::move(numbers), done = std::move(done)](const Status& written) {
           if (!written) return done(written.error());
           done(numbers);
         });
}

void Engine::cancel(const Address& at, std::span<const SequenceNumber> scheduled, TimePoint now,
                    Broker::Done done) {
  const Turn turn(*this, false);
  const auto found = use_queue(at, now);
  if (!found) return done(found.error());
  Queue& queue = **found;
  Batch batch;
  const std::set<SequenceNumber> numbers(scheduled.begin(), scheduled.end());
  for (const SequenceNumber sequence : numbers) {
    const Entry* entry = queue.find(sequence);
    if (entry == nullptr || entry->place != Place::Scheduled)
      return done(
          fail(Code::NotFound, "no scheduled message has the number " + std::to_string(sequence)));
    batch.changes.emplace_back(DeleteMessage{queue.key(), sequence});
  }
  // Until this is written, they are neither sent nor cancelled a second time.
  for (const SequenceNumber sequence : numbers) queue.put(sequence, Place::Moving);
  commit(std::move(batch), [this, entity = pointer(queue.entity), &queue, numbers,
                            done = std::move(done)](const Status& written) {
    if (entity->gone) return done(written);
    for (const SequenceNumber sequence : numbers) {
      if (written) {
        queue.remove(sequence);
      } else if (queue.find(sequence) != nullptr) {
        queue.put(sequence, Place::Scheduled);
      }
    }
    if (const auto next = queue.next_due()) arm(queue, *next);
    done(written);
  });
}

Result<Engine::Batch> Engine::read_all(Entity& entity, std::span<const std::string_view> messages,
                                       bool schedule, TimePoint now) {
  Batch batch;
  batch.changes.reserve(messages.size());
  batch.arrivals.reserve(messages.size());
  const auto add = [&]() -> Status {
    std::int64_t bytes = 0;
    for (const std::string_view text : messages) {
      TRY(Message message, read_message(text, now));
      TRY_VOID(check_size(entity, message));
      TRY_VOID(accepts(entity, message, bytes));
      bytes += message.size;
      if (schedule && !message.scheduled_for) message.scheduled_for = now;
      // One whose time has come is sent like any other; by schedule() it gets a number for
      // cancel() all the same.
      if (message.scheduled_for && (schedule || *message.scheduled_for > now))
        message.state = MessageState::Scheduled;
      const SequenceNumber number = enqueue(batch, entity.main, std::move(message), true);
      // A duplicate has a number as well, of which nothing can be cancelled.
      if (schedule)
        batch.numbers.push_back(number != 0 ? number : next_sequence(batch, entity.main));
    }
    return {};
  };
  const Status added = add();
  if (added) return batch;
  abandoned(batch);
  return added.error();
}

// Links refuse what is too large before it is here; other ways in do not.
Status Engine::check_size(const Entity& entity, const Message& message) const {
  const QueueDescription& queue = entity.description();
  if (message.size <= queue.max_message_kb * 1024) return {};
  return fail(Code::InvalidArgument, "the message has " + std::to_string(message.size) +
                                         " bytes; " + queue.name + " takes " +
                                         std::to_string(queue.max_message_kb) + " KB");
}

Status Engine::accepts(const Entity& entity, const Message& message,
                       std::int64_t more_bytes) const {
  const QueueDescription& queue = entity.description();
  if (!entity.visible) return fail(Code::NotFound, "no entity " + entity.path);
  if (queue.status == EntityStatus::Disabled || queue.status == EntityStatus::SendDisabled)
    return fail(Code::PermissionDenied, queue.name + " is disabled for sending");
  if (queue.requires_session && !message.session_id)
    return fail(Code::Unsupported, queue.name + " needs a session id with each message");
  const std::int64_t bytes =
      entity.main.bytes() + entity.dead_letters.bytes() + entity.transfer_dead_letters.bytes();
  if (bytes + more_bytes + message.size > queue.max_size_mb * kMegabyte)
    return fail(Code::Exhausted, queue.name + " has reached its size of " +
                                     std::to_string(queue.max_size_mb) + " MB");
  return {};
}

SequenceNumber Engine::next_sequence(Batch& batch, Queue& queue) {
  const SequenceNumber sequence = queue.next_sequence++;
  // Repeated with each write until one of them is confirmed: an earlier one may have failed.
  const bool covered =
      std::any_of(batch.reserved.begin(), batch.reserved.end(),
                  [&](const Reserved& one) { return one.queue == &queue && sequence < one.until; });
  if (sequence >= queue.reserved_until && !covered) {
    const SequenceNumber until = sequence + kReservation;
    batch.changes.emplace_back(ReserveSequences{queue.key(), until});
    batch.reserved.push_back({pointer(queue.entity), &queue, until});
  }
  return sequence;
}

bool Engine::is_duplicate(Batch& batch, Entity& entity, const Message& message) {
  if (!entity.description().requires_duplicate_detection) return false;
  std::string key = duplicate_key(message);
  if (entity.duplicates.seen(key, now_)) {
    if (entity.duplicates.unconfirmed(key))
      batch.repeats.push_back({pointer(entity), std::move(key)});
    return true;
  }
  const TimePoint until = now_ + entity.description().duplicate_window;
  entity.duplicates.remember(key, until, false);
  arm(entity.main, until);
  batch.changes.emplace_back(RememberDuplicate{entity.stored.id, key, until});
  batch.seen.push_back({pointer(entity), std::move(key)});
  return false;
}

// The container in which the message ends; null for a duplicate.
Queue* Engine::route(Batch& batch, Queue& first, Message& message, bool fresh) {
  Queue* at = &first;
  for (;; fresh = true) {
    Entity& entity = at->entity;
    if (at->main()) {
      if (fresh && is_duplicate(batch, entity, message)) return nullptr;
      const TimePoint from = message.scheduled_for.value_or(now_);
      if (const auto limit = after(from, entity.description().default_ttl))
        message.expires_at = std::min(message.expires_at.value_or(*limit), *limit);
    }
    const std::string target = at->forwards_to();
    if (target.empty() || message.state == MessageState::Scheduled) return at;
    if (message.enqueue_sequence == 0)
      message.enqueue_sequence =
          message.sequence != 0 ? message.sequence : next_sequence(batch, *at);
    if (message.forwards >= kMostForwards)
      return &fail_transfer(entity, message, "MaxTransferHopCountExceeded",
                            "The message was forwarded more than 4 times.");
    const auto address = parse_address(target);
    Entity* destination = address ? find_entity(address->path) : nullptr;
    const Status accepted = destination == nullptr ? fail(Code::NotFound, "no entity " + target)
                                                   : accepts(*destination, message, 0);
    if (!accepted)
      return &fail_transfer(entity, message, "ForwardingFailed", accepted.error().message);
    ++message.forwards;
    message.delivery_count = 0;
    at = &destination->main;
  }
}

Queue& Engine::fail_transfer(Entity& entity, Message& message, std::string reason,
                             std::string description) {
  message = dead_letter_of(entity.main, message, reason, description, {});
  return entity.transfer_dead_letters;
}

SequenceNumber Engine::enqueue(Batch& batch, Queue& first, Message message, bool fresh) {
  Queue* queue = route(batch, first, message, fresh);
  if (queue == nullptr) return 0;
  message.sequence = next_sequence(batch, *queue);
  auto stored = std::make_shared<const Message>(std::move(message));
  batch.changes.emplace_back(InsertMessage{queue->key(), stored});
  batch.arrivals.push_back({pointer(queue->entity), queue, stored});
  return stored->sequence;
}

}  // namespace jobmill::broker
