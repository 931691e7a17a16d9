// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "amqp/value.h"
#include "base/clock.h"
#include "base/result.h"

namespace jobmill::broker {

using SequenceNumber = std::int64_t;  // from 1, per queue, rising; never given twice

// As stored: a number of the table, never change one.
enum class MessageState : std::uint8_t { Ready = 0, Deferred = 1, Scheduled = 2 };

// A message at rest: what the broker must know of it without opening it, and the sections as they
// came (with a message-id when the sender gave none). Immutable once stored, therefore shared.
struct Message {
  SequenceNumber sequence = 0;
  MessageState state = MessageState::Ready;
  std::uint32_t delivery_count = 0;  // failed deliveries so far
  TimePoint enqueued_at{};
  std::optional<TimePoint> expires_at{};
  std::optional<TimePoint> scheduled_for{};
  std::string message_id{};  // as text
  std::optional<std::string> session_id{};
  std::optional<std::string> partition_key{};
  SequenceNumber enqueue_sequence = 0;         // of a forwarded message: the first it had; else 0
  std::uint8_t forwards = 0;                   // hops so far
  std::string dead_letter_source{};            // entity it was dead-lettered in
  std::shared_ptr<const std::string> bytes{};  // encoded sections
  std::uint32_t size = 0;                      // of bytes; known also where they were not read
};

// Reads what a sender gave: message-id (a new one of 32 hex digits is written into the properties
// when absent), group-id, time to live, x-opt-scheduled-enqueue-time, x-opt-partition-key. Without
// sequence. InvalidArgument: not a message; ids over
// 128 characters; properties that are too large.
Result<Message> read_message(std::string_view bytes, TimePoint now);

// Whether all that stands before the body is small enough: each property, and all together.
// InvalidArgument: it is not; read_message() looks as well.
Status check_properties(std::string_view bytes);

// Ids are as long as their characters are many, not their bytes.
Status check_id(std::string_view what, std::string_view id);

// 16 bytes in network order, as the lock token is in $management; as a delivery tag its first three
// groups are little-endian (a .NET GUID).
using LockToken = std::array<std::uint8_t, 16>;
std::array<char, 16> delivery_tag(const LockToken& token);
LockToken from_delivery_tag(std::string_view tag);

// What is written around a message that is handed out: header, delivery-annotations and
// message-annotations anew, everything from properties on as it is.
struct Rendering {
  std::optional<TimePoint> locked_until{};  // of peek-lock deliveries
  const LockToken* lock_token = nullptr;    // written into the delivery annotations
  bool peeked = false;                      // adds x-opt-message-state
};
// Appends the rewritten head to `head` and answers the unchanged rest, a view of message.bytes.
std::string_view render(std::string& head, const Message& message, const Rendering& rendering);
std::string render_whole(const Message& message, const Rendering& rendering);

// The same message with application properties set; others keep their place.
std::shared_ptr<const std::string> with_properties(const std::string& bytes,
                                                   const amqp::Map& properties);
std::shared_ptr<const std::string> without_properties(const std::string& bytes,
                                                      std::span<const std::string_view> names);

}  // namespace jobmill::broker
