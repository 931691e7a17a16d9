// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "broker/entity.h"

namespace jobmill::broker {

// How much there may be of what only the cloud bounds. Lengths of ids, names and properties are
// bounded everywhere, see read_message() and check().
struct Limits {
  static constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  std::int64_t connections = kNone;  // of this server, whatever name they came by
  std::int64_t receivers = kNone;    // of an entity, those that wait for a session included
  std::int64_t entities = kNone;     // of a namespace
  std::int64_t rules = kNone;        // of a namespace, the root rule included
  std::int64_t message_kb = 100 * 1024;
  std::int64_t least_queue_mb = 1;
  std::int64_t queue_mb = kNone;
  bool operator==(const Limits&) const = default;
};

inline constexpr Limits kOpenLimits{};
// Of a namespace of the tier Standard.
inline constexpr Limits kCloudLimits{.connections = 5'000,
                                     .receivers = 5'000,
                                     .entities = 10'000,
                                     .rules = 12,
                                     .message_kb = 256,
                                     .least_queue_mb = 1024,
                                     .queue_mb = 5 * 1024};

// What of the queue lies beyond the limits, one sentence each. What is as it was, or as it is when
// nobody says anything, is not asked for: it is only kept within().
std::vector<std::string> beyond(const QueueDescription& queue, const Limits& limits,
                                const QueueDescription& before = {});

// InvalidArgument: the first of those.
Status check(const QueueDescription& queue, const Limits& limits,
             const QueueDescription& before = {});

// The same queue as far as the limits go.
QueueDescription within(QueueDescription queue, const Limits& limits);

// Exhausted when there are as many already: "a namespace has at most 10000 entities".
Status check_count(std::int64_t there_are, std::int64_t limit, std::string_view owner,
                   std::string_view what);

}  // namespace jobmill::broker
