// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "broker/message.h"

namespace jobmill::broker {

// The message ids that an entity with duplicate detection has seen.
class DuplicateHistory {
 public:
  // A message counts as seen from the moment it is taken, before it is durable; should its write
  // fail, it is forgotten.
  bool seen(const std::string& key, TimePoint now) const;
  bool unconfirmed(const std::string& key) const;
  void remember(const std::string& key, TimePoint until, bool confirmed);
  void confirm(const std::string& key);
  void forget(const std::string& key);

  // True when some were dropped. It need not be called for each of them.
  bool forget_before(TimePoint now);
  std::optional<TimePoint> trim_at() const;

 private:
  struct Seen {
    TimePoint until{};
    bool confirmed = false;
  };
  std::unordered_map<std::string, Seen> seen_;
  std::deque<std::pair<TimePoint, std::string>> order_;
};

// The same id in two partitions are two messages.
std::string duplicate_key(const Message& message);

}  // namespace jobmill::broker
