// SPDX-License-Identifier: Apache-2.0
#include "broker/message_index.h"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace jobmill::broker {
namespace {

constexpr std::size_t kBlockEntries = 256;

}  // namespace

std::int64_t MessageIndex::count() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::int64_t{0});
}

void MessageIndex::append(const Entry& entry) {
  assert(entry.place != Place::Gone);
  if (blocks_.empty() || blocks_.back().entries.size() == kBlockEntries) {
    blocks_.emplace_back();
    blocks_.back().first = entry.sequence;
  }
  Block& block = blocks_.back();
  assert(block.entries.empty() || block.entries.back().sequence < entry.sequence);
  block.entries.push_back(entry);
  block.entries.back().place = Place::Gone;
  ++block.live;
  set_place(block, block.entries.back(), entry.place);
}

// The last block that begins at or before the number; the first one when none does.
std::size_t MessageIndex::block_of(SequenceNumber sequence) const {
  const auto after = std::upper_bound(
      blocks_.begin(), blocks_.end(), sequence,
      [](SequenceNumber number, const Block& block) { return number < block.first; });
  return after == blocks_.begin() ? 0 : static_cast<std::size_t>(after - blocks_.begin()) - 1;
}

Entry* MessageIndex::find_in(Block& block, SequenceNumber sequence) {
  const auto at = std::lower_bound(
      block.entries.begin(), block.entries.end(), sequence,
      [](const Entry& entry, SequenceNumber number) { return entry.sequence < number; });
  if (at == block.entries.end() || at->sequence != sequence || at->place == Place::Gone)
    return nullptr;
  return &*at;
}

Entry* MessageIndex::find(SequenceNumber sequence) {
  if (blocks_.empty()) return nullptr;
  return find_in(blocks_[block_of(sequence)], sequence);
}

const Entry* MessageIndex::find(SequenceNumber sequence) const {
  return const_cast<MessageIndex*>(this)->find(sequence);
}

void MessageIndex::set_place(Block& block, Entry& entry, Place place) {
  if (entry.place == Place::Ready) --block.ready;
  if (entry.place != Place::Gone) --counts_[static_cast<std::size_t>(entry.place)];
  entry.place = place;
  if (place == Place::Gone) return;
  ++counts_[static_cast<std::size_t>(place)];
  if (place != Place::Ready) return;
  ++block.ready;
  ready_from_ = std::min(ready_from_, entry.sequence);
  block.earliest_expiry = std::min(block.earliest_expiry, entry.expires_at);
  earliest_expiry_ = std::min(earliest_expiry_, entry.expires_at);
}

void MessageIndex::move(SequenceNumber sequence, Place place) {
  Block& block = blocks_[block_of(sequence)];
  Entry* entry = find_in(block, sequence);
  assert(entry != nullptr && place != Place::Gone);
  set_place(block, *entry, place);
}

void MessageIndex::erase(SequenceNumber sequence) {
  const std::size_t index = block_of(sequence);
  Block& block = blocks_[index];
  Entry* entry = find_in(block, sequence);
  assert(entry != nullptr);
  set_place(block, *entry, Place::Gone);
  if (--block.live > 0) return;
  // The last block keeps its memory for what comes next.
  if (index + 1 == blocks_.size() && block.entries.size() < kBlockEntries) {
    block.entries.clear();
    block.earliest_expiry = TimePoint::max();
    return;
  }
  blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(index));
}

Entry* MessageIndex::first_ready() {
  if (count(Place::Ready) == 0) return nullptr;
  for (std::size_t i = block_of(ready_from_); i < blocks_.size(); ++i) {
    Block& block = blocks_[i];
    if (block.ready == 0) continue;
    auto entry = std::lower_bound(
        block.entries.begin(), block.entries.end(), ready_from_,
        [](const Entry& one, SequenceNumber number) { return one.sequence < number; });
    while (entry->place != Place::Ready) ++entry;
    ready_from_ = entry->sequence;
    return &*entry;
  }
  return nullptr;
}

const Entry* MessageIndex::at_or_after(SequenceNumber sequence) const {
  if (blocks_.empty()) return nullptr;
  for (std::size_t i = block_of(sequence); i < blocks_.size(); ++i) {
    for (const Entry& entry : blocks_[i].entries) {
      if (entry.sequence >= sequence && entry.place != Place::Gone) return &entry;
    }
  }
  return nullptr;
}

std::vector<SequenceNumber> MessageIndex::expired(TimePoint now) {
  std::vector<SequenceNumber> found;
  earliest_expiry_ = TimePoint::max();
  for (Block& block : blocks_) {
    if (block.earliest_expiry <= now) {
      block.earliest_expiry = TimePoint::max();
      for (const Entry& entry : block.entries) {
        if (entry.place != Place::Ready) continue;
        if (entry.expires_at <= now) {
          found.push_back(entry.sequence);
        } else {
          block.earliest_expiry = std::min(block.earliest_expiry, entry.expires_at);
        }
      }
    }
    earliest_expiry_ = std::min(earliest_expiry_, block.earliest_expiry);
  }
  return found;
}

}  // namespace jobmill::broker
