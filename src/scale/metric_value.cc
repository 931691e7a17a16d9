// SPDX-License-Identifier: Apache-2.0
#include "scale/metric_value.h"

#include <cmath>
#include <limits>

#include "manifest/quantity.h"

namespace jobmill::scale {

std::int64_t to_milli(double value) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  // Beyond its 64 bits a quantity has no thousandths that mean anything; a very large metric must
  // not become a small one.
  if (std::isfinite(value) && value >= static_cast<double>(kMost) / 1000) return kMost;
  return manifest::Quantity::of(value).milli();
}

std::string to_quantity(double value) { return manifest::Quantity::of(value).canonical(); }

}  // namespace jobmill::scale
