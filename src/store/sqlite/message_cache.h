// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <unordered_map>

#include "broker/message_store.h"
#include "store/sqlite/message_key.h"

namespace jobmill::sqlite {

// The messages used last, up to a number of bytes, so that one that is received soon after it was
// sent is never read from the disk. For one thread.
class MessageCache {
 public:
  explicit MessageCache(std::size_t bytes) : limit_(bytes) {}
  MessageCache(const MessageCache&) = delete;
  MessageCache& operator=(const MessageCache&) = delete;

  // New, or in place of the old one. One that is larger than the whole cache is not kept.
  void put(const broker::QueueKey& queue, std::shared_ptr<const broker::Message> message);
  // Null when it is not here. What was found is the last to go.
  std::shared_ptr<const broker::Message> find(const MessageKey& key);
  void drop(const MessageKey& key);
  void drop(broker::EntityId entity);

  std::size_t bytes() const { return used_; }

 private:
  // Linked from the least recently to the most recently used; the map's nodes stay where they are.
  struct Entry {
    MessageKey key{};
    std::shared_ptr<const broker::Message> message{};
    Entry* older = nullptr;
    Entry* newer = nullptr;
  };
  using Entries = std::unordered_map<MessageKey, Entry, MessageKey::Hash>;

  static std::size_t size_of(const broker::Message& message);
  void link(Entry& entry);
  void unlink(Entry& entry);
  Entries::iterator drop(Entries::iterator at);

  const std::size_t limit_;
  std::size_t used_ = 0;
  Entries entries_;
  Entry* oldest_ = nullptr;
  Entry* newest_ = nullptr;
};

}  // namespace jobmill::sqlite
