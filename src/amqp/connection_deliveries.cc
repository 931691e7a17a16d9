// SPDX-License-Identifier: Apache-2.0
#include "amqp/connection_deliveries.h"

#include <algorithm>

namespace jobmill::amqp {

namespace {

constexpr std::size_t kSmallest = 16;

}  // namespace

void Deliveries::insert(DeliveryId id, Entry entry) {
  if (!stragglers_.empty()) stragglers_.erase(id);
  if (filled_ == 0) {
    base_ = id;
    span_ = 0;
  }
  if (id - base_ >= ring_.size()) make_room(id);
  span_ = std::max(span_, id - base_ + 1);
  Entry& place = slot(id);
  if (place.link == 0) ++filled_;
  place = entry;
}

// Grows while the ring is well filled; otherwise those in it are few and far behind.
void Deliveries::make_room(DeliveryId id) {
  while (id - base_ >= ring_.size()) {
    if (filled_ >= ring_.size() / 4) {
      grow();
    } else {
      move_out();
      base_ = id;
      span_ = 0;
    }
  }
}

void Deliveries::move_out() {
  for (std::uint32_t i = 0; i < span_; ++i) {
    Entry& entry = slot(base_ + i);
    if (entry.link != 0) stragglers_.emplace(base_ + i, entry);
    entry = {};
  }
  filled_ = 0;
}

void Deliveries::grow() {
  std::vector<Entry> larger(std::max(kSmallest, ring_.size() * 2));
  for (std::uint32_t i = 0; i < span_; ++i) {
    larger[(base_ + i) & (larger.size() - 1)] = slot(base_ + i);
  }
  ring_ = std::move(larger);
}

const Deliveries::Entry* Deliveries::find(DeliveryId id) const {
  if (in_ring(id)) return &slot(id);
  if (stragglers_.empty()) return nullptr;
  const auto it = stragglers_.find(id);
  return it == stragglers_.end() ? nullptr : &it->second;
}

bool Deliveries::erase(DeliveryId id) {
  if (!in_ring(id)) return !stragglers_.empty() && stragglers_.erase(id) > 0;
  slot(id) = {};
  --filled_;
  trim();
  return true;
}

void Deliveries::erase_link(LinkId link) {
  for (std::uint32_t i = 0; i < span_; ++i) {
    Entry& entry = slot(base_ + i);
    if (entry.link != link) continue;
    entry = {};
    --filled_;
  }
  trim();
  std::erase_if(stragglers_, [&](const auto& item) { return item.second.link == link; });
}

// The span begins with a delivery that is there, or is empty.
void Deliveries::trim() {
  if (filled_ == 0) span_ = 0;
  while (span_ > 0 && slot(base_).link == 0) {
    ++base_;
    --span_;
  }
}

void Deliveries::list(DeliveryId first, DeliveryId last, std::vector<DeliveryId>& ids) const {
  const std::size_t begin = ids.size();
  const auto take = [&](DeliveryId id) {
    if (id - first <= last - first) ids.push_back(id);
  };
  for (std::uint32_t i = 0; i < span_; ++i) {
    if (slot(base_ + i).link != 0) take(base_ + i);
  }
  for (const auto& [id, entry] : stragglers_) take(id);
  std::sort(ids.begin() + static_cast<std::ptrdiff_t>(begin), ids.end(),
            [&](DeliveryId a, DeliveryId b) { return a - first < b - first; });
}

}  // namespace jobmill::amqp
