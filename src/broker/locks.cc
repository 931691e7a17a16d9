// SPDX-License-Identifier: Apache-2.0
#include "broker/locks.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "base/random.h"

namespace jobmill::broker {
namespace {

constexpr std::size_t kIdBytes = sizeof(LockId);

LockId id_of(const LockToken& token) {
  LockId id = 0;
  std::memcpy(&id, token.data(), kIdBytes);
  return id;
}

}  // namespace

LockTable::LockTable() : random_used_(random_.size()) {}

LockToken LockTable::new_token(LockId id) {
  if (random_used_ == random_.size()) {
    fill_random(random_);
    random_used_ = 0;
  }
  LockToken token{};
  std::memcpy(token.data(), &id, kIdBytes);
  std::memcpy(token.data() + kIdBytes, random_.data() + random_used_, token.size() - kIdBytes);
  random_used_ += token.size() - kIdBytes;
  return token;
}

Lock& LockTable::add() {
  const LockId id = ++last_;
  Lock& lock = locks_[id];
  lock.id = id;
  lock.token = new_token(id);
  return lock;
}

Lock* LockTable::find(LockId id) {
  const auto at = locks_.find(id);
  return at == locks_.end() ? nullptr : &at->second;
}

std::optional<LockId> LockTable::find(const LockToken& token) const {
  const auto at = locks_.find(id_of(token));
  if (at == locks_.end() || at->second.token != token) return std::nullopt;
  return at->first;
}

std::vector<LockId> LockTable::of(const std::function<bool(const Lock&)>& wanted) const {
  std::vector<LockId> found;
  for (const auto& [id, lock] : locks_) {
    if (wanted(lock)) found.push_back(id);
  }
  std::sort(found.begin(), found.end());
  return found;
}

void LockOrder::add(Lock& lock) {
  Lock* before = last_;
  while (before != nullptr && before->until > lock.until) before = before->earlier;
  lock.earlier = before;
  lock.later = before == nullptr ? first_ : before->later;
  (lock.earlier == nullptr ? first_ : lock.earlier->later) = &lock;
  (lock.later == nullptr ? last_ : lock.later->earlier) = &lock;
}

void LockOrder::remove(Lock& lock) {
  (lock.earlier == nullptr ? first_ : lock.earlier->later) = lock.later;
  (lock.later == nullptr ? last_ : lock.later->earlier) = lock.earlier;
  lock.earlier = lock.later = nullptr;
}

}  // namespace jobmill::broker
