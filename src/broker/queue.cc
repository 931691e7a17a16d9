// SPDX-License-Identifier: Apache-2.0
#include "broker/queue.h"

#include <algorithm>
#include <cassert>

namespace jobmill::broker {

QueueKey Queue::key() const { return {entity.stored.id, sub_queue}; }

void Queue::changed() { entity.changed(); }

void Queue::add(Entry entry, const std::optional<std::string>& session_id) {
  changed();
  bytes_ += entry.size;
  if (sessions && session_id) entry.session = &sessions->get(*session_id);
  index_.append(entry);
  if (entry.place == Place::Scheduled) scheduled_.emplace(entry.enqueued_at, entry.sequence);
  if (entry.session == nullptr) return;
  ++entry.session->messages;
  if (entry.place == Place::Ready) entry.session->ready.insert(entry.sequence);
  sessions->changed(*entry.session);
}

void Queue::remove(SequenceNumber sequence) {
  const Entry* entry = index_.find(sequence);
  if (entry == nullptr) return;
  changed();
  if (entry->place == Place::Scheduled) scheduled_.erase({entry->enqueued_at, sequence});
  bytes_ -= entry->size;
  MessageSession* session = entry->session;
  if (session != nullptr && entry->place == Place::Ready) session->ready.erase(sequence);
  index_.erase(sequence);
  if (session == nullptr) return;
  --session->messages;
  sessions->changed(*session);
}

void Queue::put(SequenceNumber sequence, Place place) {
  const Entry* entry = index_.find(sequence);
  assert(entry != nullptr);
  const Place before = entry->place;
  if (before == place) return;
  changed();
  if (before == Place::Scheduled) scheduled_.erase({entry->enqueued_at, sequence});
  if (place == Place::Scheduled) scheduled_.emplace(entry->enqueued_at, sequence);
  index_.move(sequence, place);
  MessageSession* session = entry->session;
  if (session == nullptr) return;
  if (before == Place::Ready) session->ready.erase(sequence);
  if (place == Place::Ready) session->ready.insert(sequence);
  if (before == Place::Ready || place == Place::Ready) sessions->changed(*session);
}

void Queue::set_delivery_count(SequenceNumber sequence, std::uint32_t count) {
  if (Entry* entry = index_.find(sequence)) entry->delivery_count = count;
}

const std::string& Queue::forwards_to() const {
  static const std::string kNowhere;
  switch (sub_queue) {
    case SubQueue::Main:
      return entity.description().forward_to;
    case SubQueue::DeadLetter:
      return entity.description().forward_dead_letters_to;
    case SubQueue::TransferDeadLetter:
      break;
  }
  return kNowhere;
}

const Entry* Queue::take_ready() {
  const Entry* entry = index_.first_ready();
  if (entry != nullptr) index_.move(entry->sequence, Place::Reading);
  return entry;
}

Counts Queue::counts() const {
  Counts counts;
  counts.locked = index_.count(Place::Locked);
  counts.active = counts.locked + index_.count(Place::Ready) + index_.count(Place::Reading) +
                  index_.count(Place::Moving);
  counts.scheduled = index_.count(Place::Scheduled);
  counts.deferred = index_.count(Place::Deferred) + index_.count(Place::DeferredLocked);
  return counts;
}

std::vector<SequenceNumber> Queue::due(TimePoint now) const {
  std::vector<SequenceNumber> due;
  for (const auto& [at, sequence] : scheduled_) {
    if (at > now) break;
    due.push_back(sequence);
  }
  return due;
}

std::optional<TimePoint> Queue::next_due() const {
  TimePoint next = index_.earliest_expiry();
  if (locks.first() != nullptr) next = std::min(next, locks.first()->until);
  if (!scheduled_.empty()) next = std::min(next, scheduled_.begin()->first);
  if (paused_until) next = std::min(next, *paused_until);
  if (sessions) next = std::min(next, sessions->next_due().value_or(TimePoint::max()));
  if (main()) {
    next = std::min(next, entity.idle_at().value_or(TimePoint::max()));
    next = std::min(next, entity.duplicates.trim_at().value_or(TimePoint::max()));
  }
  return next == TimePoint::max() ? std::nullopt : std::optional(next);
}

Entity::Entity(StoredEntity from)
    : stored(std::move(from)),
      path(lower(stored.description.name)),
      main(*this, SubQueue::Main),
      dead_letters(*this, SubQueue::DeadLetter),
      transfer_dead_letters(*this, SubQueue::TransferDeadLetter) {
  if (stored.description.requires_session) main.sessions = std::make_unique<MessageSessions>();
}

void Entity::note() {
  noted = true;
  changes->push_back(path);
}

Queue& Entity::queue(SubQueue which) {
  switch (which) {
    case SubQueue::DeadLetter:
      return dead_letters;
    case SubQueue::TransferDeadLetter:
      return transfer_dead_letters;
    case SubQueue::Main:
      break;
  }
  return main;
}

QueueInfo Entity::info() const {
  QueueInfo info;
  info.description = stored.description;
  info.name_space = stored.name_space;
  info.created_at = stored.created_at;
  info.updated_at = stored.updated_at;
  info.accessed_at = used_at;
  info.counts = main.counts();
  info.counts.dead_letter = dead_letters.index().count();
  info.counts.transfer_dead_letter = transfer_dead_letters.index().count();
  info.size_bytes = main.bytes() + dead_letters.bytes() + transfer_dead_letters.bytes();
  return info;
}

std::optional<TimePoint> Entity::idle_at() const {
  const auto& limit = description().auto_delete_on_idle;
  if (!limit || !visible || receivers > 0) return std::nullopt;
  if (*limit > TimePoint::max() - used_at) return std::nullopt;
  return used_at + *limit;
}

}  // namespace jobmill::broker
