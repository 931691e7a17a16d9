// SPDX-License-Identifier: Apache-2.0
#include "executions/reservations.h"

namespace jobmill::executions {

void Reservations::change(const Rule& rule, const Share& from, const Share& to) {
  if (from == to) return;
  Sum& sum = sums_[rule];
  sum.share.reserved += to.reserved - from.reserved;
  sum.share.taken += to.taken - from.taken;
  if (sum.share == Share() && !sum.ready) sums_.erase(rule);
}

void Reservations::set_ready(const Rule& rule, std::int64_t ready) { sums_[rule].ready = ready; }

void Reservations::forget_ready(const Rule& rule) {
  const auto found = sums_.find(rule);
  if (found == sums_.end()) return;
  found->second.ready.reset();
  if (found->second.share == Share()) sums_.erase(found);
}

Reservations::Sum Reservations::of(const Rule& rule) const {
  const auto found = sums_.find(rule);
  return found == sums_.end() ? Sum() : found->second;
}

bool Reservations::any_left(const Rule& rule, const Share& own) const {
  const Sum sum = of(rule);
  return !sum.ready || *sum.ready - (sum.share.reserved - own.reserved) >= 1;
}

}  // namespace jobmill::executions
