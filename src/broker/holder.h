// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"

namespace jobmill::broker {

// A holder, shared by its receivers, its locks and what is being read for it.
struct LiveHolder {
  std::string name{};
  std::optional<TimePoint> until{};
  bool over = false;  // it was ended: nothing is given to it any more
};
using HolderPtr = std::shared_ptr<LiveHolder>;  // null: nobody in particular

}  // namespace jobmill::broker
