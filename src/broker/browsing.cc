// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <set>

#include "broker/engine.h"

namespace jobmill::broker {
namespace {

constexpr std::array kDeadLetterProperties{kReasonProperty, kDescriptionProperty};

// Of one write, or of one read of whole messages.
constexpr std::size_t kMostMessages = 256;
constexpr std::size_t kMostBytes = 4 * 1024 * 1024;
// Of messages that are received by number, all of them or none.
constexpr std::size_t kMostReceivedBytes = 16 * 1024 * 1024;

// Nobody has it, and nothing happens to it.
bool at_rest(const Entry& entry) {
  return entry.place == Place::Ready || entry.place == Place::Deferred ||
         entry.place == Place::Scheduled;
}

// Who names a message twice means it once.
std::vector<SequenceNumber> each_once(std::span<const SequenceNumber> sequences) {
  std::set<SequenceNumber> seen;
  std::vector<SequenceNumber> once;
  for (const SequenceNumber sequence : sequences)
    if (seen.insert(sequence).second) once.push_back(sequence);
  return once;
}

std::vector<SequenceNumber> take_some(std::vector<SequenceNumber>& from) {
  const std::size_t count = std::min(from.size(), kMostMessages);
  const auto end = from.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<SequenceNumber> some(from.begin(), end);
  from.erase(from.begin(), end);
  return some;
}

}  // namespace

void Engine::peek(const Address& at, SequenceNumber from, std::size_t count,
                  std::optional<std::string> session, Broker::Answer<Messages> done) {
  const Turn turn(*this, false);
  const auto found = use_queue(at, now_);
  if (!found) return done(found.error());
  Queue& queue = **found;
  const MessageSession* only = nullptr;
  if (session && queue.sessions) {
    only = queue.sessions->find(*session);
    if (only == nullptr) return done(Messages());
  }
  std::vector<SequenceNumber> wanted;
  std::size_t bytes = 0;
  for (const Entry* entry = queue.index().at_or_after(from);
       entry != nullptr && wanted.size() < count && bytes < kMostBytes;
       entry = queue.index().at_or_after(entry->sequence + 1)) {
    if (only != nullptr && entry->session != only) continue;
    if (!wanted.empty() && bytes + entry->size > kMostBytes) break;
    wanted.push_back(entry->sequence);
    bytes += entry->size;
  }
  if (wanted.empty()) return done(Messages());
  read(queue, std::move(wanted), std::move(done));
}

// --- deferred messages ---

void Engine::receive(const ReceiverOptions& options, std::optional<std::string> session,
                     std::span<const SequenceNumber> sequences, TimePoint now,
                     Broker::Answer<std::vector<Delivery>> done) {
  const Turn turn(*this, false);
  const auto found = check_receiver(options, now);
  if (!found) return done(found.error());
  Queue& queue = **found;
  MessageSession* held = nullptr;
  if (queue.sessions) {
    expire_sessions(queue);
    held = session ? queue.sessions->find(*session) : nullptr;
    if (held == nullptr || held->holder == 0)
      return done(fail(Code::Conflict, "the session of these messages is not locked"));
  }
  std::vector<SequenceNumber> wanted = each_once(sequences);
  std::size_t bytes = 0;
  for (const SequenceNumber sequence : wanted) {
    const Entry* entry = queue.find(sequence);
    const bool there =
        entry != nullptr && entry->place == Place::Deferred && entry->session == held;
    // Time to live does not end the wait of a deferred message, only its use.
    if (there && entry->expires_at <= now_) {
      const bool keep = queue.entity.description().dead_letter_on_expiration;
      move(queue, {sequence, keep ? Move::Kind::DeadLetter : Move::Kind::Drop,
                   "TTLExpiredException", "The message expired and was dead lettered."});
    } else if (there) {
      bytes += entry->size;
      continue;
    }
    return done(
        fail(Code::NotFound, "no deferred message has the number " + std::to_string(sequence)));
  }
  if (wanted.empty()) return done(std::vector<Delivery>());
  if (wanted.size() > 1 && bytes > kMostReceivedBytes)
    return done(fail(Code::InvalidArgument, "these messages have " + std::to_string(bytes) +
                                                " bytes together; ask for fewer at once"));
  for (const SequenceNumber sequence : wanted) queue.put(sequence, Place::DeferredLocked);
  read(queue, wanted,
       [this, &queue, mode = options.mode, holder = live(options.holder),
        session_holder = held == nullptr ? 0 : held->holder, session = std::move(session), wanted,
        done = std::move(done)](Result<Messages> messages) mutable {
         if (messages && messages->size() < wanted.size())
           messages = fail(Code::NotFound, "a deferred message is gone");
         MessageSession* now_held =
             queue.sessions && session ? queue.sessions->find(*session) : nullptr;
         if (session_holder != 0 && (now_held == nullptr || now_held->holder != session_holder))
           messages = fail(Code::Conflict, "the session of these messages is not locked any more");
         if (holder != nullptr && holder->over)
           messages = fail(Code::Conflict, "who asked for these messages is no more");
         if (!messages) {
           if (!queue.entity.gone) {
             for (const SequenceNumber sequence : wanted) queue.put(sequence, Place::Deferred);
           }
           return done(messages.error());
         }
         if (mode == ReceiveMode::ReceiveAndDelete)
           return delete_deferred(queue, holder, *std::move(messages), std::move(done));
         std::vector<Delivery> deliveries;
         for (const MessagePtr& message : *messages)
           deliveries.push_back(lock(queue, now_held, 0, holder, message, Place::DeferredLocked));
         done(std::move(deliveries));
       });
}

void Engine::delete_deferred(Queue& queue, const HolderPtr& holder, Messages messages,
                             Broker::Answer<std::vector<Delivery>> done) {
  Batch batch;
  for (const MessagePtr& message : messages) {
    batch.changes.emplace_back(DeleteMessage{queue.key(), message->sequence});
    record(batch, event(queue, holder, *message, Outcome::Deleted));
  }
  commit(std::move(batch),
         [this, entity = pointer(queue.entity), &queue, holder, messages = std::move(messages),
          done = std::move(done)](const Status& written) {
           std::vector<Delivery> deliveries;
           for (const MessagePtr& message : messages) {
             if (written) deliveries.push_back({.message = message});
             if (entity->gone) continue;
             if (written) {
               queue.remove(message->sequence);
               tell_deleted(queue, holder, *message);
             } else {
               queue.put(message->sequence, Place::Deferred);
             }
           }
           if (!written) return done(written.error());
           done(std::move(deliveries));
         });
}

// --- housekeeping ---

void Engine::purge(const Address& at, std::size_t count, const PurgeFilter& filter,
                   Broker::Answer<std::size_t> done) {
  const Turn turn(*this, false);
  const auto found = use_queue(at, now_);
  if (!found) return done(found.error());
  Queue& queue = **found;
  if (filter.session && !queue.sessions)
    return done(fail(Code::Unsupported, at.path + " has no sessions"));
  const MessageSession* session = filter.session ? queue.sessions->find(*filter.session) : nullptr;
  if (filter.session && session == nullptr) return done(std::size_t{0});
  const auto wanted = [&](const Entry* entry) {
    return entry != nullptr && at_rest(*entry) &&
           (!filter.before || entry->enqueued_at < *filter.before) &&
           (session == nullptr || entry->session == session);
  };
  std::vector<SequenceNumber> left;
  if (filter.only.empty()) {
    for (const Entry* entry = queue.index().at_or_after(0); entry != nullptr && left.size() < count;
         entry = queue.index().at_or_after(entry->sequence + 1)) {
      if (wanted(entry)) left.push_back(entry->sequence);
    }
  } else {
    for (const SequenceNumber sequence : filter.only) {
      if (left.size() < count && wanted(queue.find(sequence))) left.push_back(sequence);
    }
  }
  purge_some(queue, std::move(left), 0, std::move(done));
}

void Engine::purge_some(Queue& queue, std::vector<SequenceNumber> left, std::size_t purged,
                        Broker::Answer<std::size_t> done) {
  std::vector<std::pair<SequenceNumber, Place>> some;
  for (const SequenceNumber sequence : take_some(left)) {
    const Entry* entry = queue.find(sequence);
    // It may have been received since the list was made.
    if (entry == nullptr || !at_rest(*entry)) continue;
    some.emplace_back(sequence, entry->place);
    queue.put(sequence, Place::Moving);
  }
  if (some.empty()) return left.empty() ? done(purged) : purge_some(queue, left, purged, done);
  Batch batch;
  for (const auto& [sequence, place] : some)
    batch.changes.emplace_back(DeleteMessage{queue.key(), sequence});
  commit(std::move(batch),
         [this, entity = pointer(queue.entity), &queue, some = std::move(some),
          left = std::move(left), purged, done = std::move(done)](const Status& written) {
           if (entity->gone) return done(purged);
           for (const auto& [sequence, place] : some) {
             if (written) {
               queue.remove(sequence);
             } else {
               queue.put(sequence, place);
             }
           }
           wake(queue);
           if (!written) return done(written.error());
           purge_some(queue, left, purged + some.size(), done);
         });
}

void Engine::redrive(const Address& at, std::optional<Address> to,
                     std::span<const SequenceNumber> sequences, TimePoint now,
                     Broker::Answer<std::size_t> done) {
  const Turn turn(*this, false);
  const auto found = use_queue(at, now);
  if (!found) return done(found.error());
  if (to && find_entity(to->path) == nullptr)
    return done(fail(Code::NotFound, "no entity " + to->path));
  Queue& queue = **found;
  std::vector<SequenceNumber> left(sequences.begin(), sequences.end());
  if (left.empty()) {
    for (const Entry* entry = queue.index().at_or_after(0); entry != nullptr;
         entry = queue.index().at_or_after(entry->sequence + 1)) {
      if (entry->place == Place::Ready) left.push_back(entry->sequence);
    }
  }
  redrive_some(queue, std::move(to), std::move(left), 0, std::move(done));
}

void Engine::redrive_some(Queue& queue, std::optional<Address> to, std::vector<SequenceNumber> left,
                          std::size_t moved, Broker::Answer<std::size_t> done) {
  std::vector<SequenceNumber> some;
  std::size_t bytes = 0;
  auto next = left.begin();
  for (; next != left.end() && some.size() < kMostMessages && bytes < kMostBytes; ++next) {
    const Entry* entry = queue.find(*next);
    if (entry == nullptr || entry->place != Place::Ready) continue;
    some.push_back(*next);
    bytes += entry->size;
    queue.put(*next, Place::Moving);
  }
  left.erase(left.begin(), next);
  if (some.empty()) return done(moved);
  read(queue, some,
       [this, &queue, to = std::move(to), left = std::move(left), some, moved,
        done = std::move(done)](const Result<Messages>& messages) mutable {
         if (queue.entity.gone) return done(messages.error());
         const auto put_back_all = [&queue](const std::vector<SequenceNumber>& which) {
           for (const SequenceNumber sequence : which) {
             if (queue.find(sequence) != nullptr) queue.put(sequence, Place::Ready);
           }
         };
         auto batch =
             messages ? redrive_batch(queue, to, *messages) : Result<Batch>(messages.error());
         if (!batch) {
           put_back_all(some);
           wake(queue);
           return done(batch.error());
         }
         commit(*std::move(batch),
                [this, entity = pointer(queue.entity), &queue, to = std::move(to),
                 left = std::move(left), some = std::move(some), moved, put_back_all,
                 done = std::move(done)](const Status& written) {
                  if (entity->gone) return done(moved);
                  wake(queue);
                  if (!written) {
                    put_back_all(some);
                    return done(written.error());
                  }
                  for (const SequenceNumber sequence : some) queue.remove(sequence);
                  redrive_some(queue, to, left, moved + some.size(), done);
                });
       });
}

// As a new send: the time to live begins anew, no delivery counts, and it says no more why it was a
// dead letter.
Result<Engine::Batch> Engine::redrive_batch(Queue& queue, const std::optional<Address>& to,
                                            const Messages& messages) {
  Batch batch;
  std::int64_t bytes = 0;
  for (const MessagePtr& dead : messages) {
    Entity* destination = &queue.entity;
    if (to) {
      destination = find_entity(to->path);
    } else if (Entity* source = find_entity(lower(dead->dead_letter_source))) {
      destination = source;
    }
    if (destination == nullptr) return fail(Code::NotFound, "no entity " + to->path);
    TRY(Message message, read_message(*dead->bytes, now_));
    message.scheduled_for.reset();
    // Its sender's end of time, which has come already.
    if (message.expires_at <= now_) message.expires_at.reset();
    message.bytes = without_properties(*message.bytes, kDeadLetterProperties);
    message.size = static_cast<std::uint32_t>(message.bytes->size());
    TRY_VOID(accepts(*destination, message, bytes));
    bytes += message.size;
    batch.changes.emplace_back(DeleteMessage{queue.key(), dead->sequence});
    enqueue(batch, destination->main, std::move(message), false);
  }
  return batch;
}

}  // namespace jobmill::broker
