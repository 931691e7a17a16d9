// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "base/clock.h"
#include "scale/decision.h"
#include "scale/desired.h"

namespace jobmill::scale {

// What the windows and policies of one object remember from earlier decisions. Forgets what can
// no longer matter, so it stays as small as there are sizes.
class Memory {
 public:
  // Before a decision that asks the arithmetic: puts what it is to look at into `in`. Between
  // evaluations the last recommendation stands, so with `standing` it counts until now; the HPA,
  // which looks only at its own clock, counts it from when it was made.
  void recall(DesiredInput& in, bool standing);

  // After it.
  void learn(const Decision& decision);

 private:
  void recommend(TimePoint at, int replicas);
  void forget(const DesiredInput& in);

  std::vector<Recommendation> recommendations_;
  std::vector<ScaleEvent> events_;
};

}  // namespace jobmill::scale
