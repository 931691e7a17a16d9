// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "base/clock.h"

namespace jobmill::k8s {

// So many a second on average, and a burst of them at once after a rest.
class RateLimit {
 public:
  RateLimit(double per_second, int burst) : per_second_(per_second), burst_(burst), left_(burst) {}

  // Nothing: it may go, and was counted. Else how long it has to wait before it asks again.
  std::optional<Duration> take(TimePoint now);

 private:
  const double per_second_;
  const double burst_;
  double left_;
  TimePoint at_{};
};

}  // namespace jobmill::k8s
