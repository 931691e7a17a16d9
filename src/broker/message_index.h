// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "broker/message.h"

namespace jobmill::broker {

struct MessageSession;

// Where a message of a queue is between arrival and removal.
enum class Place : std::uint8_t {
  Gone,
  Ready,
  Reading,  // its body is on the way to a receiver, or it is being received and deleted
  Locked,
  Deferred,
  DeferredLocked,  // a deferred message that was received by number
  Scheduled,
  Moving,  // on its way out: expired, forwarded, dead-lettered
};
inline constexpr std::size_t kPlaces = 8;

// What is in memory of a message that waits. A million of them are 48 MB.
struct Entry {
  SequenceNumber sequence = 0;
  TimePoint expires_at = TimePoint::max();
  TimePoint enqueued_at{};
  MessageSession* session = nullptr;  // in queues with sessions
  std::uint32_t delivery_count = 0;
  std::uint32_t size = 0;
  Place place = Place::Ready;
};

// The messages of one queue in the order of their sequence numbers: appended at the end, removed
// anywhere. Entries lie in blocks of a few hundred, each of which knows how many of its messages
// are ready and when the first may expire; so neither a backlog of deferred messages nor times to
// live need a second structure.
class MessageIndex {
 public:
  // Its sequence is greater than all before.
  void append(const Entry& entry);

  // Null when it is not there (any more). Valid until the next append() or erase(). Only move()
  // may change the place, and nobody the sequence.
  Entry* find(SequenceNumber sequence);
  const Entry* find(SequenceNumber sequence) const;
  void move(SequenceNumber sequence, Place place);
  void erase(SequenceNumber sequence);

  Entry* first_ready();
  // The first with this number or a greater one.
  const Entry* at_or_after(SequenceNumber sequence) const;

  std::int64_t count(Place place) const { return counts_[static_cast<std::size_t>(place)]; }
  std::int64_t count() const;

  // No ready message expires before this. A bound: it may be of one that is gone.
  TimePoint earliest_expiry() const { return earliest_expiry_; }
  // Ready messages whose time is over; to be moved away at once, they are told only this time.
  std::vector<SequenceNumber> expired(TimePoint now);

 private:
  struct Block {
    SequenceNumber first = 0;
    std::uint32_t live = 0;
    std::uint32_t ready = 0;
    TimePoint earliest_expiry = TimePoint::max();
    std::vector<Entry> entries{};
  };

  std::size_t block_of(SequenceNumber sequence) const;
  void set_place(Block& block, Entry& entry, Place place);
  static Entry* find_in(Block& block, SequenceNumber sequence);

  std::vector<Block> blocks_;
  SequenceNumber ready_from_ = 0;  // nothing before it is ready
  TimePoint earliest_expiry_ = TimePoint::max();
  std::array<std::int64_t, kPlaces> counts_{};
};

}  // namespace jobmill::broker
