// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "broker/message_store.h"

namespace jobmill::sqlite {

// The number by which tables know a container of messages; 4 for each entity, one spare.
inline std::int64_t number_of(const broker::QueueKey& queue) {
  return queue.entity * 4 + static_cast<std::int64_t>(queue.sub_queue);
}
inline broker::QueueKey queue_of(std::int64_t number) {
  return {.entity = number / 4, .sub_queue = static_cast<broker::SubQueue>(number % 4)};
}

struct MessageKey {
  std::int64_t queue = 0;
  broker::SequenceNumber sequence = 0;
  bool operator==(const MessageKey&) const = default;

  struct Hash {
    std::size_t operator()(const MessageKey& key) const {
      // Neighbours in one queue become neighbours in the table of buckets, as they are used.
      return static_cast<std::size_t>(key.queue) * 0x9E3779B97F4A7C15u +
             static_cast<std::size_t>(key.sequence);
    }
  };
};

}  // namespace jobmill::sqlite
