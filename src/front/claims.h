// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "broker/authorization.h"

namespace jobmill::front {

// What the peer of one connection has shown that it may do. Tokens are renewed by putting another
// one for the same path; of several that cover a path, the one that lives longest counts.
class Claims {
 public:
  void put(broker::Claim claim);

  bool allow(std::string_view path, broker::Right right, TimePoint now) const;
  bool cover(std::string_view path, TimePoint now) const;  // with any right
  // The replica whose token covers the path; empty: there is none.
  std::string holder(std::string_view path, TimePoint now) const;
  bool of(std::string_view holder) const;
  bool empty() const { return claims_.empty(); }

  // Forgets those that have run out; whether there were any.
  bool expire(TimePoint now);
  std::optional<TimePoint> next_expiry() const;

 private:
  std::vector<broker::Claim> claims_;
};

}  // namespace jobmill::front
