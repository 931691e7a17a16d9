// SPDX-License-Identifier: Apache-2.0
#include "broker/duplicates.h"

namespace jobmill::broker {

bool DuplicateHistory::seen(const std::string& key, TimePoint now) const {
  const auto at = seen_.find(key);
  return at != seen_.end() && at->second.until > now;
}

bool DuplicateHistory::unconfirmed(const std::string& key) const {
  const auto at = seen_.find(key);
  return at != seen_.end() && !at->second.confirmed;
}

void DuplicateHistory::remember(const std::string& key, TimePoint until, bool confirmed) {
  seen_[key] = {until, confirmed};
  order_.emplace_back(until, key);
}

void DuplicateHistory::confirm(const std::string& key) {
  if (const auto at = seen_.find(key); at != seen_.end()) at->second.confirmed = true;
}

void DuplicateHistory::forget(const std::string& key) { seen_.erase(key); }

bool DuplicateHistory::forget_before(TimePoint now) {
  bool dropped = false;
  while (!order_.empty() && order_.front().first <= now) {
    // Its key may have been seen again later.
    if (const auto at = seen_.find(order_.front().second);
        at != seen_.end() && at->second.until <= now)
      seen_.erase(at);
    order_.pop_front();
    dropped = true;
  }
  return dropped;
}

std::optional<TimePoint> DuplicateHistory::trim_at() const {
  if (order_.empty()) return std::nullopt;
  return order_.front().first + std::chrono::seconds(1);
}

std::string duplicate_key(const Message& message) {
  std::string key = message.message_id;
  if (message.partition_key) key.append(1, '\0').append(*message.partition_key);
  return key;
}

}  // namespace jobmill::broker
