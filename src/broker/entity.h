// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/duration.h"
#include "base/result.h"
#include "base/secret.h"

namespace jobmill::broker {

// One bit each; Manage implies the other two.
enum class Right : std::uint8_t { Send = 1, Listen = 2, Manage = 4 };
struct Rights {
  std::uint8_t bits = 0;
  bool has(Right right) const {
    return (bits & static_cast<std::uint8_t>(right)) != 0 ||
           (bits & static_cast<std::uint8_t>(Right::Manage)) != 0;
  }
  bool operator==(const Rights&) const = default;
};

// A shared access rule of the namespace or of an entity. Both keys verify; a key is the bytes of
// its text.
struct AuthorizationRule {
  std::string name{};
  Rights rights{};
  Secret primary_key{};
  Secret secondary_key{};
  TimePoint created_at{};
  TimePoint updated_at{};
};

enum class EntityStatus : std::uint8_t { Active, Disabled, SendDisabled, ReceiveDisabled };

// What a user says about a queue; defaults are those of the cloud. nullopt means never.
// Part of it cannot change after creation: see Broker::update.
struct QueueDescription {
  std::string name{};  // as written; paths compare without case
  Duration lock_duration = std::chrono::minutes(1);
  std::int64_t max_size_mb = 1024;
  bool requires_duplicate_detection = false;  // fixed
  bool requires_session = false;              // fixed
  std::optional<Duration> default_ttl{};
  bool dead_letter_on_expiration = false;
  Duration duplicate_window = std::chrono::minutes(10);
  std::uint32_t max_delivery_count = 10;
  bool batched_operations = true;
  EntityStatus status = EntityStatus::Active;
  std::string forward_to{};               // a name or a URL, given back as it came
  std::string forward_dead_letters_to{};  // likewise
  std::string user_metadata{};
  std::optional<Duration> auto_delete_on_idle{};
  bool partitioning = false;  // fixed; without effect here
  bool express = false;       // without effect here
  std::int64_t max_message_kb = 1024;
  std::vector<AuthorizationRule> rules{};
};

// Names, limits, durations, at most 12 rules. InvalidArgument names the property and the wish.
Status check(const QueueDescription& queue);

// Messages of one queue by state. `active` are those that a receiver could get or has: ready and
// locked ones.
struct Counts {
  std::int64_t active = 0;
  std::int64_t locked = 0;  // part of active
  std::int64_t scheduled = 0;
  std::int64_t deferred = 0;
  std::int64_t dead_letter = 0;
  std::int64_t transfer = 0;
  std::int64_t transfer_dead_letter = 0;
  std::int64_t total() const {
    return active + scheduled + deferred + dead_letter + transfer + transfer_dead_letter;
  }
  bool operator==(const Counts&) const = default;
};

// A queue as people and autoscalers see it.
struct QueueInfo {
  QueueDescription description{};
  std::string name_space{};  // under which it was made
  TimePoint created_at{};
  TimePoint updated_at{};
  std::optional<TimePoint> accessed_at{};
  Counts counts{};
  std::int64_t size_bytes = 0;
};

}  // namespace jobmill::broker
