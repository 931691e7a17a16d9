// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "amqp/connection.h"

namespace jobmill::amqp {

// The deliveries of a session, in one direction, that are not settled. Ids come one after the other
// and go nearly so, hence a ring indexed by the id: no hashing, no allocation once it has its size.
// Its memory follows the number of deliveries, not the distance of their ids: a few that stay
// behind while thousands pass by, or a peer whose ids jump, are moved into a map.
class Deliveries {
 public:
  struct Entry {
    LinkId link = 0;  // 0: nothing here
    std::uint64_t cookie = 0;
  };

  void insert(DeliveryId id, Entry entry);
  // Nullptr when it is not, or no longer, unsettled. Valid until the next call that is not const.
  const Entry* find(DeliveryId id) const;
  bool erase(DeliveryId id);
  void erase_link(LinkId link);
  // Appends the ids from `first` to `last`, both included, in their serial order.
  void list(DeliveryId first, DeliveryId last, std::vector<DeliveryId>& ids) const;
  std::size_t size() const { return filled_ + stragglers_.size(); }
  std::size_t capacity() const { return ring_.size(); }

 private:
  Entry& slot(DeliveryId id) { return ring_[id & (ring_.size() - 1)]; }
  const Entry& slot(DeliveryId id) const { return ring_[id & (ring_.size() - 1)]; }
  bool in_ring(DeliveryId id) const { return id - base_ < span_ && slot(id).link != 0; }
  void make_room(DeliveryId id);
  void move_out();
  void grow();
  void trim();

  std::vector<Entry> ring_;  // a power of two; what is not in the span is empty
  DeliveryId base_ = 0;
  std::uint32_t span_ = 0;  // ids from base_ on that the ring holds
  std::size_t filled_ = 0;
  std::unordered_map<DeliveryId, Entry> stragglers_;
};

}  // namespace jobmill::amqp
