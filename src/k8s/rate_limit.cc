// SPDX-License-Identifier: Apache-2.0
#include "k8s/rate_limit.h"

#include <algorithm>
#include <chrono>

namespace jobmill::k8s {

std::optional<Duration> RateLimit::take(TimePoint now) {
  using Seconds = std::chrono::duration<double>;
  // A clock that went back refills nothing.
  const Seconds passed = std::max(Duration(0), at_ == TimePoint{} ? Duration(0) : now - at_);
  left_ = std::min(burst_, left_ + passed.count() * per_second_);
  at_ = now;
  if (left_ < 1) return std::chrono::ceil<Duration>(Seconds((1 - left_) / per_second_));
  left_ -= 1;
  return std::nullopt;
}

}  // namespace jobmill::k8s
