// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/message_cache.h"

#include <utility>

namespace jobmill::sqlite {

// What the heap adds to the text, the message and the entry is in the last number.
std::size_t MessageCache::size_of(const broker::Message& message) {
  return (message.bytes ? message.bytes->size() : 0) + sizeof message + sizeof(Entry) + 100;
}

void MessageCache::put(const broker::QueueKey& queue,
                       std::shared_ptr<const broker::Message> message) {
  const MessageKey key{number_of(queue), message->sequence};
  const std::size_t size = size_of(*message);
  if (size > limit_) return drop(key);
  Entry& entry = entries_[key];
  if (entry.message) {
    used_ -= size_of(*entry.message);
    unlink(entry);
  }
  entry.key = key;
  entry.message = std::move(message);
  used_ += size;
  link(entry);
  while (used_ > limit_) drop(oldest_->key);
}

std::shared_ptr<const broker::Message> MessageCache::find(const MessageKey& key) {
  const auto at = entries_.find(key);
  if (at == entries_.end()) return nullptr;
  unlink(at->second);
  link(at->second);
  return at->second.message;
}

void MessageCache::drop(const MessageKey& key) {
  if (const auto at = entries_.find(key); at != entries_.end()) drop(at);
}

void MessageCache::drop(broker::EntityId entity) {
  for (auto at = entries_.begin(); at != entries_.end();)
    at = queue_of(at->first.queue).entity == entity ? drop(at) : std::next(at);
}

MessageCache::Entries::iterator MessageCache::drop(Entries::iterator at) {
  used_ -= size_of(*at->second.message);
  unlink(at->second);
  return entries_.erase(at);
}

void MessageCache::link(Entry& entry) {
  entry.older = newest_;
  entry.newer = nullptr;
  (newest_ == nullptr ? oldest_ : newest_->newer) = &entry;
  newest_ = &entry;
}

void MessageCache::unlink(Entry& entry) {
  (entry.older == nullptr ? oldest_ : entry.older->newer) = entry.newer;
  (entry.newer == nullptr ? newest_ : entry.newer->older) = entry.older;
}

}  // namespace jobmill::sqlite
