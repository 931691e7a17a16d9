// SPDX-License-Identifier: Apache-2.0
#include "front/claims.h"

#include <algorithm>
#include <utility>

namespace jobmill::front {
namespace {

bool alive(const broker::Claim& claim, TimePoint now) {
  return !claim.expires_at || *claim.expires_at > now;
}

// Whether the first makes the second superfluous.
bool replaces(const broker::Claim& claim, const broker::Claim& old) {
  const bool longer = !claim.expires_at || (old.expires_at && *claim.expires_at >= *old.expires_at);
  return claim.path == old.path && claim.rights == old.rights && claim.holder == old.holder &&
         longer;
}

}  // namespace

void Claims::put(broker::Claim claim) {
  for (const broker::Claim& old : claims_)
    if (replaces(old, claim)) return;
  std::erase_if(claims_, [&](const broker::Claim& old) { return replaces(claim, old); });
  claims_.push_back(std::move(claim));
}

bool Claims::allow(std::string_view path, broker::Right right, TimePoint now) const {
  return std::any_of(claims_.begin(), claims_.end(), [&](const broker::Claim& claim) {
    return claim.rights.has(right) && alive(claim, now) && claim.covers(path);
  });
}

bool Claims::cover(std::string_view path, TimePoint now) const {
  return std::any_of(claims_.begin(), claims_.end(), [&](const broker::Claim& claim) {
    return claim.rights.bits != 0 && alive(claim, now) && claim.covers(path);
  });
}

std::string Claims::holder(std::string_view path, TimePoint now) const {
  for (const broker::Claim& claim : claims_)
    if (!claim.holder.empty() && alive(claim, now) && claim.covers(path)) return claim.holder;
  return {};
}

bool Claims::of(std::string_view holder) const {
  return std::any_of(claims_.begin(), claims_.end(),
                     [&](const broker::Claim& claim) { return claim.holder == holder; });
}

bool Claims::expire(TimePoint now) {
  return std::erase_if(claims_, [&](const auto& claim) { return !alive(claim, now); }) > 0;
}

std::optional<TimePoint> Claims::next_expiry() const {
  std::optional<TimePoint> next;
  for (const broker::Claim& claim : claims_)
    if (claim.expires_at && (!next || *claim.expires_at < *next)) next = claim.expires_at;
  return next;
}

}  // namespace jobmill::front
