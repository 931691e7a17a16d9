// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>

#include "scale/target.h"

namespace jobmill::scale {

// One kind of target in its world, without replicas at first.
class ScaleTargetWorld {
 public:
  virtual ~ScaleTargetWorld() = default;
  virtual ScaleTarget& target() = 0;
  // Lets the world go on until it comes true; fails the test when it never does.
  virtual void run_until(const std::function<bool()>& come_true) = 0;
};

using MakeScaleTargetWorld = std::function<std::unique_ptr<ScaleTargetWorld>()>;

// The contract of ScaleTarget, as tests. Each kind of target calls this with a maker of worlds in
// which replicas become ready by themselves and hold no work.
void exercise_scale_target(const MakeScaleTargetWorld& make);

}  // namespace jobmill::scale
